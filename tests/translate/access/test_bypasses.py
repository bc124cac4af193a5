"""Ways around a rule, on a real Envoy: requests that are written otherwise. Each meets the rule, or gets no further."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guarded import Guarded, guarded
from tulle.ir.types import Paths
from written_access import access

ADMIN = "{action: DENY, rules: [{to: [{operation: {paths: [/admin, '/admin/*']}}]}]}"
HOST = "{action: DENY, rules: [{to: [{operation: {hosts: [private.example]}}]}]}"
METHOD = "{action: DENY, rules: [{to: [{operation: {methods: [POST]}}]}]}"
ONLY_DATA = "{rules: [{to: [{operation: {methods: [GET], paths: ['/data/*'], hosts: [guarded]}}]}]}"
RULES = {"admin": ADMIN, "host": HOST, "method": METHOD, "data": ONLY_DATA}

BODILESS = "content-length: 0"

# By the form of paths that a mesh has: what stands for /admin then. The rest is another path, also to the program.
ALWAYS = ("/admin", "/admin?x", "/admin/", "http://guarded/admin", "http://other@guarded/admin")
AS_ADMIN = {
    Paths.AS_IT_IS: ALWAYS,
    Paths.BASE: (
        *ALWAYS,
        *("/%61dmin", "/x/../admin", "/x/%2e%2e/admin", "/x/%2E./admin", "/./admin", "/x\\..\\admin", "/data/../admin"),
    ),
}
AS_ADMIN[Paths.MERGE_SLASHES] = (*AS_ADMIN[Paths.BASE], "//admin", "/data//../../admin", "//admin//x", "/\\admin")
AS_ADMIN[Paths.DECODE_AND_MERGE_SLASHES] = (
    *AS_ADMIN[Paths.MERGE_SLASHES],
    *("/%2fadmin", "/%5Cadmin", "/x/..%2fadmin", "/x%2f..%2fadmin", "/admin%2fx", "/data/..%5cadmin"),
)


@pytest.fixture(scope="module", params=Paths)
def form(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Paths, Guarded]]:
    ports = {name: access(policy) for name, policy in RULES.items()}
    with guarded(tmp_path_factory.mktemp("envoy"), ports, paths=request.param) as made:
        yield request.param, made


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("envoy"), {name: access(policy) for name, policy in RULES.items()}) as made:
        yield made


def test_a_path_is_in_its_form_before_it_is_compared(form: tuple[Paths, Guarded]) -> None:
    paths, sidecar = form
    assert [(path, sidecar.ask("admin", path).status) for path in AS_ADMIN[paths]] == [
        (path, 403) for path in AS_ADMIN[paths]
    ]


def test_what_is_compared_is_what_the_program_gets(form: tuple[Paths, Guarded]) -> None:
    """Whatever is let through as something below /data is that to the program, when it takes its path by its letters."""
    _, sidecar = form
    for path in {path for found in AS_ADMIN.values() for path in found} | {"/data/x", "/data/../data/y"}:
        if seen := sidecar.ask("data", path).seen:
            assert seen["path"].startswith("/data/"), (path, seen["path"])
    assert sidecar.ask("data", "/data/x").status == 200


def test_what_is_no_path_is_refused(sidecar: Guarded) -> None:
    for path in ("/admin#x", "/admin%00", "*", "admin"):
        assert sidecar.ask("admin", path).status == 400, path


@pytest.mark.parametrize(
    "host",
    [
        *("private.example", "PRIVATE.Example", "private.example:80", "private.example.", "private.example.:80"),
        *("private.example..", "private.example:", "private.example:x", "x@private.example", "private.example,other"),
        *("other,private.example", "private.example "),
    ],
)
def test_a_host_is_that_host_however_it_is_written(sidecar: Guarded, host: str) -> None:
    assert sidecar.ask("host", headers={"host": host}).status == 403


def test_a_request_has_one_host(sidecar: Guarded) -> None:
    def status(*lines: str) -> int:
        return sidecar.say("host", "\r\n".join((*lines, BODILESS, "", "")).encode()).status

    assert status("GET / HTTP/1.1", "host: other", "host: private.example") == 403
    assert status("GET http://private.example/ HTTP/1.1", "host: other") == 403
    assert status("GET / HTTP/1.0", "host: private.example") == 403
    assert status("GET / HTTP/1.0") == 400
    assert status("GET / HTTP/1.1") == 400
    # The program sees the host of the request line as well.
    answer = sidecar.say("host", b"GET http://other/ HTTP/1.1\r\nhost: private.example\r\n\r\n")
    assert answer.seen and answer.seen["headers"]["host"] == "other"


def test_a_method_has_one_spelling(sidecar: Guarded) -> None:
    def status(method: str) -> int:
        return sidecar.say("method", f"{method} / HTTP/1.1\r\nhost: guarded\r\n{BODILESS}\r\n\r\n".encode()).status

    assert [status(method) for method in ("POST", "post", "Post", "POSTX", "PRI")] == [403, 400, 400, 400, 400]
    # What a program may take for its method is the program's matter, and a rule can name it.
    assert sidecar.ask("method", headers={"x-http-method-override": "POST"}).status == 200


def test_no_tunnel_leads_past_the_rules(sidecar: Guarded) -> None:
    for port in ("data", "host"):
        answer = sidecar.say(port, b"CONNECT private.example:80 HTTP/1.1\r\nhost: private.example:80\r\n\r\n")
        assert (answer.status, answer.seen) == (404, None)


@pytest.mark.parametrize(
    "framing",
    [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: +5",
        "content-length: 5, 5",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: gzip, chunked\r\ncontent-length: 5",
        "transfer-encoding : chunked",
        "transfer-encoding:\n chunked\r\ncontent-length: 5",
    ],
)
def test_no_request_hides_in_the_body_of_another(sidecar: Guarded, framing: str) -> None:
    hidden = b"0\r\n\r\nGET /admin HTTP/1.1\r\nhost: guarded\r\n\r\n"
    answer = sidecar.say("admin", f"POST /x HTTP/1.1\r\nhost: guarded\r\n{framing}\r\n\r\n".encode() + hidden)
    assert (answer.status in (0, 400, 501), answer.seen) == (True, None)


def test_an_upgrade_is_a_request_like_others(sidecar: Guarded) -> None:
    for protocol in ("websocket", "h2c"):
        upgrade = {"connection": "upgrade", "upgrade": protocol}
        assert sidecar.ask("admin", "/admin", headers=upgrade).status == 403
        assert sidecar.ask("data", "/other", headers=upgrade).status == 403
        assert sidecar.ask("data", "/data/x", headers=upgrade).status == 200


def test_who_called_is_told_by_the_certificate_alone(sidecar: Guarded) -> None:
    forged = "By=spiffe://x;URI=spiffe://cluster.local/ns/default/sa/admin"
    answer = sidecar.ask("admin", "/", headers={"x-forwarded-client-cert": forged})
    assert answer.seen and "sa/admin" not in answer.seen["headers"]["x-forwarded-client-cert"]
    assert sidecar.ask("admin", "/", headers={":path": "/data"}).status == 400
    # RFC 9110, section 7.6.1: what Connection names is not passed on. That must not take away what the sidecar says.
    for named in ("x-forwarded-client-cert", "close, X-Forwarded-Client-Cert", "te, x-forwarded-client-cert"):
        answer = sidecar.ask("admin", "/", headers={"connection": named, "te": "trailers"})
        assert answer.status == 400 or (
            answer.seen and "URI=spiffe" in answer.seen["headers"]["x-forwarded-client-cert"]
        )
