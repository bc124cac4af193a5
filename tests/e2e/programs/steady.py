"""Calls without pause what `puppet.py` tells it to: requests by HTTP, and lines on kept and on new TCP connections.

Imported by name into a puppet (`exec`): `Steady` with `start`, `stop`.
"""

import collections
import http.client
import socket
import threading


class Steady:
    def __init__(self, host, http_port, tcp_port):
        self.host, self.http_port, self.tcp_port = host, http_port, tcp_port
        self.failed, self.answered, self.stopped = [], collections.Counter(), False
        works = [self.requests, self.requests, self.connections, self.kept]
        self.threads = [threading.Thread(target=self.run, args=(work,)) for work in works]
        for thread in self.threads:
            thread.start()

    def run(self, work):
        while not self.stopped:
            try:
                work()
            except Exception as error:
                self.failed.append(f"{work.__name__}: {error!r}")

    def requests(self):
        """GET and POST by one connection, as long as it lasts."""
        connection = http.client.HTTPConnection(self.host, self.http_port, timeout=30)
        try:
            number = 0
            while not self.stopped:
                number += 1
                connection.request("GET" if number % 2 else "POST", "/", b"" if number % 2 else b"hello")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise ValueError(f"{answer.status} {body[:200]!r}")
                self.answered["request"] += 1
        finally:
            connection.close()

    def connections(self):
        """Each for one line."""
        with socket.create_connection((self.host, self.tcp_port), 30) as made:
            self.say(made, b"new\n")
        self.answered["connection"] += 1

    def kept(self):
        """One for good."""
        with socket.create_connection((self.host, self.tcp_port), 30) as made:
            self.answered["kept"] += 1
            while not self.stopped:
                self.say(made, b"kept\n")
                self.answered["line"] += 1

    def say(self, made, text):
        made.sendall(text)
        answer = b""
        while not answer.endswith(b"\n"):
            part = made.recv(4096)
            if not part:
                raise ConnectionError(f"closed after {answer!r}")
            answer += part

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join()
        return self.failed
