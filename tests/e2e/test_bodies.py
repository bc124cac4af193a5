"""Bodies of HTTP/1 go through two sidecars as they were sent: of any size, part by part, with what comes before and after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from declaring import apply, to, virtual_service
from modes import skip_unless_possible
from puppets import Puppet
from running import Mesh, envoy_of, wait_for
from wires import dialer, free_ports

# Of each service, beside 80: for who has never called that port.
ECHO, TRAILERS, EXPECT = 8101, 8102, 8103
MODES = ("proxy", "seccomp")


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """`plain` has no rules, and `ruled` has."""
    with Mesh(tmp_path_factory.mktemp("bodies")) as mesh:
        mesh.up()
        for service in ("plain", "ruled"):
            (target,) = free_ports(1)
            ports = [word for number in (80, ECHO, TRAILERS, EXPECT) for word in ("--port", f"{number}:{target}/http")]
            mesh.run(service, "bodies.py", options=tuple(ports), PORT=str(target))
        route = {"route": [to("ruled")], "headers": {"response": {"set": {"x-by": "rule"}}}}
        other = {"match": [{"headers": {"x-other": {"exact": "yes"}}}], "directResponse": {"status": 299}}
        apply(mesh, virtual_service("ruled", other, route))
        wait_for("both are healthy", lambda: mesh.healthy("plain") == mesh.healthy("ruled") == 1)
        yield mesh


@pytest.fixture(scope="module", params=MODES)
def caller(request: pytest.FixtureRequest, bodies: Mesh) -> Puppet:
    skip_unless_possible(request.param)
    made = dialer(bodies, request.param)
    made.do("import hashlib\nfrom http1 import Call")
    return made


@pytest.fixture(params=["plain", "ruled"])
def host(request: pytest.FixtureRequest, caller: Puppet) -> str:
    name = str(request.param)
    by = caller.do(
        f"with Call({name!r}) as call:\n"
        f"    call.begin('GET /seen HTTP/1.1')\n"
        f"    call.head()\n"
        f"    result = call.headers.get('x-by', '')"
    )
    assert by == ("rule" if name == "ruled" else "")
    return name


_LARGE = f"""
size, part = 100_000_000, os.urandom(65536)
sent, came = hashlib.sha256(), hashlib.sha256()
fed = 0

def feed(call):
    global fed
    while fed < size:
        piece = part[:size - fed]
        call.chunk(piece)
        sent.update(piece)
        fed += len(piece)
    call.end()

with Call(HOST, {ECHO}) as call:
    call.begin('POST /echo HTTP/1.1', 'Transfer-Encoding: chunked')
    feeding = threading.Thread(target=feed, args=(call,))
    feeding.start()
    before = -1
    while before != fed:
        before = fed
        time.sleep(0.5)
    status = call.head()
    for piece in call.parts():
        came.update(piece)
    feeding.join()
    result = status, fed, came.digest() == sent.digest()
"""


def test_a_large_body_is_carried_both_ways_and_never_held_whole(bodies: Mesh, caller: Puppet, host: str) -> None:
    """It is also the first call to its port, and nothing of the answer is read while more can be sent."""
    sidecars = [envoy_of(caller.running), *(envoy_of(each) for each in bodies.running if each.name == host)]
    before = [_most_memory(pid) for pid in sidecars]
    status, size, same = caller.do(_LARGE.replace("HOST", repr(host)))
    assert (status, size, same) == (200, 100_000_000, True)
    assert all(_most_memory(pid) - most < 30_000_000 for pid, most in zip(sidecars, before, strict=True))


def _most_memory(pid: int) -> int:
    """Bytes, of all times so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def test_bodies_that_nobody_reads_hold_up_no_other_call(caller: Puppet, host: str) -> None:
    answered = caller.do(
        f"unread = [Call({host!r}) for _ in range(8)]\n"
        f"for call in unread:\n"
        f"    call.begin('GET /big?size=100000000 HTTP/1.1')\n"
        f"    call.head()\n"
        f"time.sleep(0.5)\n"
        f"with Call({host!r}) as other:\n"
        f"    other.begin('GET /big?size=10000000 HTTP/1.1')\n"
        f"    other.head()\n"
        f"    result = len(other.rest())\n"
        f"for call in unread: call.close()"
    )
    assert answered == 10_000_000


