"""Policies of `security.istio.io` that are valid and do nothing, or not what they say."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from declared_mesh import instance, mesh, resources
from tulle.model.levels import Level
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.resource import Ref, Resource
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Protocol, Proxy
from tulle.resolve.analysis.analyse import analyse
from tulle.resolve.analysis.findings import Finding
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh

WEB, DB = instance("web"), instance("db", protocol=Protocol.TCP, port=5432)
THERE = (WEB, DB, instance("api", "shop"))

ISSUER = "\njwtRules: [{issuer: a, jwksUri: 'https://a.com'}]"
ALLOW = "AuthorizationPolicy allow\nselector: {matchLabels: {app: web}}\n"


def found(*documents: str, there: tuple[Proxy, ...] = THERE, config: MeshConfig | None = None) -> tuple[Finding, ...]:
    made = mesh(*documents, there=there)
    if config is not None:
        ref = Ref("MeshConfig", "", "mesh")
        made, _ = apply(made, Snapshot(2, resources={ref: Resource(ref, config)}))
    return analyse(made)


def only(*documents: str, there: tuple[Proxy, ...] = THERE, config: MeshConfig | None = None) -> Finding:
    findings = found(*documents, there=there, config=config)
    assert len(findings) == 1, findings
    return findings[0]


def rule(text: str) -> str:
    return f"{ALLOW}rules: [{{{text}}}]"


def source(text: str) -> str:
    return rule(f"from: [{{source: {{{text}}}}}]")


@pytest.mark.parametrize(
    "document",
    [
        "PeerAuthentication all\nmtls: {mode: STRICT}",
        "PeerAuthentication istio-system/mesh\nselector: {matchLabels: {app: api}}",
        "PeerAuthentication web\nselector: {matchLabels: {app: web}}\nportLevelMtls: {8080: {}, 80: {}}",
        "RequestAuthentication web\ntargetRef: {kind: Service, name: web}" + ISSUER,
        "AuthorizationPolicy nobody\n{}",
        source("principals: [cluster.local/ns/shop/sa/api, 'cluster.local/*', '*/sa/db', '*']"),
        source("serviceAccounts: [db, shop/api]"),
        source("namespaces: [shop, 'sh*'], trustDomains: [cluster.local]"),
        source("notNamespaces: [shop]"),
        rule("to: [{operation: {ports: ['8080', '80', '0080'], notPorts: ['81'], paths: [/a]}}]"),
        rule("when: [{key: source.namespace, values: [shop]}, {key: destination.port, values: ['80']}]"),
        "AuthorizationPolicy istio-system/all\naction: DENY\nrules: [{from: [{source: {notNamespaces: [shop]}}]}]",
    ],
)
def test_what_does_all_that_it_says_is_left_in_peace(document: str) -> None:
    assert found(document) == ()


@pytest.mark.parametrize("kind", ["PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"])
def test_a_policy_that_selects_nobody_is_not_in_force(kind: str) -> None:
    rest = ISSUER if kind == "RequestAuthentication" else ""
    finding = only(f"{kind} a\nselector: {{matchLabels: {{app: api}}}}{rest}")
    assert (finding.path, finding.code, finding.level) == ("spec.selector", "IST0127", Level.WARNING)
    assert finding.not_in_force == "it selects no workload"
    finding = only(f"{kind} nowhere/a\nselector: {{}}{rest}")
    assert (finding.path, finding.level, finding.not_in_force) == ("metadata.namespace", Level.INFO, "")


@pytest.mark.parametrize("kind", ["RequestAuthentication", "AuthorizationPolicy"])
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("{kind: Service, name: api}", "there is no service api"),
        ("{kind: Gateway, group: gateway.networking.k8s.io, name: front}", "no gateway"),
    ],
)
def test_a_target_that_is_not_there_leaves_it_out_of_force_if_it_is_the_only_one(
    kind: str, target: str, reason: str
) -> None:
    rest = ISSUER if kind == "RequestAuthentication" else ""
    finding = only(f"{kind} a\ntargetRef: {target}{rest}")
    assert (finding.path, finding.code, finding.not_in_force) == ("spec.targetRef", "IST0101", reason)
    finding = only(f"{kind} a\ntargetRefs: [{{kind: Service, name: web}}, {target}]{rest}")
    assert (finding.path, finding.not_in_force) == ("spec.targetRefs[1]", "")


def test_a_service_of_another_namespace_is_told_with_its_whole_name() -> None:
    finding = only("AuthorizationPolicy a\ntargetRef: {kind: Service, name: api}")
    assert finding.message.endswith("did you mean api.shop.svc.cluster.local?")


@pytest.mark.parametrize("space", ["default", "istio-system"])
def test_of_two_peer_authentications_for_all_the_older_is_in_force(space: str) -> None:
    finding = only(
        f"PeerAuthentication {space}/old\n{{}}", f"PeerAuthentication {space}/young\nmtls: {{mode: DISABLE}}"
    )
    whose = "the mesh" if space == "istio-system" else "the namespace"
    assert (finding.ref.name, finding.level) == ("young", Level.ERROR)
    assert finding.not_in_force == f"PeerAuthentication {space}/old, older, counts for {whose}"


def test_mesh_namespace_and_workload_do_not_compete() -> None:
    one = "PeerAuthentication web\nselector: {matchLabels: {app: web}}"
    assert found("PeerAuthentication istio-system/mesh\n{}", "PeerAuthentication space\n{}", one) == ()


def test_of_two_peer_authentications_for_a_workload_the_older_is_in_force() -> None:
    there = (*THERE, instance("web", version="v2"))
    wide = "PeerAuthentication wide\nselector: {matchLabels: {app: web}}"
    narrow = "PeerAuthentication narrow\nselector: {matchLabels: {version: v2}}"
    finding = only(wide, narrow, there=there)
    assert finding.not_in_force == "PeerAuthentication default/wide, older, selects its workloads"
    finding = only(narrow, wide, there=there)
    assert (finding.ref.name, finding.not_in_force) == ("wide", "")
    assert "selects the workload web-default-v2-0 too" in finding.message


def test_a_port_that_nobody_has_is_told() -> None:
    selector = "\nselector: {matchLabels: {app: db}}\n"
    finding = only(f"PeerAuthentication a{selector}portLevelMtls: {{80: {{mode: STRICT}}}}")
    assert (finding.path, finding.code) == ("spec.portLevelMtls.80", "IST0101")
    assert finding.message == "none of its workloads has a port 80; their ports: 5432, 8080"
    finding = only(f"AuthorizationPolicy a{selector}rules: [{{to: [{{operation: {{ports: ['5432', '80']}}}}]}}]")
    assert finding.path == "spec.rules[0].to[0].operation.ports[1]"
    finding = only(f"AuthorizationPolicy a{selector}rules: [{{when: [{{key: destination.port, values: ['80']}}]}}]")
    assert finding.path == "spec.rules[0].when[0].values[0]"


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("principals: ['*', cluster.local/ns/a/sa/b]", "principals[1]", "the identity cluster.local/ns/a/sa/b:"),
        ("namespaces: [shop, nowhere]", "namespaces[1]", "the namespace nowhere"),
        ("serviceAccounts: [web, api]", "serviceAccounts[1]", "the service account api"),
        ("trustDomains: [cluster.local, other.com]", "trustDomains[1]", "the trust domain other.com"),
    ],
)
def test_a_caller_that_does_not_exist_is_told(text: str, path: str, said: str) -> None:
    finding = only(source(text))
    assert (finding.path, finding.level) == (f"spec.rules[0].from[0].source.{path}", Level.WARNING)
    assert said in finding.message and finding.message.endswith("it fits nobody")


def test_nobody_kept_out_may_be_meant_so() -> None:
    finding = only(source("notPrincipals: [cluster.local/ns/a/sa/b]"))
    assert (finding.path, finding.level) == ("spec.rules[0].from[0].source.notPrincipals[0]", Level.INFO)


def test_a_whole_spiffe_id_is_answered_with_what_to_write() -> None:
    first, second = found(source("principals: ['spiffe://cluster.local/ns/shop/sa/api']"))
    assert "(did you mean cluster.local/ns/shop/sa/api?)" in first.message or "(did you mean" in second.message


def test_who_is_in_another_trust_domain_is_not_known() -> None:
    config = MeshConfig(trust_domain_aliases=("old.com",))
    assert found(source("principals: [old.com/ns/a/sa/b], trustDomains: [old.com]"), config=config) == ()


def test_rules_that_fit_nobody_allow_nobody_and_deny_nobody() -> None:
    dead = "rules: [{from: [{source: {namespaces: [a]}}]}, {when: [{key: source.namespace, values: [b]}]}]"
    allow, *_ = found(f"AuthorizationPolicy a\n{dead}")
    assert (allow.path, allow.not_in_force) == ("spec.rules[0].from[0].source.namespaces[0]", "")
    [whole] = [one for one in found(f"AuthorizationPolicy a\n{dead}") if one.path == "spec.rules"]
    assert whole.message.endswith("it allows nobody and keeps others out") and not whole.not_in_force
    [whole] = [one for one in found(f"AuthorizationPolicy a\naction: DENY\n{dead}") if one.path == "spec.rules"]
    assert whole.not_in_force == "none of its rules fits any caller"
    alive = dead.replace("{source: {namespaces: [a]}}", "{source: {namespaces: [a]}}, {source: {namespaces: [shop]}}")
    assert "spec.rules" not in [one.path for one in found(f"AuthorizationPolicy a\n{alive}")]


def test_a_provider_that_does_not_exist_is_an_error() -> None:
    custom = ALLOW + "action: CUSTOM\nprovider: {name: opa}\nrules: [{}]"
    finding = only(custom)
    assert (finding.path, finding.level) == ("spec.provider.name", Level.ERROR)
    assert finding.message == "MeshConfig has no extension provider opa"
    [config] = resources(
        "MeshConfig mesh\nextensionProviders: [{name: opa, envoyExtAuthzGrpc: {service: a.b, port: 1}}]", namespace=""
    )
    assert isinstance(config.spec, MeshConfig)
    finding = only(custom, config=config.spec)
    assert finding.message.startswith("the mesh has no service a.b with a port 1: ")
    other = replace(config.spec, extension_providers=(replace(config.spec.extension_providers[0], name="other"),))
    assert only(custom, config=other).message == "MeshConfig has no extension provider opa; there are: other"


@pytest.mark.parametrize(
    "text",
    [
        "from: [{source: {requestPrincipals: ['*']}}]",
        "from: [{source: {notRequestPrincipals: ['*']}}]",
        "when: [{key: 'request.auth.claims[group]', values: [a]}]",
    ],
)
def test_tokens_of_which_nobody_says_whose_count_are_told(text: str) -> None:
    finding = only(rule(text))
    assert (finding.path, finding.code) == ("spec.rules[0]", "IST0101")
    assert finding.message.startswith("no RequestAuthentication says whose tokens count for web.default")
    for issuer in (
        "web\nselector: {matchLabels: {app: web}}",
        "istio-system/all",
        "web\ntargetRef: {kind: Service, name: web}",
    ):
        assert found(rule(text), f"RequestAuthentication {issuer}{ISSUER}") == ()
    assert len(found(rule(text), f"RequestAuthentication db\nselector: {{matchLabels: {{app: db}}}}{ISSUER}")) >= 1


@pytest.mark.parametrize(
    ("action", "said"), [("ALLOW", "it fits nothing there"), ("DENY", "there it is taken without that")]
)
def test_what_asks_of_tcp_for_things_of_http_is_told(action: str, said: str) -> None:
    text = f"AuthorizationPolicy a\nselector: {{matchLabels: {{app: db}}}}\naction: {action}\n"
    finding = only(f"{text}rules: [{{}}, {{to: [{{operation: {{methods: [GET], ports: ['5432']}}}}]}}]")
    assert finding.path == "spec.rules[1]"
    assert finding.message == f"it asks for things of HTTP, and db.default carries none: {said}"
    for harmless in (
        "from: [{source: {namespaces: [shop], ipBlocks: [10.0.0.0/8]}}]",
        "when: [{key: connection.sni, values: [a]}]",
    ):
        assert found(f"{text}rules: [{{{harmless}}}]") == ()


def test_tokens_where_there_is_no_http_are_told_unless_others_carry_it() -> None:
    finding = only(f"RequestAuthentication a\nselector: {{matchLabels: {{app: db}}}}{ISSUER}")
    assert "db.default carries no HTTP" in finding.message
    assert found(f"RequestAuthentication a{ISSUER}") == ()
    assert only("RequestAuthentication a\n{}").not_in_force == "it has no jwtRules"


def test_a_finding_knows_the_line_of_its_value() -> None:
    [resource] = resources(source("namespaces: [nowhere]"))
    assert resource.origin.lines["spec.rules[0].from[0].source.namespaces[0]"] > 0


def test_the_time_for_many_grows_with_their_number_alone() -> None:
    """All of one namespace and one service: what a quadratic step would show. No time is asserted but the ratio's."""
    who = "from: [{source: {requestPrincipals: ['*'], namespaces: [shop]}}]"
    allow = rule(f"{who}, to: [{{operation: {{ports: ['80']}}}}]")

    def seconds(number: int) -> float:
        documents = [allow.replace("allow", f"allow{n}") for n in range(number)]
        documents += [f"PeerAuthentication p{n}\nselector: {{matchLabels: {{app: web}}}}" for n in range(number)]
        documents += [f"PeerAuthentication all{n}\n{{}}" for n in range(number)]
        documents += [
            f"RequestAuthentication r{n}\nselector: {{matchLabels: {{app: db}}}}{ISSUER}" for n in range(number)
        ]
        world = mesh(*documents, there=(*THERE, *(instance("web", number=n) for n in range(1, 20))))
        return min(_timed(world) for _ in range(3))

    few, many = seconds(30), seconds(240)
    assert many < 8 * few * 4


def _timed(world: Mesh) -> float:
    started = time.process_time()
    analyse(world)
    return time.process_time() - started
