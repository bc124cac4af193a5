"""Hosts beneath a wildcard, which nobody listed (Istio's sample for egress, `*.wikipedia.org`): found by the name asked for.

Here they are `*.localhost`, which Envoy takes for this machine without asking anybody.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from declaring import document
from modes import skip_unless_possible
from puppets import Puppet
from running import Mesh
from test_service_entries import plain_server
from wires import MODES, apply, certificate, dialer


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("wildcards")) as made:
        made.up()
        yield made


@pytest.fixture(scope="module")
def tls_port(mesh: Mesh) -> Iterator[int]:
    """A TLS server that knows nothing of a mesh, and says by which name it was asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(mesh.folder))
    asked: list[str | None] = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    taken, _ = door.accept()
                    with suppress(OSError), taken:
                        taken.settimeout(5)
                        with context.wrap_socket(taken, server_side=True) as made:
                            made.sendall(f"outside {asked[-1]}\n".encode())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(door.getsockname()[1])
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(scope="module", params=[*MODES, "netns"])
def caller(request: pytest.FixtureRequest, mesh: Mesh, tls_port: int) -> Iterator[tuple[Puppet, int, int]]:
    skip_unless_possible(request.param)
    with plain_server("outside") as http_port:
        ports = [
            {"number": tls_port, "name": "tls", "protocol": "TLS"},
            {"number": http_port, "name": "http", "protocol": "HTTP"},
        ]
        apply(
            mesh,
            document("ServiceEntry", "all", {"hosts": ["*.localhost"], "ports": ports, "resolution": "NONE"}),
            document("Sidecar", "default", {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}),
        )
        yield dialer(mesh, request.param), tls_port, http_port


def test_a_host_beneath_a_wildcard_is_found_by_the_name_in_its_handshake(caller: tuple[Puppet, int, int]) -> None:
    program, port, _ = caller
    for name in ("en.localhost", "de.localhost"):
        assert program.do(f"result = ask_tls({name!r}, {port}, {name!r})") == f"outside {name}"


def test_a_host_beneath_a_wildcard_is_found_by_the_host_of_a_request(caller: tuple[Puppet, int, int]) -> None:
    program, _, port = caller
    url = f"http://en.localhost:{port}/"
    # A client that is told of a proxy leaves all of localhost out of that, so this one says it in its own words.
    get = "import http.client\nproxy = os.environ.get('http_proxy', '').rpartition('/')[2]\n"
    get += f"made = http.client.HTTPConnection(proxy or 'en.localhost:{port}', timeout=30)\n"
    get += f"made.request('GET', {url!r} if proxy else '/', headers={{'host': 'en.localhost:{port}'}})\n"
    get += "answer = made.getresponse(); result = [answer.status, answer.read().decode()]; made.close()"
    assert program.do(get) == [200, f"outside en.localhost:{port}"]


@pytest.mark.parametrize("name", ["localhost", "www.example.org", None])
def test_no_other_name_passes_where_the_program_is_captured(caller: tuple[Puppet, int, int], name: str | None) -> None:
    program, port, _ = caller
    if program.do("result = os.environ.get('http_proxy')"):
        pytest.skip("a tunnel goes where its host says")
    refused = f"try:\n    result = ask_tls('en.localhost', {port}, {name!r})\nexcept OSError:\n    result = 'closed'"
    assert program.do(refused) == "closed"