@pytest.mark.parametrize("port", [TRAILERS, 80], ids=["first call", "later"])
def test_trailers_are_carried_both_ways(caller: Puppet, host: str, port: int) -> None:
    parts, trailers = caller.do(
        f"with Call({host!r}, {port}) as call:\n"
        f"    call.begin('POST /echo HTTP/1.1', 'TE: trailers', 'Trailer: X-Check', 'Transfer-Encoding: chunked')\n"
        f"    call.chunk(b'one')\n"
        f"    call.head()\n"
        f"    coming = call.parts()\n"
        f"    parts = [next(coming).decode()]\n"
        f"    call.chunk(b'and two')\n"
        f"    parts.append(next(coming).decode())\n"
        f"    call.end('X-Check: ok')\n"
        f"    parts += [part.decode() for part in coming]\n"
        f"    result = parts, call.trailers"
    )
    assert parts == ["one", "and two"], "each comes back before the next is sent"
    assert trailers == ["x-size: 10", "x-came-x-check: ok"], "in small letters, as HTTP/2 has them"


def test_events_arrive_one_by_one(caller: Puppet, host: str) -> None:
    """The server sends the next when it is told to, and is told when the last has arrived."""
    events = caller.do(
        f"with Call({host!r}) as call, Call({host!r}) as other:\n"
        f"    call.begin('GET /events HTTP/1.1', 'Accept: text/event-stream')\n"
        f"    call.head()\n"
        f"    result = []\n"
        f"    for event in call.parts():\n"
        f"        result.append(event.decode())\n"
        f"        other.begin('GET /next HTTP/1.1')\n"
        f"        other.head()\n"
        f"        other.rest()"
    )
    assert events == ["data: 0\n\n", "data: 1\n\n", "data: 2\n\n"]


_EXPECT = """
import json
with Call({host!r}, {port}) as call:
    call.begin('POST /{what} HTTP/1.1', 'Expect: 100-continue', 'Content-Length: 5')
    {waits}
    call.send(b'hello')
    status = call.head()
    result = status, json.loads(call.rest())
"""


@pytest.mark.parametrize("port", [EXPECT, 80], ids=["first call", "later"])
def test_the_program_says_whether_a_body_may_come(caller: Puppet, host: str, port: int) -> None:
    waits = "assert call.head() == 100"
    status, seen = caller.do(_EXPECT.format(host=host, port=port, what="seen", waits=waits))
    assert (status, seen["size"], seen["expect"]) == (200, 5, "100-continue")


def test_a_program_refuses_a_body_before_it_is_sent(caller: Puppet, host: str) -> None:
    status = caller.do(
        f"with Call({host!r}) as call:\n"
        f"    call.begin('POST /refuse HTTP/1.1', 'Expect: 100-continue', 'Content-Length: 5')\n"
        f"    result = call.head()"
    )
    assert status == 413


def test_a_client_need_not_wait_for_a_program_that_never_says_so(caller: Puppet, host: str) -> None:
    status, seen = caller.do(_EXPECT.format(host=host, port=80, what="mute", waits="assert call.is_silent()"))
    assert (status, seen["size"]) == (200, 5)


@pytest.mark.parametrize("path", ["/seen", "/old", "/echo"])
def test_http_1_0_is_answered_as_it_asks(caller: Puppet, host: str, path: str) -> None:
    status, headers, body, kept = caller.do(
        f"with Call({host!r}) as call:\n"
        f"    call.begin('POST {path} HTTP/1.0', 'Content-Length: 5')\n"
        f"    call.send(b'hello')\n"
        f"    status = call.head()\n"
        f"    result = status, call.headers, call.rest().decode(), bool(call.reading.peek(1))"
    )
    assert status == 200
    assert "transfer-encoding" not in headers, "HTTP/1.0 has none: the connection's end is the body's"
    assert "hello" in body or '"size": 5' in body
    assert not kept


def test_a_websocket_is_carried_part_by_part(caller: Puppet, host: str) -> None:
    said = caller.do(
        f"with Call({host!r}) as call:\n"
        f"    call.begin('GET /socket HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket',\n"
        f"               'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==')\n"
        f"    result = [call.head(), call.headers['upgrade']]\n"
        f"    for part in (b'one', b'two'):\n"
        f"        call.send(part)\n"
        f"        result.append(call.reading.read(len(part)).decode())"
    )
    assert said == [101, "websocket", "one", "two"]
