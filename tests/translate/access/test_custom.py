"""CUSTOM policies: every field of the providers, and services that are down, slow or broken."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deciding import HEADERS, Deciding, over_grpc, over_http
from declared_mesh import instance
from golden import declared_in
from guarded import Guarded, Port, Said, guarded, talk
from tulle.envoy_api.messages import message, pack
from tulle.ir.access import Access
from tulle.ir.authorizers import Authorizer
from tulle.ir.routes import BackendRef
from tulle.model.names import Destination, service_of
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Protocol
from tulle.resolve.access import authorization, authorizer
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh
from tulle.translate import names

HOST, DOWN = "authz.example", "down.example"
OTHER = "cluster.local/ns/default/sa/other"
ENTRY = {
    "kind": "ServiceEntry",
    "metadata": {"name": "authz"},
    "spec": {
        "hosts": [HOST, DOWN],
        "resolution": "STATIC",
        "endpoints": [{"address": "127.0.0.1"}],
        "ports": [
            {"number": 80, "name": "http", "protocol": "HTTP"},
            {"number": 90, "name": "grpc", "protocol": "GRPC"},
            {"number": 99, "name": "tcp", "protocol": "TCP"},
        ],
    },
}
SOME = {"to": [{"operation": {"notPaths": ["/free*"]}}]}


def declared(*providers: dict[str, Any], rules: Any = (SOME,), **more: Any) -> tuple[Access, Authorizer | None]:
    """A CUSTOM policy for each provider, of these rules."""
    named = [{"name": f"provider-{n}", **provider} for n, provider in enumerate(providers)]
    config = {
        "kind": "MeshConfig",
        "metadata": {"name": "mesh", "namespace": "istio-system"},
        "spec": {"extensionProviders": [one for one in named if len(one) > 1]},
    }
    policies = [
        {
            "kind": "AuthorizationPolicy",
            "metadata": {"name": f"ask-{n}", "annotations": more.get("annotations", {})},
            "spec": {"action": "CUSTOM", "provider": {"name": one["name"]}, "rules": list(rules)},
        }
        for n, one in enumerate(named)
    ]
    proxy = instance("guarded", protocol=more.get("protocol", Protocol.HTTP))
    documents = [ENTRY, config, *policies, *more.get("others", ())]
    mesh, _ = apply(Mesh(), Snapshot(1, {proxy.id: proxy}, resources=declared_in(documents)))
    workload = proxy.workloads[0]
    found = authorization.policies(mesh, workload)
    access = authorization.access(found, workload, workload.ports[0])
    return access, authorizer.authorizer(mesh, workload, found)


def http(**fields: Any) -> dict[str, Any]:
    return {"envoyExtAuthzHttp": {"service": HOST, "port": 80, **fields}}


def grpc(**fields: Any) -> dict[str, Any]:
    return {"envoyExtAuthzGrpc": {"service": HOST, "port": 90, **fields}}


def port(*providers: dict[str, Any], protocol: Protocol = Protocol.HTTP, **more: Any) -> Port:
    access, asked = declared(*providers, protocol=protocol, **more)
    return Port(access, protocol, authorizer=asked)


NAMES = ["x-user", "x-team-*", "*-end"]
BODY = {"maxRequestBytes": 8}
PORTS = {
    "http": port(http()),
    "prefix": port(http(pathPrefix="/check")),
    "headers": port(http(includeRequestHeadersInCheck=["X-One", "x-pre*", "*-suf"])),
    "old headers": port(http(includeHeadersInCheck=["x-one"])),
    "more headers": port(http(includeAdditionalHeadersInCheck={"x-fixed": "1", "x-scheme": "%REQ(:METHOD)%"})),
    "to program": port(http(headersToUpstreamOnAllow=NAMES)),
    "to denied": port(http(headersToDownstreamOnDeny=NAMES)),
    "to allowed": port(http(headersToDownstreamOnAllow=NAMES)),
    "body": port(http(includeRequestBodyInCheck=BODY)),
    "part of body": port(http(includeRequestBodyInCheck={**BODY, "allowPartialMessage": True})),
    "quick": port(http(timeout="0.2s")),
    "open": port(http(timeout="0.2s", failOpen=True)),
    "status": port(http(timeout="0.2s", statusOnError="503")),
    "clear": port(http(clearRouteCache=True)),
    "down": port(http(service=DOWN)),
    "down open": port(http(service=DOWN, failOpen=True)),
    "grpc": port(grpc()),
    "grpc body": port(grpc(includeRequestBodyInCheck={**BODY, "packAsBytes": True})),
    "grpc quick": port(grpc(timeout="0.2s", statusOnError="504")),
    "grpc open": port(grpc(timeout="0.2s", failOpen=True, clearRouteCache=True)),
    "tcp": port(grpc(), protocol=Protocol.TCP, rules=[{}]),
    "tcp http": port(http(), protocol=Protocol.TCP, rules=[{}]),
    "tcp unknown": port({}, protocol=Protocol.TCP, rules=[{}]),
    "found out": port(http(), protocol=Protocol.AUTO, rules=[{}]),
    "found out grpc": port(grpc(), protocol=Protocol.AUTO, rules=[{}]),
    "unknown": port({}),
    "several": port(http(), grpc()),
    "no service": port(http(service="nobody.example")),
    "tried": port({}, annotations={"istio.io/dry-run": "true"}),
    "then deny": port(
        http(),
        others=[
            {
                "kind": "AuthorizationPolicy",
                "metadata": {"name": "deny"},
                "spec": {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/never"]}}]}]},
            }
        ],
    ),
}


class Made:
    def __init__(self, sidecar: Guarded, http: Deciding, grpc: Deciding) -> None:
        self.sidecar, self.http, self.grpc = sidecar, http, grpc

    def ask(self, *args: Any, **kwargs: Any) -> Said:
        return self.sidecar.ask(*args, **kwargs)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with ExitStack() as stack:
        web, rpc = stack.enter_context(over_http()), stack.enter_context(over_grpc())
        clusters = [_cluster(HOST, 80, web.port), _cluster(HOST, 90, rpc.port, http2=True), _cluster(DOWN, 80, 1)]
        folder = tmp_path_factory.mktemp("envoy")
        yield Made(stack.enter_context(guarded(folder, PORTS, clusters=clusters)), web, rpc)


def _cluster(host: str, port: int, at: int, *, http2: bool = False) -> Any:
    name = names.backend(BackendRef(Destination(service_of(host), port)))
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": at}}}}
    options = message("envoy.extensions.upstreams.http.v3.HttpProtocolOptions")(
        explicit_http_config={"http2_protocol_options": {}}
    )
    key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return message("envoy.config.cluster.v3.Cluster")(
        name=name,
        load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        **({"typed_extension_protocol_options": {key: pack(options)}} if http2 else {}),
    )


@pytest.mark.parametrize("port", ["http", "grpc"])
def test_only_what_the_rules_fit_is_asked_about(made: Made, port: str) -> None:
    asked = made.http.asked if port == "http" else made.grpc.asked
    before = len(asked)
    free, allowed, denied = (made.ask(port, path) for path in ("/free", "/allowed", "/denied"))
    assert (free.status, allowed.status, len(asked) - before) == (200, 200, 2)
    assert (denied.status, denied.body, denied.seen) == (418, '{"why": "not you"}', None)


def test_what_a_service_is_told_over_http(made: Made) -> None:
    sent = {"x-one": "1", "x-prefix": "2", "a-suf": "3", "x-other": "4", "authorization": "Bearer x"}

    def told(port: str, path: str = "/allowed") -> Any:
        assert made.ask(port, path, headers=sent).status == 200
        return made.http.asked[-1]

    assert told("prefix", "/allowed?a=1")["path"] == "/check/allowed?a=1"
    assert not {"x-one", "x-prefix", "a-suf"} & set(told("http")["headers"])
    assert told("http")["headers"]["host"] == "guarded" and told("http")["headers"]["authorization"] == "Bearer x"
    headers = told("headers")["headers"]
    assert {name: headers.get(name) for name in sent if name != "authorization"} == {
        **{name: sent[name] for name in ("x-one", "x-prefix", "a-suf")},
        "x-other": None,
    }
    headers = told("old headers")["headers"]
    assert headers.get("x-one") == "1" and "x-prefix" not in headers
    headers = told("more headers")["headers"]
    assert (headers["x-fixed"], headers["x-scheme"]) == ("1", "GET")


def test_which_headers_of_the_answer_go_where(made: Made) -> None:
    wanted = {name: value for name, value in HEADERS.items() if name != "x-hidden"}
    seen = made.ask("to program", "/allowed").seen
    assert seen is not None and {n: seen["headers"].get(n) for n in HEADERS} == {**wanted, "x-hidden": None}
    denied, allowed = made.ask("to denied", "/denied"), made.ask("to allowed", "/allowed")
    for said in (denied, allowed):
        assert {n: said.headers.get(n) for n in HEADERS} == {**wanted, "x-hidden": None}
    for port in ("to denied", "to allowed", "http"):
        seen = made.ask(port, "/allowed").seen
        assert seen is not None and not set(HEADERS) & set(seen["headers"])
    assert not set(HEADERS) & set(made.ask("to denied", "/allowed").headers)
    assert made.ask("grpc", "/denied").headers["x-user"] == "alice"
    seen = made.ask("grpc", "/allowed").seen
    assert seen is not None and seen["headers"]["x-user"] == "alice"


def test_bodies(made: Made) -> None:
    def post(port: str, body: str) -> Said:
        head = f"POST /allowed HTTP/1.1\r\nhost: guarded\r\ncontent-length: {len(body)}\r\n\r\n"
        return made.sidecar.say(port, (head + body).encode())

    said = post("body", "12345")
    assert said.seen is not None and (said.seen["body"], made.http.asked[-1]["body"]) == ("12345", b"12345")
    assert post("body", "123456789").status == 413
    said = post("part of body", "123456789")
    assert said.seen is not None and (said.seen["body"], made.http.asked[-1]["body"]) == ("123456789", b"12345678")
    assert post("http", "12345").status == 200 and made.http.asked[-1]["body"] == b""
    assert post("grpc body", "12345").status == 200 and made.grpc.asked[-1].request.http.raw_body == b"12345"


@pytest.mark.parametrize(
    ("port", "path", "status"),
    [
        ("quick", "/slow", 403),
        ("quick", "/broken", 403),
        ("status", "/slow", 503),
        ("open", "/slow", 200),
        ("open", "/broken", 200),
        ("open", "/denied", 418),
        ("down", "/", 403),
        ("down", "/free", 200),
        ("down open", "/", 200),
        ("clear", "/allowed", 200),
        ("grpc quick", "/slow", 504),
        ("grpc quick", "/broken", 504),
        ("grpc open", "/slow", 200),
        ("grpc open", "/denied", 418),
    ],
)
def test_a_service_that_does_not_decide(made: Made, port: str, path: str, status: int) -> None:
    said = made.ask(port, path)
    assert said.status == status
    if path in ("/slow", "/broken", "/") and status != 200:
        assert json.loads(said.body) == {"code": status, "error": "access can't be decided now"}


@pytest.mark.parametrize("port", ["unknown", "several", "no service"])
def test_what_nobody_can_be_asked_about_is_denied(made: Made, port: str) -> None:
    assert (made.ask(port, "/free").status, made.ask(port, "/other").status) == (200, 403)


def test_a_dry_run_asks_nobody_and_is_counted(made: Made) -> None:
    assert made.ask("tried", "/other").status == 200
    assert made.sidecar.stats("dry_run_custom_")["http.inbound.rbac.dry_run_custom_.shadow_denied"] == 1


def test_what_a_service_denies_is_logged_with_the_rule_that_asked(made: Made) -> None:
    caller = "cluster.local/ns/default/sa/logged"
    for path in ("/allowed", "/denied", "/slow"):
        made.ask("quick", path, caller=caller)

    def logged() -> list[Any]:
        lines = [line for line in made.sidecar.log.splitlines() if line.startswith('{"address"') and caller in line]
        return [(one["path"], one["details"], one["asked"]) for one in map(json.loads, lines)]

    end = time.monotonic() + 10
    while len(logged()) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    rule = "AuthorizationPolicy default/ask-0 spec.rules[0]"
    assert logged() == [("/denied", "ext_authz_denied", rule), ("/slow", "ext_authz_error", rule)]


def test_a_deny_holds_whatever_the_service_says(made: Made) -> None:
    assert (made.ask("then deny", "/never").status, made.ask("then deny", "/other").status) == (403, 200)
    assert made.ask("then deny", "/denied").status == 418


def test_connections_are_decided_over_grpc_alone(made: Made) -> None:
    assert made.ask("tcp").status == 200
    assert made.ask("tcp", caller=OTHER).status == 0
    assert made.ask("tcp http", caller=OTHER).status == 200
    assert made.ask("tcp unknown").status == 0


def test_nobody_gets_past_the_service_by_saying_that_it_speaks_no_http(made: Made) -> None:
    def says(port: str, offered: str) -> int:
        return made.sidecar.say(port, b"GET /denied HTTP/1.1\r\nhost: guarded\r\n\r\n", OTHER, offered).status

    for port in ("found out", "found out grpc"):
        assert says(port, names.MESH_ALPN) in (418, 403)
        assert says(port, names.DETECTED_TCP_ALPN) == 0


def test_why_nobody_can_be_asked() -> None:
    def problem(*providers: dict[str, Any]) -> str:
        _, found = declared(*providers)
        assert found is not None
        return found.problem

    assert problem(http()) == problem(grpc()) == problem(http(service=f"default/{HOST}")) == ""
    assert problem({}) == "MeshConfig has no extension provider provider-0"
    assert "several providers: provider-0, provider-1" in problem(http(), grpc())
    assert problem(http(port=81)) == f"the mesh has no service {HOST} with a port 81"
    assert "namespace other" in problem(http(service=f"other/{HOST}"))
    assert problem(http(port=99)).endswith("carries tcp, not HTTP")
    assert problem(grpc(port=80)).endswith("carries http, not gRPC")
    assert declared()[1] is None


def test_on_a_connection_without_the_filters_that_ask_nothing_passes_unasked(tmp_path: Path) -> None:
    access, asked = declared(http())
    assert asked is not None
    get = b"GET /%s HTTP/1.1\r\nhost: guarded\r\n\r\n"
    with guarded(tmp_path, {"one": Access()}, live=True) as sidecar, sidecar.connected("one") as connection:
        assert talk(connection, get % b"other").status == 200
        sidecar.change_routes(access, asked)
        assert (talk(connection, get % b"other").status, talk(connection, get % b"free").status) == (403, 200)
