"""A program that does what a test tells it: `puppet.py SOCKET`, a Unix socket, which no capture touches.

Each connection brings a piece of Python and is answered in JSON with what it has put into `result`, or with its error.
Names last from one piece to the next.
"""

import json
import os
import signal
import socket
import socketserver
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def get(url, timeout=30):
    """Status and body of a GET by a connection of its own; a proxy in the environment is heeded."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def resolve(name):
    """The addresses that the libc finds, or its error."""
    try:
        return sorted({entry[4][0] for entry in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})
    except socket.gaierror as error:
        return error.strerror


def in_child(work):
    """What `work()` gives in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(work()).encode())
        except BaseException as error:
            os.write(writing, json.dumps(repr(error)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = json.load(answer)
    os.waitpid(child, 0)
    return said


def serve(address, port=0, body=None):
    """An HTTP server that answers with the body, else the port that it was told; the server. `close_server` ends it."""
    said = str(body or port).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    server = Server((address, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def close_server(server):
    server.shutdown()
    server.server_close()


class Load:
    """Calls without pause: GET and POST, by one connection for all and by one for each."""

    def __init__(self, url):
        import requests

        self.answered, self.failed, self.stopped = 0, [], False
        self.url, self.requests = url, requests
        ways = [(method, kept) for method in ("GET", "POST") for kept in (True, False)]
        self.threads = [threading.Thread(target=self.run, args=way) for way in ways]
        for thread in self.threads:
            thread.start()

    def run(self, method, kept):
        session = self.requests.Session() if kept else self.requests
        while not self.stopped:
            try:
                answer = session.request(method, self.url, timeout=30)
                if answer.status_code == 200:
                    self.answered += 1
                else:
                    self.fail(f"{method} {answer.status_code} {answer.text[:200]}")
            except Exception as error:
                self.fail(f"{method} {error!r}")

    def fail(self, what):
        self.failed.append((time.strftime("%H:%M:%S"), what))

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join()
        return self.failed


names = dict(globals())


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        text = self.rfile.read().decode()
        try:
            names.pop("result", None)
            local = names
            exec(text, local)
            answer = {"result": local.get("result")}
        except BaseException as error:
            answer = {"error": repr(error)}
        self.wfile.write(json.dumps(answer).encode())


class Door(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def end(*_):
    print("told to end", flush=True)
    os._exit(0)


signal.signal(signal.SIGTERM, end)
path = sys.argv[1]
if os.path.exists(path):  # of an earlier life
    os.unlink(path)
Door(path, Handler).serve_forever()
