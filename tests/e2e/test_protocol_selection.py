"""What a port carries, by what is said of it, its name, its number, or its first bytes; and that nobody waits at a port that
is not there.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from declaring import document
from modes import skip_unless_possible
from puppets import Puppet
from running import Mesh
from wires import apply, certificate, dialer, wired

SAID, NAMED, NUMBERED, ANY, TLS, HTTP = 7001, 7002, 3306, 9001, 9002, 9003
HTTP_ALL_THE_SAME = 25
KINDS = (
    f"{SAID}/tcp=greet",
    f"mysql-main:{NAMED}=greet",
    f"{NUMBERED}=greet",
    f"{HTTP_ALL_THE_SAME}/http=http",
    f"{ANY}=greet",
    f"{TLS}=tls",
    f"{HTTP}=http",
)
# In most of them the server speaks first, and the others' first bytes may be the half of a line of HTTP.
ABSENT = {
    22: b"",
    143: b"",
    587: b"",
    4222: b"",
    5672: b"AMQP\0\0\x09\1",
    27017: b"\x3f\0\0\0\1\0\0\0\0\0\0\0\xd4\7\0\0",
}


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("selection")) as mesh:
        mesh.up()
        wired(mesh, "talk", "t1", *KINDS, pair=certificate(mesh.folder))
        yield mesh


@pytest.fixture(scope="module", params=("redirect", "seccomp", "netns"))
def caller(request: pytest.FixtureRequest, talk: Mesh) -> Puppet:
    skip_unless_possible(request.param)
    return dialer(talk, request.param)


def test_what_is_said_counts_before_the_name_and_that_before_the_number(talk: Mesh) -> None:
    service = talk.service("talk")
    assert service is not None
    assert {port["number"]: port["protocol"] for port in service["ports"]} == {
        80: "http",
        SAID: "tcp",
        NAMED: "tcp",
        NUMBERED: "tcp",
        HTTP_ALL_THE_SAME: "http",
        ANY: "auto",
        TLS: "auto",
        HTTP: "auto",
    }


@pytest.mark.parametrize("port", [SAID, NAMED, NUMBERED, ANY])
def test_a_server_that_speaks_first_is_heard(caller: Puppet, port: int) -> None:
    """Where nobody knows it beforehand as well: the first bytes are waited for, but not for long."""
    took, greeting, answer = caller.do(
        f"began = time.monotonic()\n"
        f"with dial('talk', {port}) as made:\n"
        f"    greeting, took = line(made), time.monotonic() - began\n"
        f"    made.sendall(b'hello\\n')\n"
        f"    result = took, greeting, line(made)"
    )
    assert (greeting, answer) == ("220 t1", "t1 hello")
    assert took < 10, "the machine may be busy, but nobody waits for a client that is silent"


def test_the_first_bytes_of_a_port_that_nobody_declared_tell(caller: Puppet) -> None:
    assert caller.get(f"http://talk:{HTTP}/") == (200, "t1 ")
    assert caller.do(f"result = ask_tls('talk', {TLS}, 'some.host')") == "t1 some.host"
    said = caller.do(f"with dial('talk', {ANY}) as made:\n    made.sendall(b'\\1\\2\\n')\n    result = line(made)")
    assert said == "220 t1"


def test_http_that_is_said_is_http_whatever_the_number(talk: Mesh, caller: Puppet) -> None:
    url = f"http://talk:{HTTP_ALL_THE_SAME}"
    assert caller.get(f"{url}/") == (200, "t1 ")
    match = [{"port": HTTP_ALL_THE_SAME, "uri": {"prefix": "/ruled"}}]
    rules = [{"match": match, "directResponse": {"status": 299}}, {"route": [{"destination": {"host": "talk"}}]}]
    apply(talk, document("VirtualService", "talk", {"hosts": ["talk"], "http": rules}))
    try:
        assert caller.do(f"result = get('{url}/ruled')[0]") == 299
        assert caller.get(f"{url}/") == (200, "t1 ")
    finally:
        assert talk.tulle("delete", "VirtualService", "talk").returncode == 0


def test_a_well_known_port_that_a_service_does_not_have_is_closed_at_once(caller: Puppet) -> None:
    ended = caller.do(
        f"result = []\n"
        f"for port, first in {ABSENT!r}.items():\n"
        f"    began = time.monotonic()\n"
        f"    try:\n"
        f"        with dial('talk', port, 20) as made:\n"
        f"            made.sendall(first)\n"
        f"            said = all_of(made)\n"
        f"    except TimeoutError: said = 'stalled'\n"
        f"    except ConnectionError: said = ''\n"
        f"    result.append((port, said, time.monotonic() - began))"
    )
    assert [(port, said) for port, said, _ in ended] == [(port, "") for port in ABSENT]
    assert min(seconds for _, _, seconds in ended) < 2, "the machine may be busy, but not each time"


def test_a_tunnel_to_an_absent_port_is_refused(talk: Mesh) -> None:
    caller = dialer(talk, "proxy")
    for port in (22, 9999):
        said = caller.do(
            f"try: dial('talk', {port}).close(); result = ''\nexcept ConnectionError as refused: result = str(refused)"
        )
        assert " 503 " in said, port


def test_http_to_any_other_absent_port_is_told_so(caller: Puppet) -> None:
    status, said = caller.get("http://talk:9999/")
    assert status == 503
    assert "has no port 9999" in said
