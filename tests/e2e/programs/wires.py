"""Programs of every kind that a port may have behind it: `wires.py NAME KIND=PORT...`.

greet: speaks first, then echoes lines with its name. echo: only echoes. count: says how many bytes came when the client has
ended its half. tls: TLS of its own, with the certificate in $PAIR; says its name and for whom the client asked. http, http10:
a web server that answers with its name.
"""

import os
import socketserver
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler

NAME = sys.argv[1]


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(f"{NAME} ".encode() + line)


class Greet(Echo):
    def handle(self):
        self.wfile.write(f"220 {NAME}\n".encode())
        super().handle()


class Count(socketserver.StreamRequestHandler):
    def handle(self):
        size = 0
        while part := self.request.recv(65536):
            size += len(part)
        self.wfile.write(f"{NAME} {size}\n".encode())


class Tls(socketserver.BaseRequestHandler):
    def handle(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["PAIR"])
        asked = []
        context.sni_callback = lambda _, name, __: asked.append(name)
        with context.wrap_socket(self.request, server_side=True) as secured:
            secured.sendall(f"{NAME} {asked[0]}\n".encode())
            while data := secured.recv(4096):
                secured.sendall(data)


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = NAME.encode() + b" " + self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass


class Http10(Http):
    protocol_version = "HTTP/1.0"


class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 256
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a probe of health comes and goes


KINDS = {"greet": Greet, "echo": Echo, "count": Count, "tls": Tls, "http": Http, "http10": Http10}
for argument in sys.argv[2:]:
    kind, _, port = argument.partition("=")
    server = Server(("127.0.0.1", int(port)), KINDS[kind])
    threading.Thread(target=server.serve_forever).start()
