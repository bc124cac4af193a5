"""HTTP/1 by hand, for puppets: what a client library would put right is sent, and seen, as it is."""

import os
import socket


class Call:
    """A connection to a service, and the calls on it one after the other. A proxy in the environment is heeded."""

    def __init__(self, host, port=80):
        self.host, self.trailers = f"{host}:{port}", []
        proxy = os.environ.get("http_proxy")
        self.target = f"http://{self.host}" if proxy else ""
        if proxy:
            host, _, port = proxy.rpartition("/")[2].rpartition(":")
        self.socket = socket.create_connection((host, int(port)), 30)
        self.reading = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.reading.close()
        self.socket.close()

    def begin(self, line, *headers):
        """line: as in `GET /path HTTP/1.1`."""
        method, path, version = line.split()
        lines = [f"{method} {self.target}{path} {version}", f"Host: {self.host}", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def send(self, part):
        self.socket.sendall(part)

    def chunk(self, part):
        self.socket.sendall(b"%x\r\n%b\r\n" % (len(part), part))

    def end(self, *trailers):
        self.socket.sendall("\r\n".join(["0", *trailers, "", ""]).encode())

    def head(self):
        """Status, and headers by their names in small letters."""
        status = int(self.reading.readline().split()[1])
        self.headers = {}
        while line := self.reading.readline().decode().strip():
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        return status

    def parts(self):
        """The chunks of an answer as they come. Sets `trailers` at its end."""
        assert self.headers["transfer-encoding"] == "chunked", self.headers
        while size := int(self.reading.readline(), 16):
            yield self.reading.read(size)
            self.reading.readline()
        self.trailers = []
        while line := self.reading.readline().decode().strip():
            self.trailers.append(line)

    def rest(self):
        """The body of an answer, however its end is told."""
        if "transfer-encoding" in self.headers:
            return b"".join(self.parts())
        return (
            self.reading.read(int(self.headers["content-length"]))
            if "content-length" in self.headers
            else self.reading.read()
        )

    def is_silent(self, seconds=0.3):
        """Whether nothing comes for so long."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(30)
