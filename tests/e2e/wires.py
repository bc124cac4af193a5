"""Services whose ports carry this and that (`programs/wires.py`), and a program that calls them by sockets of its own.

A caller connects to the address of a service where it is captured, and asks its proxy for a tunnel where it is not: to
`dial` it is the same.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import declaring
from puppets import Puppet, puppet
from running import Mesh, Running, wait_for

MODES = ("proxy", "redirect", "seccomp")
_DIAL = """
import ssl

def dial(host, port, timeout=30):
    proxy = os.environ.get("http_proxy")
    if not proxy:
        return socket.create_connection((host, port), timeout)
    address, _, number = proxy.rpartition("/")[2].rpartition(":")
    made = socket.create_connection((address, int(number)), timeout)
    made.sendall(f"CONNECT {host}:{port} HTTP/1.1\\r\\nHost: {host}:{port}\\r\\n\\r\\n".encode())
    head = b""
    while not head.endswith(b"\\r\\n\\r\\n"):
        byte = made.recv(1)
        if not byte:
            raise ConnectionError("no answer to CONNECT")
        head += byte
    if b" 200 " not in head.partition(b"\\r\\n")[0]:
        raise ConnectionError(head.decode())
    return made

def line(made):
    text = b""
    while not text.endswith(b"\\n"):
        byte = made.recv(1)
        if not byte:
            break
        text += byte
    return text.decode().strip()

def all_of(made):
    return b"".join(iter(lambda: made.recv(65536), b"")).decode()

def ask(host, port, text):
    with dial(host, port) as made:
        made.sendall(f"{text}\\n".encode())
        return line(made)

def secured(made, name, alpn=()):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(made, server_hostname=name)

def ask_tls(host, port, name, alpn=()):
    with secured(dial(host, port), name, alpn) as made:
        return line(made)
"""


def wired(mesh: Mesh, service: str, name: str, *kinds: str, options: Sequence[str] = (), pair: str = "") -> Running:
    """An instance of a service, in rotation. kinds: `PORT[/PROTOCOL]=KIND`; each at a free port of this machine."""
    before = mesh.healthy(service)
    words, ports = [], []
    for kind, target in zip(kinds, free_ports(len(kinds)), strict=True):
        port, _, what = kind.partition("=")
        number, slash, protocol = port.partition("/")
        ports += ["--port", f"{number}:{target}{slash}{protocol}"]
        words.append(f"{what}={target}")
    running = mesh.run(service, "wires.py", name, *words, options=(*ports, *options), PAIR=pair)

    def serves() -> bool:
        assert running.process.poll() is None, running.output
        return mesh.healthy(service) > before

    wait_for(f"{name} of {service} is healthy", serves)
    return running


def free_ports(number: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def dialer(mesh: Mesh, mode: str, service: str = "", *options: str) -> Puppet:
    """A program that can `dial`, `ask`, `ask_tls`."""
    made = puppet(mesh, service or f"caller-{mode}", "--capture", mode, *options)
    made.do(_DIAL)
    return made


def apply(mesh: Mesh, *documents: declaring.Document) -> None:
    """Documents in the mesh, in force on all sidecars that need them."""
    declaring.apply(mesh, *documents, options=("--wait",))


def certificate(folder: Path) -> str:
    """Of a TLS program: key and certificate in one file."""
    pair = folder / "pair.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=any"]
    subprocess.run(["openssl", *words, "-keyout", pair, "-out", folder / "cert.pem"], check=True, capture_output=True)
    with pair.open("a") as file:
        file.write((folder / "cert.pem").read_text())
    return str(pair)
