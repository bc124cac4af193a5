"""gRPC through the mesh: every kind of call, and what rules say of it, by a client that knows nothing of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from declaring import document
from modes import skip_unless_possible
from puppets import Puppet
from running import Mesh, wait_for
from wires import MODES, apply, dialer, free_ports

_CLIENT = """
import grpc

def unary(channel, method, text, **more):
    try:
        call = channel.unary_unary('/any.Service/' + method)
        return call(text.encode(), timeout=more.pop('timeout', 30), **more).decode()
    except grpc.RpcError as error:
        return error.code().name

channel = grpc.insecure_channel('calls:9000')
"""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("grpc")) as mesh:
        mesh.up()
        (port,) = free_ports(1)
        mesh.run("calls", "grpc_calls.py", options=("--port", f"9000:{port}/grpc"), PORT=str(port))
        wait_for("the gRPC server is healthy", lambda: mesh.healthy("calls") == 1)
        yield mesh


@pytest.fixture(scope="module", params=MODES)
def caller(request: pytest.FixtureRequest, calls: Mesh) -> Puppet:
    skip_unless_possible(request.param)
    made = dialer(calls, request.param)
    made.do(_CLIENT)
    return made


@pytest.fixture
def ruled(calls: Mesh) -> Iterator[Any]:
    """Rules for the time of a test."""

    def rules(*routes: dict[str, Any]) -> None:
        there = {"route": [{"destination": {"host": "calls"}}]}
        spec = {"hosts": ["calls"], "http": [{**there, **route} for route in routes]}
        apply(calls, document("VirtualService", "calls", spec))

    yield rules
    calls.tulle("delete", "VirtualService", "calls")


def test_every_kind_of_call_is_carried(caller: Puppet, ruled: Any) -> None:
    for with_rules in (False, True):
        if with_rules:
            ruled({"match": [{"uri": {"prefix": "/any.Service/"}}], "name": "all"})
        said = caller.do(
            "unary(channel, 'Unary', 'hello')\n"
            "client = channel.stream_unary('/any.Service/Client')(iter([b'a', b'b']), timeout=30)\n"
            "server = list(channel.unary_stream('/any.Service/Server')(b'c', timeout=30))\n"
            "both = list(channel.stream_stream('/any.Service/Both')(iter([b'd', b'e']), timeout=30))\n"
            "result = [unary(channel, 'Unary', 'hello'), client.decode(), *(p.decode() for p in server + both)]"
        )
        assert said == ["hello", "ab", "c", "c", "c", "d", "e"]


def test_a_stream_is_answered_part_by_part(caller: Puppet) -> None:
    said = caller.do(
        "import queue\n"
        "asked = queue.Queue()\n"
        "answers = channel.stream_stream('/any.Service/Both')(iter(asked.get, None), timeout=30)\n"
        "result = []\n"
        "for text in (b'one', b'two'):\n"
        "    asked.put(text)\n"
        "    result.append(next(answers).decode())\n"
        "asked.put(None)\n"
        "result += [part.decode() for part in answers]"
    )
    assert said == ["one", "two"]


def test_trailers_and_metadata_are_carried(caller: Puppet) -> None:
    said = caller.do(
        "_, call = channel.unary_unary('/any.Service/Unary').with_call(b'x', timeout=30, metadata=[('x-asked', 'yes')])\n"
        "result = dict(call.trailing_metadata())['x-trailer']"
    )
    assert said == "yes"


@pytest.mark.parametrize(
    ("status", "on"),
    [("UNAVAILABLE", "unavailable"), ("RESOURCE_EXHAUSTED", "cancelled,resource-exhausted"), ("INTERNAL", "internal")],
)
def test_a_status_is_retried_if_a_rule_says_so(caller: Puppet, ruled: Any, status: str, on: str) -> None:
    ruled({"retries": {"attempts": 3, "retryOn": on}})
    assert caller.do(f"result = unary(channel, 'Fail', '{status} ' + os.environ['TULLE_INSTANCE'])") == "served"
    ruled({"retries": {"attempts": 3, "retryOn": "deadline-exceeded"}})
    assert caller.do(f"result = unary(channel, 'Fail', '{status} 2 ' + os.environ['TULLE_INSTANCE'])") == status
    ruled({"retries": {"attempts": 1, "retryOn": on}})
    assert caller.do(f"result = unary(channel, 'Fail', '{status} 3 ' + os.environ['TULLE_INSTANCE'])") == status


def test_a_status_can_be_injected(caller: Puppet, ruled: Any) -> None:
    ruled({"fault": {"abort": {"grpcStatus": "PERMISSION_DENIED", "percentage": {"value": 100}}}})
    assert caller.do("result = unary(channel, 'Unary', 'x')") == "PERMISSION_DENIED"


def test_a_deadline_is_the_clients_or_a_rules(caller: Puppet, ruled: Any) -> None:
    assert caller.do("result = unary(channel, 'Slow', 'x', timeout=0.5)") == "DEADLINE_EXCEEDED"
    ruled({"timeout": "0.5s"})
    assert caller.do("result = unary(channel, 'Slow', 'x')") in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert caller.do("result = unary(channel, 'Unary', 'x')") == "x"


def test_a_service_that_has_nobody_is_unavailable(calls: Mesh, caller: Puppet) -> None:
    assert caller.do("result = unary(grpc.insecure_channel('calls:9001'), 'Unary', 'x', timeout=5)") == "UNAVAILABLE"
