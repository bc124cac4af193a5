"""Takes OpenTelemetry by gRPC on $GRPC and by HTTP/1.1 on $HTTP, and writes it to $TO, a line each: path, hexadecimal.

While there is a file $TO.full, it refuses all: UNAVAILABLE, 503. Whoever only wants to read gets 503.
"""

import os
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

lock = threading.Lock()


def full():
    return os.path.exists(os.environ["TO"] + ".full")


def keep(path, body):
    with lock, open(os.environ["TO"], "a") as file:
        file.write(f"{path} {body.hex()}\n")
    return b""


class ByGrpc(grpc.GenericRpcHandler):
    def service(self, details):
        def take(body, context):
            if full():
                context.abort(grpc.StatusCode.UNAVAILABLE, "full")
            return keep(details.method, body)

        return grpc.unary_unary_rpc_method_handler(take)


class ByHttp(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = self.headers["Content-Length"]
        body = self.chunks() if length is None else self.rfile.read(int(length))
        if not (refused := full()):
            keep(self.path, body)
        self.send_response(503 if refused else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def chunks(self):
        body = b""
        while length := int(self.rfile.readline(), 16):
            body += self.rfile.read(length + 2)[:-2]
        self.rfile.readline()
        return body

    def do_GET(self):
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[ByGrpc()])
server.add_insecure_port(f"127.0.0.1:{os.environ['GRPC']}")
server.start()
ThreadingHTTPServer(("127.0.0.1", int(os.environ["HTTP"])), ByHttp).serve_forever()
