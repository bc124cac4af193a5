"""A test service: `server.py NAME` answers with its name, on $PORT. ?sleep=S waits, ?until=PATH
for that file, ?code=N sets the status, ?exit=N
dies, ?touch=PATH makes a file (INSTANCE in it is its name), ?header=NAME adds one.
While the file $SICK_FILE is there, /healthz says 503; while $SICK_ALL is, every path says 500."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NAME = sys.argv[1] if len(sys.argv) > 1 else f"pid-{os.getpid()}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer goes out whole: who is killed has answered, or not begun to

    def do_GET(self):
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        if urlsplit(self.path).path == "/healthz" and os.path.exists(os.environ.get("SICK_FILE", "")):
            query["code"] = "503"
        if os.path.exists(os.environ.get("SICK_ALL", "")):
            query["code"] = "500"
        received = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "touch" in query:
            open(query["touch"].replace("INSTANCE", NAME), "w").close()
        if "exit" in query:
            os._exit(int(query["exit"]))
        time.sleep(float(query.get("sleep", 0)))
        while "until" in query and not os.path.exists(query["until"]):
            time.sleep(0.02)
        answer = {
            "instance": NAME,
            "path": self.path,
            "method": self.command,
            "headers": dict(self.headers),
            "received": len(received),
        }
        body = json.dumps(answer).encode()
        self.send_response(int(query.get("code", 200)))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for header in query.get("header", "").split(","):
            if header:
                self.send_header(header, "1")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
