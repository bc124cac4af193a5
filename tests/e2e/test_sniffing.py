"""A port of which nobody said what it carries: the first bytes tell, and nobody waits for long."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from declaring import document
from modes import skip_unless_possible
from puppets import Puppet
from running import Mesh, wait_for
from wires import MODES, apply, certificate, dialer, free_ports, wired

GREET, ECHO, COUNT, TLS, HTTP, HTTP10 = 9001, 9002, 9003, 9004, 9005, 9006


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("sniffing")) as mesh:
        mesh.up()
        kinds = ("9001=greet", "9002=echo", "9003=count", "9004=tls", "9005=http", "9006=http10")
        wired(mesh, "talk", "t1", *kinds, pair=certificate(mesh.folder))
        (port,) = free_ports(1)
        mesh.run("calls", "grpc_calls.py", options=("--port", f"9007:{port}"), PORT=str(port))
        wait_for("the gRPC server is healthy", lambda: mesh.healthy("calls") == 1)
        yield mesh


@pytest.fixture(scope="module", params=MODES)
def caller(request: pytest.FixtureRequest, talk: Mesh) -> Puppet:
    skip_unless_possible(request.param)
    return dialer(talk, request.param)


@pytest.fixture(scope="module", params=[mode for mode in MODES if mode != "proxy"])
def captured(request: pytest.FixtureRequest, talk: Mesh) -> Puppet:
    """A caller whose connections the sidecar looks at. Who opens a tunnel says by that that it is no HTTP, and Envoy ends
    a tunnel of HTTP/1 when either half has ended."""
    skip_unless_possible(request.param)
    return dialer(talk, request.param)


def test_a_server_that_speaks_first_is_heard_at_once(caller: Puppet) -> None:
    caller.do(f"with dial('talk', {GREET}) as made: line(made)")
    took, greeting, answer = caller.do(
        f"began = time.monotonic()\n"
        f"with dial('talk', {GREET}) as made:\n"
        f"    greeting, took = line(made), time.monotonic() - began\n"
        f"    made.sendall(b'hello\\n')\n"
        f"    result = took, greeting, line(made)"
    )
    assert (greeting, answer) == ("220 t1", "t1 hello")
    assert took < 10, "the machine may be busy, but nobody waits for a client that is silent"


def test_bytes_that_are_no_http_are_carried(caller: Puppet) -> None:
    assert caller.do(f"result = ask('talk', {ECHO}, 'hello')") == "t1 hello"


def test_a_program_with_tls_of_its_own_is_reached(caller: Puppet) -> None:
    assert caller.do(f"result = ask_tls('talk', {TLS}, 'some.host')") == "t1 some.host"
    assert caller.do(f"result = ask_tls('talk', {TLS}, 'some.host', ('h2', 'http/1.1'))") == "t1 some.host"


@pytest.mark.parametrize("port", [HTTP, HTTP10])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_http_is_answered(caller: Puppet, port: int, version: str) -> None:
    answer = caller.do(
        f"with dial('talk', {port}) as made:\n"
        f"    made.sendall(b'POST / HTTP/{version}\\r\\nHost: talk:{port}\\r\\nConnection: close\\r\\n'\n"
        f"                 b'Content-Length: 5\\r\\n\\r\\nhello')\n"
        f"    result = all_of(made)"
    )
    assert " 200 " in answer.partition("\r\n")[0]
    assert answer.endswith("t1 hello")


def test_http_is_routed_by_rules_for_http(talk: Mesh, caller: Puppet) -> None:
    rule = {"match": [{"port": HTTP, "uri": {"prefix": "/ruled"}}], "directResponse": {"status": 299}}
    rest = {"route": [{"destination": {"host": "talk"}}]}
    apply(talk, document("VirtualService", "talk", {"hosts": ["talk"], "http": [rule, rest]}))
    try:
        status = caller.do(f"result = get('http://talk:{HTTP}/ruled')[0]")
        assert status == 299
        assert caller.get(f"http://talk:{HTTP}/other") == (200, "t1 ")
    finally:
        assert talk.tulle("delete", "VirtualService", "talk").returncode == 0


def test_a_client_that_begins_late_reaches_a_web_server(caller: Puppet) -> None:
    answer = caller.do(
        f"with dial('talk', {HTTP}) as made:\n"
        f"    time.sleep(1)\n"
        f"    made.sendall(b'GET / HTTP/1.1\\r\\nHost: talk:{HTTP}\\r\\nConnection: close\\r\\n\\r\\n')\n"
        f"    result = all_of(made)"
    )
    assert answer.endswith("t1 ")


def test_half_of_a_connection_can_end_before_the_other(captured: Puppet) -> None:
    said = captured.do(
        f"with dial('talk', {COUNT}) as made:\n"
        f"    made.sendall(bytes(3_000_000))\n"
        f"    made.shutdown(socket.SHUT_WR)\n"
        f"    result = all_of(made)"
    )
    assert said == "t1 3000000\n"


def test_grpc_is_carried(caller: Puppet) -> None:
    said = caller.do(
        "import grpc\n"
        "with grpc.insecure_channel('calls:9007') as channel:\n"
        "    unary = channel.unary_unary('/any.Service/Unary')(b'hello', timeout=30)\n"
        "    both = channel.stream_stream('/any.Service/Both')(iter([b'a', b'b']), timeout=30)\n"
        "    result = [unary.decode(), [part.decode() for part in both]]"
    )
    assert said == ["hello", ["a", "b"]]


def test_for_how_long_a_client_is_waited_for_is_the_meshs_to_say(talk: Mesh, captured: Puppet) -> None:
    config = {"apiVersion": "mesh.istio.io/v1alpha1", "kind": "MeshConfig", "spec": {"protocolDetectionTimeout": "3s"}}
    apply(talk, config)
    greeted = (
        f"began = time.monotonic()\n"
        f"with dial('talk', {GREET}) as made: said = line(made)\n"
        f"result = said, time.monotonic() - began"
    )

    def is_greeted(*, late: bool) -> bool:
        said, took = captured.do(greeted)
        assert said == "220 t1"
        return bool(took > 2.5) == late

    # Envoy says that it has a listener a moment before new connections get it.
    wait_for("a client is waited for", partial(is_greeted, late=True))
    config["spec"] = {}
    apply(talk, config)
    wait_for("it is not any more", partial(is_greeted, late=False))
