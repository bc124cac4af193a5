"""`http_server.py NAME:PORT...`: a web server on each port, which answers with that one's name."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        body = json.dumps({"instance": self.server.name, "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def __init__(self, name, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.name = name


for argument in sys.argv[1:]:
    name, _, port = argument.partition(":")
    threading.Thread(target=Server(name, int(port)).serve_forever).start()
