"""`greeter.py NAME PORT`: speaks first, then echoes lines."""

import socketserver
import sys

NAME, PORT = sys.argv[1:]


class Greeting(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(f"hello from {NAME}\n".encode())
        for line in self.rfile:
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", int(PORT)), Greeting).serve_forever()
