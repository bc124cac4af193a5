"""What a real sidecar lets in where a port takes more than mutual TLS: each protocol, and what only looks like the mesh's."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import ExitStack, contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import grpc
import pytest

from certificates import Authority, write_identity_of
from one_envoy import Server
from policy_mesh import bootstrap
from routes_by_file import listening, tell
from started import started
from tulle.ir.types import Inbound, InboundPort
from tulle.model.mutual_tls import MutualTls
from tulle.model.names import Destination, ServiceName
from tulle.model.spiffe import WORKLOAD_PREFIX
from tulle.model.workload import Protocol
from tulle.translate import names
from tulle.translate.clusters import program_clusters

_SECONDS = 20.0
_DETECT = 300_000_000
_CALLER = f"{WORKLOAD_PREFIX}default/sa/caller"
FORGED = f"URI={_CALLER}"


class Lines(socketserver.ThreadingTCPServer):
    """A program of TCP: it greets, if it speaks first, and says each line again. secured: by TLS of its own."""

    daemon_threads = True

    def __init__(self, greeting: bytes = b"", secured: ssl.SSLContext | None = None) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    connection = secured.wrap_socket(self.request, server_side=True) if secured else self.request
                    connection.sendall(greeting)
                    while said := connection.recv(1000):
                        connection.sendall(b"again " + said)
                except OSError:
                    pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


class Sidecars:
    """Of one Envoy, a listener for each workload."""

    def __init__(self, folder: Path, authority: Authority, ports: dict[str, int]) -> None:
        self.folder, self.ports = folder, ports
        self._authority = authority

    def connect(self, workload: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[workload]), _SECONDS)

    def mesh(self, workload: str, sni: str = "", certified: bool = True, alpn: str = names.MESH_ALPN) -> ssl.SSLSocket:
        """A connection as another sidecar makes it."""
        context = _trusting([alpn, "http/1.1"])
        if certified:
            context.load_cert_chain(*self._authority.issue(_CALLER))
        sni = sni or names.sni(Destination(ServiceName("default", workload), 80))
        return context.wrap_socket(self.connect(workload), server_hostname=sni.replace("_", "-"))


def _trusting(alpn: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(alpn)
    return context


@contextmanager
def _sidecars(folder: Path, workloads: dict[str, tuple[tuple[Protocol, MutualTls, int], ...]]) -> Iterator[Sidecars]:
    """workloads: what each of its service ports carries and takes, and where the program is; the first is 80."""
    authority = Authority(folder, "mesh")
    write_identity_of(folder, authority, f"{WORKLOAD_PREFIX}default/sa/server")
    made = [_inbound(name, ports) for name, ports in workloads.items()]
    for one in made:
        tell(folder, one)
    listeners = [listening(one, folder) for one in made]
    for listener in listeners:
        for chain in listener.filter_chains:  # Python's `ssl` sends no names with underscores
            dashed = [name.replace("_", "-") for name in chain.filter_chain_match.server_names]
            chain.filter_chain_match.server_names[:] = dashed
    clusters = [cluster for one in made for port in one.ports for cluster in program_clusters(one.workload, port)]
    with started(folder, bootstrap(clusters, listeners)) as ports:
        yield Sidecars(folder, authority, {name.partition(".")[2]: port for name, port in ports.items()})


def _inbound(name: str, ports: tuple[tuple[Protocol, MutualTls, int], ...]) -> Inbound:
    service = ServiceName("default", name)
    return Inbound(
        name,
        "127.0.0.1",
        0,
        tuple(
            InboundPort(Destination(service, number), target, protocol, "127.0.0.1", mutual_tls=mode)
            for number, (protocol, mode, target) in enumerate(ports, 80)
        ),
        (WORKLOAD_PREFIX,),
        detect=_DETECT,
    )


@pytest.fixture(scope="module")
def sidecars(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecars]:
    folder = tmp_path_factory.mktemp("plain")
    with ExitStack() as stack:
        web = Server("web")
        stack.callback(web.server_close)
        stack.callback(web.shutdown)
        own = Authority(folder, "own").server("own.example")
        lines = [Lines(), Lines(b"220 hello\n"), Lines(b"hello\n", own)]
        for each in lines:
            stack.callback(each.server_close)
            stack.callback(each.shutdown)
        echo, greet, tls = (int(each.server_address[1]) for each in lines)
        remote = grpc.server(futures.ThreadPoolExecutor(2))
        again = grpc.unary_unary_rpc_method_handler(lambda request, _: b"again " + request)
        remote.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("any.Service", {"Unary": again}),))
        calls = remote.add_insecure_port("127.0.0.1:0")
        remote.start()
        stack.callback(lambda: remote.stop(0).wait())
        both, off, strict = MutualTls.PERMISSIVE, MutualTls.DISABLED, MutualTls.STRICT
        workloads = {
            "http": ((Protocol.HTTP, both, web.port),),
            "disabled": ((Protocol.HTTP, off, web.port),),
            "http2": ((Protocol.HTTP2, both, calls),),
            "grpc": ((Protocol.GRPC, both, calls),),
            "auto-http": ((Protocol.AUTO, both, web.port),),
            "auto-http2": ((Protocol.AUTO, both, calls),),
            "auto-echo": ((Protocol.AUTO, both, echo),),
            "auto-greet": ((Protocol.AUTO, both, greet),),
            "auto-tls": ((Protocol.AUTO, both, tls),),
            "tcp-echo": ((Protocol.TCP, both, echo),),
            "tcp-greet": ((Protocol.TCP, both, greet),),
            "tcp-tls": ((Protocol.TCP, both, tls),),
            "tls": ((Protocol.TLS, both, tls),),
            "http-tls": ((Protocol.HTTP, both, tls),),
            "second": ((Protocol.TCP, strict, echo), (Protocol.HTTP, off, web.port)),
            "strict": ((Protocol.HTTP, strict, web.port),),
        }
        yield stack.enter_context(_sidecars(folder, workloads))


def http1(connection: socket.socket) -> dict[str, Any]:
    """What an HTTP/1 program says that it was asked."""
    with connection:
        connection.sendall(
            f"GET / HTTP/1.1\r\nHost: any\r\nx-forwarded-client-cert: {FORGED}\r\nConnection: close\r\n\r\n".encode()
        )
        response = HTTPResponse(connection)
        response.begin()
        assert response.status == 200
        found: dict[str, Any] = json.loads(response.read())
        return found


def http2(connection: socket.socket) -> dict[str, Any]:
    """The same by prior knowledge (RFC 9113, section 3.3): literal headers, and the data that comes."""
    fields = {":method": "GET", ":scheme": "http", ":path": "/", ":authority": "any", "x-forwarded-client-cert": FORGED}
    block = b"".join(b"\0" + bytes([len(k)]) + k.encode() + bytes([len(v)]) + v.encode() for k, v in fields.items())
    with connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 5, 1, block))
        data, reader = b"", connection.makefile("rb")
        while True:
            head = reader.read(9)
            kind, flags = head[3], head[4]
            content = reader.read(int.from_bytes(head[:3], "big"))
            data += content if kind == 0 else b""
            if kind in (0, 1) and flags & 1:
                found: dict[str, Any] = json.loads(data)
                return found


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


def echoed(connection: socket.socket) -> bytes:
    with connection:
        connection.sendall(b"and")
        return connection.recv(100)


def greeted(connection: socket.socket) -> bytes:
    """By a server that speaks first."""
    with connection:
        said = connection.recv(100)
        connection.sendall(b"and")
        return said + connection.recv(100)


def own_tls(connection: socket.socket) -> bytes:
    with _trusting(["h2", "http/1.1"]).wrap_socket(connection, server_hostname="own.example") as secured:
        return greeted(secured)


@pytest.mark.parametrize(
    ("workload", "ask", "expected"),
    [
        ("http", http1, "web"),
        ("http", http2, "web"),
        ("disabled", http1, "web"),
        ("auto-http", http1, "web"),
        ("auto-echo", echoed, b"again and"),
        ("auto-greet", greeted, b"220 hello\nagain and"),
        ("auto-tls", own_tls, b"hello\nagain and"),
        ("tcp-echo", echoed, b"again and"),
        ("tcp-greet", greeted, b"220 hello\nagain and"),
        ("tcp-tls", own_tls, b"hello\nagain and"),
        ("tls", own_tls, b"hello\nagain and"),
        ("http-tls", own_tls, b"hello\nagain and"),
        ("second", http1, "web"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_each_protocol_comes_in_without_the_mesh(
    sidecars: Sidecars, workload: str, ask: Callable[[socket.socket], Any], expected: object
) -> None:
    said = ask(sidecars.connect(workload))
    if isinstance(said, dict):
        assert "x-forwarded-client-cert" not in said["headers"]
        said = said["server"]
    assert said == expected


@pytest.mark.parametrize("workload", ["http2", "grpc", "auto-http2"])
def test_grpc_comes_in_without_the_mesh(sidecars: Sidecars, workload: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{sidecars.ports[workload]}", [("grpc.enable_http_proxy", 0)]) as channel:
        assert channel.unary_unary("/any.Service/Unary")(b"and", timeout=_SECONDS) == b"again and"


@pytest.mark.parametrize("workload", ["http", "disabled", "auto-http"])
def test_mutual_tls_is_taken_beside_it_and_says_who_calls(sidecars: Sidecars, workload: str) -> None:
    said = http1(sidecars.mesh(workload))
    assert said["headers"]["x-forwarded-client-cert"].endswith(f";URI={_CALLER}")


@pytest.mark.parametrize("workload", ["auto-greet", "tcp-greet"])
def test_the_meshs_tcp_is_taken_beside_it(sidecars: Sidecars, workload: str) -> None:
    alpn = names.DETECTED_TCP_ALPN if workload.startswith("auto") else names.MESH_ALPN
    assert greeted(sidecars.mesh(workload, alpn=alpn)) == b"220 hello\nagain and"


@pytest.mark.parametrize("workload", ["http", "auto-tls", "tcp-tls", "tls", "http-tls"])
def test_the_meshs_tls_for_another_port_is_never_the_programs(sidecars: Sidecars, workload: str) -> None:
    with pytest.raises(OSError):
        greeted(sidecars.mesh(workload, sni="outbound_.99_._.other.default.svc.cluster.local"))


@pytest.mark.parametrize("workload", ["http", "tcp-tls", "strict"])
def test_the_meshs_tls_without_a_certificate_is_refused(sidecars: Sidecars, workload: str) -> None:
    with pytest.raises((OSError, AssertionError)):
        http1(sidecars.mesh(workload, certified=False))


@pytest.mark.parametrize("ask", [echoed, http1, http2, own_tls])
def test_a_strict_port_takes_nothing_else(sidecars: Sidecars, ask: Callable[[socket.socket], Any]) -> None:
    try:
        said = ask(sidecars.connect("strict"))
    except (OSError, IndexError, HTTPException):
        said = b""
    assert said == b""


def test_plain_text_to_a_workload_with_a_strict_first_port_never_comes_to_that(sidecars: Sidecars) -> None:
    with sidecars.connect("second") as connection:
        connection.sendall(b"and\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")
