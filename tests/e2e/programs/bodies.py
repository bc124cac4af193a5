"""A web server that says how a body came to it, on $PORT: what it is asked for is the last part of the path.

echo: the body comes back as it arrives, and the trailers after it. big: ?size bytes. seen: what was seen of the request, in
JSON. old: the same, in HTTP/1.0, which ends with the connection. refuse: 413 before the body. mute: never says 100.
events: server-sent events, each when /next is called. socket: whatever is upgraded, and echoed.
"""

import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

AT_ONCE = 65536
GO_ON = threading.Semaphore(0)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.url, self.trailers = urlsplit(self.path), []
        getattr(self, self.url.path.strip("/"), self.seen)()

    do_POST = do_GET

    def handle_expect_100(self):
        what = self.path.strip("/")
        if what == "refuse":
            self.send_error(413)
            self.close_connection = True
            return False
        return True if what == "mute" else super().handle_expect_100()

    def body(self):
        """Its parts as they arrive. Sets `trailers` at its end."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            left = int(self.headers.get("Content-Length") or 0)
            while left and (part := self.rfile.read1(min(left, AT_ONCE))):
                left -= len(part)
                yield part
            return
        while left := int(self.rfile.readline().partition(b";")[0], 16):
            while left:
                part = self.rfile.read1(min(left, AT_ONCE))
                left -= len(part)
                yield part
            self.rfile.readline()
        while line := self.rfile.readline().strip():
            self.trailers.append(line.decode())

    def begin(self, kind="application/octet-stream", status=200, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def chunk(self, part):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))

    def echo(self):
        self.begin(Transfer_Encoding="chunked", Trailer="X-Size")
        size = 0
        for part in self.body():
            self.chunk(part)
            size += len(part)
        self.wfile.write(b"0\r\nX-Size: %d\r\n" % size)
        for line in self.trailers:
            self.wfile.write(b"X-Came-" + line.encode() + b"\r\n")
        self.wfile.write(b"\r\n")

    def big(self):
        size = int(parse_qs(self.url.query)["size"][0])
        self.begin(Content_Length=size)
        part = bytes(range(256)) * (AT_ONCE // 256)
        for start in range(0, size, AT_ONCE):
            self.wfile.write(part[: size - start])

    def seen(self):
        whole = b"".join(self.body())
        said = {
            "version": self.request_version,
            "size": len(whole),
            "sha256": hashlib.sha256(whole).hexdigest(),
            "expect": self.headers.get("Expect", ""),
            "trailers": self.trailers,
        }
        text = json.dumps(said).encode()
        length = {} if self.protocol_version == "HTTP/1.0" else {"Content_Length": len(text)}
        self.begin("application/json", **length)
        self.wfile.write(text)

    mute = refuse = seen

    def old(self):
        self.protocol_version, self.close_connection = "HTTP/1.0", True
        self.seen()

    def events(self):
        self.begin("text/event-stream", Transfer_Encoding="chunked")
        for number in range(3):
            self.chunk(b"data: %d\n\n" % number)
            GO_ON.acquire()
        self.wfile.write(b"0\r\n\r\n")

    def next(self):
        GO_ON.release()
        self.seen()

    def socket(self):
        self.begin(status=101, Connection="Upgrade", Upgrade=self.headers["Upgrade"])
        while part := self.rfile.read1(AT_ONCE):
            self.wfile.write(part)
        self.close_connection = True

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a probe of health comes and goes


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
