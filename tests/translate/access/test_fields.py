"""Every field of an AuthorizationPolicy, on a real Envoy: what it lets through, and what it does not.

All in one Envoy, a port for each case. `in` and `out` are requests that the one rule of a case fits, and does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from guarded import CALLER, Guarded, claims, guarded
from tulle.model.spiffe import WORKLOAD_PREFIX, workload_prefix
from written_access import access, rule

A, B = "cluster.local/ns/a/sa/web", "cluster.local/ns/b/sa/worker"
OLD = "old.example/ns/a/sa/web"
OTHERS = [f"cluster.local/ns/others/sa/{number}" for number in range(150)]
Ask = dict[str, Any]


def by(caller: str) -> Ask:
    return {"caller": caller}


def get(path: str, **more: Any) -> Ask:
    return {"path": path, **more}


def at(host: str) -> Ask:
    return {"headers": {"host": host}}


def having(*headers: tuple[str, str]) -> Ask:
    """headers: in order, also several of a name."""
    return {"several": headers}


def told(**values: Any) -> Ask:
    return {"headers": claims(**values)}


def from_(**source: Any) -> dict[str, Any]:
    return {"from": [{"source": source}]}


def to(**operation: Any) -> dict[str, Any]:
    return {"to": [{"operation": operation}]}


def when(key: str, *values: str, but_not: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"when": [{"key": key, "values": list(values), "notValues": list(but_not)}]}


ALICE = {"iss": "https://issuer.example", "sub": "alice"}
CASES: dict[str, tuple[dict[str, Any], list[Ask], list[Ask]]] = {
    "anything": ({}, [get("/"), by(A)], []),
    "principals": (from_(principals=[A]), [by(A), by(OLD)], [by(B), by(f"{A}2")]),
    "principals, prefix": (from_(principals=["cluster.local/ns/a/*"]), [by(A)], [by(B), by(OLD)]),
    "principals, suffix": (from_(principals=["*/sa/web"]), [by(A), by(OLD)], [by(B)]),
    "principals, several": (
        from_(principals=[*OTHERS, "*/sa/w.rker", A, "cluster.local/ns/c/*"]),
        [by(A), by(OLD), by(OTHERS[140]), by("cluster.local/ns/c/sa/web")],
        [by(B), by(f"{A}2")],
    ),
    "not principals, several": (from_(notPrincipals=[A, *OTHERS]), [by(B), by(f"{A}2")], [by(A), by(OTHERS[140])]),
    "namespaces, several": (from_(namespaces=["x", "a*", "y", "*z"]), [by(A), by(OLD)], [by(B)]),
    "principals, presence": (from_(principals=["*"]), [by(A), by(B)], []),
    "notPrincipals": (from_(notPrincipals=[A]), [by(B)], [by(A), by(OLD)]),
    "namespaces": (from_(namespaces=["a"]), [by(A), by(OLD)], [by(B), by("cluster.local/ns/aa/sa/a")]),
    "namespaces, prefix": (from_(namespaces=["a*"]), [by(A), by("cluster.local/ns/aa/sa/a")], [by(B)]),
    "namespaces, suffix": (from_(namespaces=["*b"]), [by(B)], [by(A)]),
    "notNamespaces": (from_(notNamespaces=["a"]), [by(B)], [by(A)]),
    "serviceAccounts": (from_(serviceAccounts=["a/web"]), [by(A), by(OLD)], [by(B), by("cluster.local/ns/b/sa/web")]),
    "serviceAccounts of the policy's namespace": (from_(serviceAccounts=["caller"]), [by(CALLER)], [by(A)]),
    "notServiceAccounts": (from_(notServiceAccounts=["a/web"]), [by(B)], [by(A)]),
    "trustDomains": (from_(trustDomains=["other.example"]), [by("other.example/ns/a/sa/web")], [by(A), by(OLD)]),
    "trustDomains and aliases": (
        from_(trustDomains=["cluster.local"]),
        [by(A), by(OLD)],
        [by("other.example/ns/a/sa/b")],
    ),
    "notTrustDomains": (from_(notTrustDomains=["other.example"]), [by(A)], [by("other.example/ns/a/sa/web")]),
    "ipBlocks": (from_(ipBlocks=["127.0.0.0/8"]), [get("/")], []),
    "ipBlocks elsewhere": (from_(ipBlocks=["10.0.0.0/8"]), [], [get("/", headers={"x-forwarded-for": "10.1.1.1"})]),
    "notIpBlocks": (from_(notIpBlocks=["127.0.0.1"]), [], [get("/")]),
    "remoteIpBlocks": (
        from_(remoteIpBlocks=["127.0.0.0/8", "2001:db8::/32"]),
        [get("/"), get("/", headers={"x-forwarded-for": "11.1.1.1"})],
        [],
    ),
    "remoteIpBlocks, forged": (
        from_(remoteIpBlocks=["10.0.0.0/8", "2001:db8::/32"]),
        [],
        [get("/", headers={"x-forwarded-for": "10.1.1.1"}), get("/", headers={"x-forwarded-for": "2001:db8::1"})],
    ),
    "notRemoteIpBlocks": (
        from_(notRemoteIpBlocks=["10.1.1.1"]),
        [get("/"), get("/", headers={"x-forwarded-for": "10.1.1.1"})],
        [],
    ),
    "requestPrincipals": (
        from_(requestPrincipals=["https://issuer.example/alice"]),
        [told(**ALICE)],
        [get("/"), told(**{**ALICE, "sub": "bob"}), told(iss="https://other.example", sub="alice"), told(sub="alice")],
    ),
    "requestPrincipals, presence": (from_(requestPrincipals=["*"]), [told(**ALICE)], [get("/"), told(sub="alice")]),
    "requestPrincipals, prefix": (
        from_(requestPrincipals=["https://issuer.example/al*"]),
        [told(**ALICE)],
        [told(**{**ALICE, "sub": "bob"}), told(**{**ALICE, "iss": "https://issuer.example.evil"})],
    ),
    "requestPrincipals, any subject": (
        from_(requestPrincipals=["https://issuer.example/*"]),
        [told(**ALICE)],
        [told(iss="https://issuer.example.evil", sub="alice"), get("/")],
    ),
    "requestPrincipals, prefix within the issuer": (
        from_(requestPrincipals=["https://iss*"]),
        [told(**ALICE)],
        [told(iss="https://other.example", sub="alice")],
    ),
    "requestPrincipals, suffix": (
        from_(requestPrincipals=["*/alice"]),
        [told(**ALICE)],
        [told(**{**ALICE, "sub": "b"})],
    ),
    "notRequestPrincipals": (
        from_(notRequestPrincipals=["https://issuer.example/alice"]),
        [get("/"), told(**{**ALICE, "sub": "bob"})],
        [told(**ALICE)],
    ),
    "hosts": (to(hosts=["b.example"]), [at("b.example"), at("B.Example:80"), at("b.example.")], [at("a.b.example")]),
    "hosts with a port": (to(hosts=["b.example:80"]), [at("b.example:80")], [at("b.example"), at("b.example:81")]),
    "hosts, suffix": (to(hosts=["*.example"]), [at("b.example"), at("b.EXAMPLE:8080")], [at("b.example.com")]),
    "hosts, prefix": (to(hosts=["b.*"]), [at("b.example:80"), at("B.x")], [at("c.b.example")]),
    "hosts, presence": (to(hosts=["*"]), [at("b.example")], []),
    "notHosts": (to(notHosts=["b.example"]), [at("c.example")], [at("b.example"), at("B.example:1"), at("b.example.")]),
    "ports": (to(ports=["8080"]), [get("/")], []),
    "ports, of others": (to(ports=["81"]), [], [get("/")]),
    "ports of the service": (to(ports=["80"]), [get("/")], []),
    "notPorts": (to(notPorts=["8080"]), [], [get("/")]),
    "methods": (to(methods=["GET", "PUT"]), [get("/"), get("/", method="PUT")], [get("/", method="POST")]),
    "methods, prefix": (to(methods=["P*"]), [get("/", method="PUT"), get("/", method="POST")], [get("/")]),
    "notMethods": (to(notMethods=["DELETE"]), [get("/")], [get("/", method="DELETE")]),
    "paths": (to(paths=["/data"]), [get("/data"), get("/data?x=1")], [get("/data/"), get("/Data"), get("/x?/data")]),
    "paths, prefix": (to(paths=["/data/*"]), [get("/data/"), get("/data/x/y")], [get("/data"), get("/database")]),
    "paths, suffix": (to(paths=["*/info"]), [get("/a/info"), get("/info?x")], [get("/info/x"), get("/x?y=/info")]),
    "paths, presence": (to(paths=["*"]), [get("/"), get("/x")], []),
    "notPaths": (to(notPaths=["/healthz"]), [get("/")], [get("/healthz"), get("/healthz?x")]),
    "paths, templates": (
        to(paths=["/users/{*}/orders", "/files/{**}", "/a.b/{*}/{**}/z"]),
        [get("/users/a%20b|c/orders"), get("/files/"), get("/files/x/y?z"), get("/a.b/1/2/3/z")],
        [get("/users//orders"), get("/users/1/2/orders"), get("/users/1/orders/"), get("/files"), get("/acb/1/2/z")],
    ),
    "when request.headers": (
        when("request.headers[X-Kind]", "good", "pre*", "*fix"),
        [having(("x-kind", "good")), having(("X-KIND", "prefab")), having(("x-kind", "a suffix"))],
        [
            get("/"),
            having(("x-kind", "Good")),
            having(("x-kind", "good"), ("x-kind", "bad")),
            having(("x-kind", "good, bad")),
        ],
    ),
    "when request.headers, presence": (
        when("request.headers[x-kind]", "*"),
        [having(("x-kind", "any")), having(("x-kind", ""))],
        [get("/")],
    ),
    "when request.headers, not": (
        when("request.headers[x-kind]", but_not=("bad", "worse*")),
        [get("/"), having(("x-kind", "good"))],
        [
            having(("x-kind", "bad")),
            having(("x-kind", "bad"), ("x-kind", "good")),
            having(("x-kind", "good"), ("x-kind", "bad")),
            having(("x-kind", "good,bad ,good")),
            having(("x-kind", "good, worse and worse")),
        ],
    ),
    "when source.ip": (when("source.ip", "127.0.0.1", "10.0.0.0/8"), [get("/")], []),
    "when source.ip, not": (when("source.ip", but_not=("127.0.0.1",)), [], [get("/")]),
    "when remote.ip": (when("remote.ip", "127.0.0.1"), [get("/", headers={"x-forwarded-for": "10.1.1.1"})], []),
    "when source.namespace": (when("source.namespace", "a"), [by(A)], [by(B)]),
    "when source.principal": (when("source.principal", A), [by(A), by(OLD)], [by(B)]),
    "when source.principal, not": (when("source.principal", but_not=(A,)), [by(B)], [by(A), by(OLD)]),
    "when source.serviceAccount": (when("source.serviceAccount", "a/web", "caller"), [by(A), by(CALLER)], [by(B)]),
    "when source.trustDomain": (when("source.trustDomain", "cluster.local"), [by(A)], [by("other.example/ns/a/sa/b")]),
    "when request.auth.principal": (
        when("request.auth.principal", "https://issuer.example/alice"),
        [told(**ALICE)],
        [get("/")],
    ),
    "when request.auth.audiences": (
        when("request.auth.audiences", "api", "web*"),
        [told(aud="api"), told(aud=["x", "website"])],
        [told(aud="x"), told(aud=["x"]), get("/"), told(aud={"api": "api"})],
    ),
    "when request.auth.presenter": (
        when("request.auth.presenter", "app"),
        [told(azp="app")],
        [told(azp="b"), get("/")],
    ),
    "when request.auth.claims": (
        when("request.auth.claims[groups]", "admin", "ops-*"),
        [told(groups=["x", "admin"]), told(groups="ops-eu")],
        [told(groups=["x"]), told(groups="xadmin"), told(group="admin"), get("/"), told(groups=[])],
    ),
    "when request.auth.claims, nested": (
        when("request.auth.claims[realm][roles]", "admin"),
        [told(realm={"roles": ["admin"]}), told(realm={"roles": "admin"})],
        [told(realm={"role": "admin"}), told(realm="admin"), told(roles=["admin"])],
    ),
    "when request.auth.claims, presence": (
        when("request.auth.claims[email]", "*"),
        [told(email="a@b"), told(email="a\nb")],
        [told(email=""), told(mail="a@b")],
    ),
    "when request.auth.claims, not": (
        when("request.auth.claims[groups]", but_not=("guests",)),
        [get("/"), told(groups=["x"])],
        [told(groups=["x", "guests"]), told(groups="guests")],
    ),
    "when destination.ip": (when("destination.ip", "127.0.0.0/8"), [get("/")], []),
    "when destination.ip, not": (when("destination.ip", but_not=("127.0.0.0/8",)), [], [get("/")]),
    "when destination.port": (when("destination.port", "8080"), [get("/")], []),
    "when destination.port, not": (when("destination.port", but_not=("8080",)), [], [get("/")]),
    "when connection.sni": (when("connection.sni", "outbound-.*", "outbound*"), [get("/")], []),
    "when connection.sni, not": (when("connection.sni", but_not=("outbound*",)), [], [get("/")]),
    "all of a source and of an operation": (
        {**from_(namespaces=["a"], notPrincipals=[f"{A}2"]), **to(methods=["GET"], paths=["/x"])},
        [get("/x", caller=A)],
        [get("/x", caller=B), get("/x", caller=A, method="PUT"), get("/", caller=A), get("/x", caller=f"{A}2")],
    ),
    "one of several sources and operations": (
        {
            "from": [{"source": {"namespaces": ["a"]}}, {"source": {"namespaces": ["b"]}}],
            "to": [{"operation": {"paths": ["/x"]}}, {"operation": {"methods": ["PUT"]}}],
            **when("request.headers[x-kind]", "good"),
        },
        [get("/x", caller=A, headers={"x-kind": "good"}), get("/", caller=B, method="PUT", headers={"x-kind": "good"})],
        [get("/x", caller=A), get("/x", headers={"x-kind": "good"}), get("/", caller=A, headers={"x-kind": "good"})],
    ),
}


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    ports = {}
    for name, (written, _, _) in CASES.items():
        for action in ("ALLOW", "DENY"):
            ports[f"{action} {name}"] = access(rule(action, **written), aliases=("old.example",))
    trusted = (WORKLOAD_PREFIX, workload_prefix("old.example"), workload_prefix("other.example"))
    with guarded(tmp_path_factory.mktemp("envoy"), ports, trusted=trusted) as made:
        yield made


def test_a_rule_allows_what_it_fits_and_nothing_else(sidecar: Guarded) -> None:
    for name, (_, fits, fails) in CASES.items():
        expected = [*((ask, 200) for ask in fits), *((ask, 403) for ask in fails)]
        assert [(ask, status(sidecar, f"ALLOW {name}", ask)) for ask, _ in expected] == expected, name


def test_a_rule_denies_what_it_fits_and_nothing_else(sidecar: Guarded) -> None:
    for name, (_, fits, fails) in CASES.items():
        # Of a header with several values a single one is enough for a refusal, and none for a permission.
        expected = [*((ask, 403) for ask in fits), *((ask, 200) for ask in fails if not several_values(ask))]
        assert [(ask, status(sidecar, f"DENY {name}", ask)) for ask, _ in expected] == expected, name


def several_values(ask: Ask) -> bool:
    given = ask.get("several", ())
    return len(given) > 1 or any("," in value for _, value in given)


def status(sidecar: Guarded, port: str, ask: Ask) -> int:
    several = ask.get("several", ())
    if several:
        lines = ["GET / HTTP/1.1", "host: guarded", *(f"{name}: {value}" for name, value in several), "", ""]
        return sidecar.say(port, "\r\n".join(lines).encode()).status
    return sidecar.ask(port, **ask).status
