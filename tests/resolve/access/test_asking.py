"""Who is meant by a caller, what comes before policies, and how rules are told in words."""

from __future__ import annotations

from typing import Any

import pytest

from declared_mesh import mesh
from tulle.ir import access as ir
from tulle.ir.access import Access, Action, Attribute, Condition, Policy, Rule, Value
from tulle.model.names import ServiceName
from tulle.model.workload import Health, Proxy, ServicePort, Workload
from tulle.resolve.access.asking import From, answer, caller
from tulle.resolve.access.calls import Call, Written
from tulle.resolve.access.doors import Door, Unknown, doors, service
from tulle.resolve.access.evaluation import evaluate
from tulle.resolve.access.words import rule_in_words
from tulle.resolve.mesh import Mesh

WEB = ServiceName("default", "web")
PEERS = "PeerAuthentication all\nmtls: {{mode: {}}}"


def proxy(number: int, account: str, *ports: ServicePort) -> Proxy:
    workload = Workload(
        f"web-{number}", WEB, account, "v1", ports=ports or (ServicePort(80, 8080),), health=Health.HEALTHY
    )
    return Proxy(workload.id, "127.0.0.1", 15001, 15002, (workload,))


def door(there: Mesh, port: int = 80) -> Door:
    [found] = doors(there, WEB, port)
    return found


def asked(there: Mesh, by: str, port: int = 80) -> Any:
    return answer(door(there, port), From(by), "", "sni", Written(host="web"))


def test_a_service_with_several_identities_is_no_caller() -> None:
    there = mesh(there=(proxy(1, "web"), proxy(2, "robot")))
    with pytest.raises(Unknown, match=r"several identities; say which instead: .*sa/robot, .*sa/web"):
        caller(there, "web", "default")
    assert caller(there, "spiffe://cluster.local/ns/default/sa/robot", "default").principal.endswith("sa/robot")


def test_every_form_of_a_name_is_understood() -> None:
    there = mesh(there=(proxy(1, "web"),))
    forms = ("web", "web.default", "default/web", "web.default.svc.cluster.local", "Web.Default.", "web.default.svc")
    assert {service(there, text, "default").name for text in forms} == {WEB}
    for text in ("", "a.b.c", "web/default/x", "api.example.com"):
        with pytest.raises(Unknown):
            service(there, text, "default")


def test_a_port_that_is_not_there_answers_nothing() -> None:
    there = mesh(there=(proxy(1, "web", ServicePort(80, 1), ServicePort(81, 2)),))
    with pytest.raises(Unknown, match=r"web.default has no port 9; it has 80, 81"):
        doors(there, WEB, 9)


def test_sidecars_that_come_in_plain_text_have_no_identity() -> None:
    there = mesh(PEERS.format("DISABLE"), there=(proxy(1, "web"),))
    said = asked(there, "cluster.local/ns/default/sa/web")
    assert said.allowed and "nobody's identity is known" in said.notes[0]


def test_plain_text_is_for_the_first_port_that_takes_it() -> None:
    there = mesh(PEERS.format("PERMISSIVE"), there=(proxy(1, "web", ServicePort(80, 1), ServicePort(81, 2)),))
    assert asked(there, "").notes == ()
    assert asked(there, "", 81).notes == (
        "plain text at the sidecar's own door is for port 80, and judged by what holds there",
    )


def test_a_path_that_the_sidecar_refuses_comes_to_no_policy() -> None:
    there = mesh(there=(proxy(1, "web"),))
    said = answer(door(there), From("cluster.local/ns/default/sa/web"), "", "sni", Written(path="/a#b", host="web"))
    assert (said.allowed, said.status, said.verdict) == (False, 400, None)


def test_whom_a_custom_policy_asks_is_told_beside_the_answer() -> None:
    policies = (Policy("A", Action.CUSTOM, (Rule(),), provider="opa"), Policy("B", Action.CUSTOM, (), provider="other"))
    verdict = evaluate(Access(policies), Call())
    assert (verdict.allowed, verdict.custom) == (True, ("opa",))


CUSTOM = "AuthorizationPolicy asks\naction: CUSTOM\nprovider: {name: nobody}\nrules: [{}]"
TOKENS = "RequestAuthentication users\njwtRules: [{issuer: far, jwksUri: 'https://far.example/keys'}]"


def test_what_a_provider_that_is_not_there_would_decide_is_denied() -> None:
    said = asked(mesh(CUSTOM, there=(proxy(1, "web"),)), "cluster.local/ns/default/sa/web")
    assert (said.allowed, said.status) == (False, 403) and "nobody can be asked" in said.refused


def test_no_token_is_good_before_its_issuers_keys_are_there() -> None:
    there = mesh(TOKENS, there=(proxy(1, "web"),))
    written = Written(host="web", claims={"iss": "far", "sub": "alice"})
    said = answer(door(there), From("cluster.local/ns/default/sa/web"), "", "sni", written)
    assert (said.allowed, said.status) == (False, 401) and "no keys of the issuer" in said.refused


def test_rules_are_told_in_words() -> None:
    def of(
        attribute: Attribute, *values: Value, but_not: tuple[Value, ...] = (), key: tuple[str, ...] = ()
    ) -> Condition:
        return Condition(attribute, values, but_not, key)

    get, post = Value(ir.Test.EXACT, "GET"), Value(ir.Test.EXACT, "POST")
    shop, data = Value(ir.Test.PREFIX, "shop"), Value(ir.Test.TEMPLATE, "/{*}/data")
    rule = Rule(
        sources=(
            (of(Attribute.NAMESPACE, shop), of(Attribute.SOURCE_IP, but_not=(Value(ir.Test.CIDR, "10.0.0.0/8"),))),
            (),
        ),
        operations=((of(Attribute.METHOD, get, post), of(Attribute.PATH, data)),),
        when=(of(Attribute.CLAIM, Value(ir.Test.PRESENT), key=("realm", "roles")),),
    )
    assert rule_in_words(rule) == (
        "from namespace shop* and not source address 10.0.0.0/8, or anybody; "
        "to method GET or POST and path /{*}/data; when claim realm.roles *"
    )
    assert rule_in_words(Rule()) == "any request"
