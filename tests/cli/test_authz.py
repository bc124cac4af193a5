"""`tulle authz check` and `explain`, on a mesh of `web` (two instances) and `api`, with policies that are applied."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from tulle.api.access_views import GuardView, PlaceView, PolicyView, RuleView
from tulle.api.views import DecisionView
from tulle.cli.access import explain
from tulle.model.decisions import What
from tulle.model.names import ServiceName
from tulle.model.snapshot import KnownPort, KnownService, Snapshot
from tulle.model.workload import Health, Protocol, Proxy, ServicePort, Workload

POLICIES = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: admins}
spec:
  action: DENY
  rules:
  - to: [{operation: {paths: [/admin*], ports: ["80"]}}]
    when: [{key: "request.headers[x-role]", notValues: [admin]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: second, annotations: {istio.io/dry-run: "true"}}
spec:
  selector: {matchLabels: {version: v2}}
  action: DENY
  rules: [{from: [{source: {namespaces: [shop]}}]}]
"""
PERMISSIVE = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: everybody}
spec: {mtls: {mode: PERMISSIVE}}
"""
KEYS = '{"keys": [{"kty": "oct", "k": "AAAA"}]}'
WEB = ServiceName("default", "web")
API = "cluster.local/ns/shop/sa/api"


def instance(id: str, namespace: str, name: str, version: str, *ports: ServicePort) -> Proxy:
    workload = Workload(id, ServiceName(namespace, name), name, version, ports=ports, health=Health.HEALTHY)
    return Proxy(id, "127.0.0.1", 15001, 15002, (workload,))


@pytest.fixture
def mesh(tulle: Any) -> Any:
    """Where web-000001 is in sync, and web-000002 is not connected."""
    ports = (ServicePort(80, 8080, Protocol.HTTP), ServicePort(5432, 5432, Protocol.TCP))
    proxies = [
        instance("web-000001", "default", "web", "v1", *ports),
        instance("web-000002", "default", "web", "v2", *ports),
        instance("api-000003", "shop", "api", "v1", ServicePort(9000, 9000, Protocol.HTTP)),
    ]
    tulle.live.hub.apply(Snapshot(1, {proxy.id: proxy for proxy in proxies}))
    return tulle


@pytest.fixture
async def ruled(mesh: Any, tmp_path: Path) -> Any:
    (tmp_path / "policies.yaml").write_text(POLICIES)
    assert (await mesh("apply", "-f", str(tmp_path / "policies.yaml"))).code == 0
    return mesh


async def test_a_call_is_allowed_or_denied_by_document_line_and_rule(ruled: Any, tmp_path: Path) -> None:
    allowed = await ruled("authz", "check", "shop/api", "web")
    assert (allowed.code, allowed.err) == (0, "")
    assert allowed.out.startswith(f"allowed: GET / of web.default:80 by {API}\n")
    denied = await ruled("authz", "check", "api.shop", "web:80", "GET", "/x/../admin/y?z", "-H", "X-Role: guest")
    lines = denied.out.splitlines()
    assert denied.code == 1 and lines[0] == f"denied: GET /x/../admin/y?z of web.default:80 by {API}"
    assert lines[1] == f"  by AuthorizationPolicy default/admins spec.rules[0]  ({tmp_path}/policies.yaml:7)"
    assert "  the path comes to /admin/y (MeshConfig, pathNormalization)" in lines
    assert "    when met      header x-role not admin; seen: guest" in lines
    assert "\x1b" not in denied.out
    twice = ("-H", "x-role: admin", "-H", "x-role: guest")
    assert (await ruled("authz", "check", "shop/api", "web", "GET", "/admin", *twice)).code == 1
    assert (await ruled("authz", "check", "shop/api", "web", "GET", "/admin", *twice[:2])).code == 0


async def test_instances_that_judge_otherwise_are_told_apart(ruled: Any) -> None:
    said = await ruled("authz", "check", f"spiffe://{API}", "web", "-o", "json")
    first, second = said.json["answers"]
    assert (first["proxies"], first["would_deny"], first["pending"]) == (["web-000001"], None, [])
    assert (second["proxies"], second["pending"]) == (["web-000002"], ["web-000002"])
    assert second["allowed"] and second["would_deny"]["source"] == "AuthorizationPolicy default/second"
    printed = (await ruled("authz", "check", "shop/api", "web")).out
    assert "  at web-000002\n" in printed and "  not in force yet on web-000002\n" in printed
    assert "  the dry runs would deny it: AuthorizationPolicy default/second spec.rules[0]" in printed


async def test_mutual_tls_comes_first(mesh: Any) -> None:
    refused = await mesh("authz", "check", "-", "web")
    assert refused.code == 1 and "plain text is refused: mutual TLS is STRICT there" in refused.out
    foreign = await mesh("authz", "check", "foreign.org/ns/shop/sa/api", "web")
    assert foreign.code == 1 and "the handshake fails" in foreign.out
    assert (await mesh("apply", "-f", "-", stdin=PERMISSIVE)).code == 0
    assert (await mesh("authz", "check", "-", "web")).code == 0


async def test_a_port_of_tcp_is_judged_without_requests(ruled: Any) -> None:
    said = await ruled("authz", "check", "shop/api", "web:5432", "-o", "json")
    assert said.code == 0
    [rule] = said.json["answers"][0]["policies"][0]["rules"]
    assert [one["attribute"] for one in rule["operations"][0]] == ["port"] and not rule["when"]


async def test_claims_count_if_somebody_takes_the_token(ruled: Any) -> None:
    token = jwt.encode({"iss": "https://issuer.example", "sub": "alice"}, "k" * 32, "HS256")
    unseen = await ruled("authz", "check", "shop/api", "web", "--token", token)
    assert unseen.code == 0 and "no RequestAuthentication is for it" in unseen.out and token not in unseen.out
    spec = {"jwtRules": [{"issuer": "https://issuer.example", "jwks": KEYS, "audiences": ["web"]}]}
    meta = {"apiVersion": "security.istio.io/v1", "metadata": {"name": "users"}}
    document = json.dumps({**meta, "kind": "RequestAuthentication", "spec": spec})
    assert (await ruled("apply", "-f", "-", stdin=document)).code == 0
    assert "for none of the audiences" in (await ruled("authz", "check", "shop/api", "web", "--token", token)).out
    claims = {"iss": "https://issuer.example", "sub": "alice", "aud": ["web", "x"]}
    seen = await ruled("authz", "check", "shop/api", "web", "--claims", json.dumps(claims))
    assert seen.code == 0 and "signature and times are taken for good" in seen.out
    other = await ruled("authz", "check", "shop/api", "web", "--claims", '{"iss": "x"}', "-o", "json")
    assert (other.code, other.json["answers"][0]["status"]) == (1, 401)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("shop/api", "wbe"), "there is no service wbe.default; did you mean web.default?"),
        (("api", "web"), "there is no service api.default; did you mean api.shop?"),
        (("shop/api", "web:81"), "web.default has no port 81; it has 80, 5432"),
        (("shop/api", "web:x"), "ports go from 1 to 65535"),
        (("shop/api", "web:80", "--port", "81"), "--port 81 contradicts web:80"),
        (("shop/api", "web", "get"), "did you mean GET?"),
        (("shop/api", "web", "GET", "admin"), "does not begin with /"),
        (("shop/api", "web", "-H", "x-role"), "write NAME:VALUE"),
        (("shop/api", "web", "--claims", "[]"), "claims are an object of JSON"),
        (("shop/api", "web", "--token", "abc"), "this is no JWT"),
        (("shop/api", "web", "--source-ip", "here"), "is no IP address"),
        (("-", "Web_"), "names no service of the mesh"),
    ],
)
async def test_what_makes_no_sense_ends_with_2(mesh: Any, words: tuple[str, ...], error: str) -> None:
    said = await mesh("authz", "check", *words)
    assert said.code == 2 and error in " ".join(said.err.split())


async def test_the_policies_for_a_service_are_explained_in_their_order(ruled: Any, tmp_path: Path) -> None:
    said = await ruled("authz", "explain", "web:80")
    assert said.out.splitlines()[:5] == [
        "web.default:80 (http) at web-000001",
        "mutual TLS: STRICT, no PeerAuthentication says otherwise",
        f"DENY  AuthorizationPolicy default/admins  ({tmp_path}/policies.yaml:1)",
        f"  spec.rules[0]: to port 80 and path /admin*; when not header x-role admin  ({tmp_path}/policies.yaml:7)",
        "any other call: allowed, as there is no ALLOW policy",
    ]
    assert "dry run" in said.out and "not in force yet on web-000002" in said.out
    guards = (await ruled("authz", "explain", "web", "-o", "json")).json["guards"]
    assert [guard["port"] for guard in guards] == [80, 80, 5432, 5432]
    assert (await ruled("authz", "explain", "wbe")).code == 2
    known = KnownService(WEB, tuple(KnownPort(number, Protocol.HTTP) for number in (80, 81, 5432)), ())
    ruled.live.hub.apply(Snapshot(2, services={WEB: known}))
    again = (await ruled("authz", "explain", "web", "-o", "json")).json["guards"]
    assert [guard["port"] for guard in again] == [guard["port"] for guard in guards], "81 was served once"


def test_what_was_decided_is_told_below_its_rule(capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()

    def view(what: What, by: str, caller: str, count: int, ago: float) -> DecisionView:
        source, _, place = by.rpartition(" ")
        return DecisionView(what, source, place, caller, count, now - ago)

    rule = "AuthorizationPolicy default/p spec.rules[0]"
    place = PlaceView("AuthorizationPolicy default/p", "spec.rules[0]")
    policy = PolicyView(PlaceView(place.source), "DENY", [RuleView(place, "always")])
    decisions = [
        *(view(What.DENIED, rule, caller, count, 65) for caller, count in (("a", 5), ("b", 4), ("", 2), ("c\x1b", 1))),
        view(What.AUDITED, rule, "a", 7, 3.5),
        view(What.TOKEN_REFUSED, "", "a", 1, 7300),
        view(What.WOULD_DENY, "AuthorizationPolicy default/gone spec.rules[3]", "a", 1, 3.5),
    ]
    guard = GuardView(["web-1"], 80, "http", "STRICT", [], [policy], "allowed", decisions=decisions, others=2, lost=1)
    explain._print("web.default", guard)
    assert capsys.readouterr().out.splitlines()[2:-1] == [
        "DENY  AuthorizationPolicy default/p",
        "  spec.rules[0]: always",
        "    denied: 12, the last 1m ago; a (5), b (4), somebody without a certificate (2), 1 more",
        "    noted: 7, the last 3s ago; a (7)",
        "any other call: allowed",
        "  refused for a bad token: 1, the last 2h ago; a (1)",
        "by AuthorizationPolicy default/gone spec.rules[3]",
        "  would have denied: 1, the last 3s ago; a (1)",
        "the log of each instance (tulle run) names what was denied, to whom and by which rule",
    ]
