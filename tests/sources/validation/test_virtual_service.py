"""VirtualService: hosts, gateways, delegates, rules for TLS and TCP, and rules that no call reaches.

Each story is a document and what is said of it, by path. Sound documents have nothing said of them.
"""

from __future__ import annotations

import re

import msgspec
import pytest
import yaml

from tulle.model.resources.virtual_service import VirtualService
from tulle.sources.at import At, Report
from tulle.sources.unsupported import note_unsupported
from tulle.sources.validation import virtual_service

WHAT_TO_DO = re.compile(r"\b(use|write|give|name|keep|take|put|add|shorten|encode|let|match|leave|must)\b")
ROUTE = "route: [{destination: {host: cart}}]"


def said(text: str, namespace: str = "shop") -> dict[str, str]:
    """Severity by path. That each message also says what to do is asked of all of them here."""
    report = Report(namespace=namespace)
    spec = msgspec.convert(yaml.safe_load(text), VirtualService)
    virtual_service.check(spec, At(report))
    note_unsupported(spec, At(report))
    for problem in report.problems:
        assert WHAT_TO_DO.search(problem.message), problem
    return {problem.path: problem.severity.value for problem in report.problems}


def hosts(*names: str, more: str = "") -> str:
    return f"{{hosts: {list(names)}, http: [{{{ROUTE}}}]{more}}}"


def tls(match: str, rest: str = ROUTE, more: str = "") -> str:
    return f"{{hosts: [pay.example.com, '*.bank.example'], tls: [{{match: [{{{match}}}], {rest}}}]{more}}}"


def tcp(match: str, rest: str = ROUTE) -> str:
    return f"{{hosts: [ledger], tcp: [{{match: [{{{match}}}], {rest}}}]}}"


def http(*rules: str) -> str:
    return (
        f"{{hosts: [cart], http: [{', '.join(f'{{{rule}, {ROUTE}}}' if rule else f'{{{ROUTE}}}' for rule in rules)}]}}"
    )


SOUND = {
    "a short name": hosts("cart"),
    "a full name": hosts("cart.shop.svc.cluster.local"),
    "a name with a final dot": hosts("api.example.com."),
    "a name with capital letters": hosts("Cart.shop"),
    "an address": hosts("10.1.2.3"),
    "an address of IPv6": hosts("2001:db8::1"),
    "a wildcard": hosts("*.example.com"),
    "a wildcard within a label": hosts("*-cart.example.com"),
    "hosts of one domain": hosts("a.example.com", "b.example.com"),
    "everything, at a gateway": hosts("*", more=", gateways: [edge]"),
    "a gateway of another namespace": hosts("cart", more=", gateways: [infra/edge]"),
    "the mesh and a gateway": hosts("cart", more=", gateways: [infra/edge, mesh]"),
    "rules to lend": f"{{http: [{{{ROUTE}}}]}}",
    "rules to lend, for some callers": f"{{http: [{{match: [{{sourceNamespace: web}}], {ROUTE}}}]}}",
    "lent rules": "{hosts: [cart], http: [{delegate: {name: cart-rules, namespace: team}}]}",
    "lent rules at a gateway": "{hosts: [cart], gateways: [edge], http: [{delegate: {name: cart-rules}}]}",
    "exported to all": hosts("cart", more=", exportTo: ['*']"),
    "exported to some": hosts("cart", more=", exportTo: ['.', web]"),
    "TLS by name": tls("sniHosts: [pay.example.com], port: 443"),
    "TLS by a name that a wildcard holds": tls("sniHosts: [a.bank.example]"),
    "TLS by a wildcard": tls("sniHosts: ['*.eu.bank.example']"),
    "TLS by an address": tls("sniHosts: [pay.example.com], destinationSubnets: [10.0.0.0/8, 10.1.2.3]"),
    "TLS between gateways of Istio": (
        "{hosts: [outbound_.443_._.cart.shop], gateways: [infra/edge], "
        f"tls: [{{match: [{{sniHosts: [outbound_.443_._.cart.shop]}}], {ROUTE}}}]}}"
    ),
    "TCP for all": f"{{hosts: [ledger], tcp: [{{{ROUTE}}}]}}",
    "TCP by port and caller": tcp("port: 5432, sourceLabels: {app: web}, sourceNamespace: web, gateways: [mesh]"),
    "TCP by address": tcp("destinationSubnets: ['2001:db8::/32']"),
    "a split of connections": (
        "{hosts: [ledger], tcp: [{route: [{destination: {host: a}, weight: 9}, {destination: {host: b}, weight: 0}]}]}"
    ),
    "a long prefix first": http("match: [{uri: {prefix: /a/b}}]", "match: [{uri: {prefix: /a}}]", ""),
    "prefixes told apart by port": http(
        "match: [{uri: {prefix: /a}, port: 80}]", "match: [{uri: {prefix: /ab}, port: 81}]"
    ),
    "prefixes told apart by a header": http(
        "match: [{uri: {prefix: /a}, headers: {x: {exact: '1'}}}]", "match: [{uri: {prefix: /ab}}]"
    ),
    "prefixes told apart by a value": http(
        "match: [{uri: {prefix: /a}, queryParams: {x: {exact: '1'}}}]",
        "match: [{uri: {prefix: /ab}, queryParams: {x: {exact: '2'}}}]",
    ),
    "an exact path after its prefix": http(
        "match: [{uri: {prefix: /}}]", "match: [{uri: {exact: /}, method: {exact: GET}}]"
    ),
}

WRONG = {
    "nothing routed": ("{hosts: [cart]}", {"spec": "error"}),
    "no name": (hosts("ca!rt"), {"spec.hosts[0]": "error"}),
    "an empty name": (hosts(""), {"spec.hosts[0]": "error"}),
    "a name that is too long": (hosts(".".join(["a" * 60] * 5)), {"spec.hosts[0]": "error"}),
    "a label that is too long": (hosts("a" * 64), {"spec.hosts[0]": "error"}),
    "a number at the end": (hosts("api.example.1"), {"spec.hosts[0]": "error"}),
    "a wildcard in the middle": (hosts("api.*.com"), {"spec.hosts[0]": "error"}),
    "everything, in the mesh": (hosts("*"), {"spec.hosts[0]": "error"}),
    "everything, in the mesh and at a gateway": (
        hosts("*", more=", gateways: [edge, mesh]"),
        {"spec.hosts[0]": "error"},
    ),
    "a host twice": (hosts("cart", "cart"), {"spec.hosts[1]": "error"}),
    "a host within a wildcard": (hosts("*.bar", "*.foo.bar"), {"spec.hosts[1]": "error"}),
    "a wildcard around a host": (hosts("a.foo.bar", "*.bar"), {"spec.hosts[1]": "error"}),
    "a name of Istio's in the mesh": (hosts("outbound_.443_._.cart.shop"), {"spec.hosts[0]": "error"}),
    "no gateway's name": (hosts("cart", more=", gateways: [b@d]"), {"spec.gateways[0]": "error"}),
    "any gateway of a namespace": (hosts("cart", more=", gateways: [infra/*]"), {"spec.gateways[0]": "error"}),
    "a gateway of any namespace": (hosts("cart", more=", gateways: ['*/edge']"), {"spec.gateways[0]": "error"}),
    "a gateway of no namespace": (hosts("cart", more=", gateways: [/edge]"), {"spec.gateways[0]": "error"}),
    "a gateway by its old name": (
        hosts("cart", more=", gateways: [edge.infra.svc.cluster.local]"),
        {"spec.gateways[0]": "warning"},
    ),
    "a second gateway's name": (hosts("cart", more=", gateways: [mesh, b@d]"), {"spec.gateways[1]": "warning"}),
    "lent rules with a gateway": (f"{{gateways: [edge], http: [{{{ROUTE}}}]}}", {"spec.gateways": "error"}),
    "lent rules for TCP": (f"{{tcp: [{{{ROUTE}}}]}}", {"spec.tcp": "error"}),
    "lent rules for TLS": (
        f"{{tls: [{{match: [{{sniHosts: [a.com]}}], {ROUTE}}}]}}",
        {"spec.tls": "error", "spec.tls[0].match[0].sniHosts[0]": "error"},
    ),
    "lent rules that are lent on": (
        "{http: [{delegate: {name: a}}]}",
        {"spec.http[0].delegate": "error", "spec.http[0]": "error"},
    ),
    "lent rules that do nothing": ("{http: [{}]}", {"spec.http[0]": "error"}),
    "a delegate and a route": (
        f"{{hosts: [cart], http: [{{delegate: {{name: a}}, {ROUTE}}}]}}",
        {"spec.http[0].route": "error"},
    ),
    "a delegate and a redirect": (
        "{hosts: [cart], http: [{delegate: {name: a}, redirect: {uri: /}}]}",
        {"spec.http[0].redirect": "error"},
    ),
    "a delegate without a name": ("{hosts: [cart], http: [{delegate: {}}]}", {"spec.http[0].delegate.name": "warning"}),
    "exported twice": (hosts("cart", more=", exportTo: ['.', shop]"), {"spec.exportTo[1]": "error"}),
    "exported to all and one": (hosts("cart", more=", exportTo: ['*', web]"), {"spec.exportTo": "error"}),
    "exported to nobody": (hosts("cart", more=", exportTo: ['~']"), {"spec.exportTo[0]": "error"}),
    "TLS for no name": (tls("port: 443"), {"spec.tls[0].match[0].sniHosts": "error"}),
    "TLS for a stranger": (tls("sniHosts: [other.example.com]"), {"spec.tls[0].match[0].sniHosts[0]": "error"}),
    "TLS for more than its hosts": (tls("sniHosts: ['*.example']"), {"spec.tls[0].match[0].sniHosts[0]": "error"}),
    "TLS for a bad wildcard": (tls("sniHosts: [a.*.com]"), {"spec.tls[0].match[0].sniHosts[0]": "error"}),
    "TLS for an address": (tls("sniHosts: [1.1.1.1]"), {"spec.tls[0].match[0].sniHosts[0]": "warning"}),
    "TLS without a match": (f"{{hosts: [a.com], tls: [{{{ROUTE}}}]}}", {"spec.tls[0].match": "error"}),
    "TLS that goes nowhere": (tls("sniHosts: [pay.example.com]", "route: []"), {"spec.tls[0].route": "error"}),
    "TCP that goes nowhere": (tcp("port: 99", "route: []"), {"spec.tcp[0].route": "error"}),
    "TCP at no port": (tcp("port: 70000"), {"spec.tcp[0].match[0].port": "error"}),
    "TCP for no subnet": (
        tcp("destinationSubnets: [10.0.0.0/33]"),
        {"spec.tcp[0].match[0].destinationSubnets[0]": "error"},
    ),
    "TCP for an address of one machine's interface": (
        tcp("destinationSubnets: ['fe80::1%eth0']"),
        {"spec.tcp[0].match[0].destinationSubnets[0]": "unsupported"},
    ),
    "TCP for a netmask": (
        tcp("destinationSubnets: [10.0.0.0/255.0.0.0]"),
        {"spec.tcp[0].match[0].destinationSubnets[0]": "error"},
    ),
    "TCP by the caller's address": (
        tcp("sourceSubnet: 10.0.0.0/8"),
        {"spec.tcp[0].match[0].sourceSubnet": "unsupported"},
    ),
    "TCP for a bad label": (tcp("sourceLabels: {app: 'a b'}"), {"spec.tcp[0].match[0].sourceLabels.app": "error"}),
    "TCP for a bad key": (tcp("sourceLabels: {-app: a}"), {"spec.tcp[0].match[0].sourceLabels.-app": "error"}),
    "TCP for a bad gateway": (tcp("gateways: [a/b/c]"), {"spec.tcp[0].match[0].gateways[0]": "error"}),
    "TCP for no namespace": (tcp("sourceNamespace: a.b"), {"spec.tcp[0].match[0].sourceNamespace": "warning"}),
    "a rule after one for all": (http("", "match: [{port: 80}]"), {"spec.http[1]": "warning"}),
    "two rules for all": (http("", ""), {"spec.http[1]": "warning"}),
    "a match twice": (
        http("match: [{name: a, uri: {exact: /}}]", "match: [{name: b, uri: {exact: /}}]"),
        {"spec.http[1].match[0]": "warning", "spec.http[1]": "warning"},
    ),
    "a match twice in one rule": (
        http("match: [{uri: {exact: /}}, {uri: {exact: /}}]"),
        {"spec.http[0].match[1]": "warning"},
    ),
    "a short prefix first": (
        http("match: [{uri: {prefix: /a}}]", "match: [{uri: {prefix: /a/b}, method: {exact: GET}}]"),
        {"spec.http[1].match[0]": "warning"},
    ),
    "TCP rules twice": (
        f"{{hosts: [ledger], tcp: [{{match: [{{port: 1}}], {ROUTE}}}, {{match: [{{port: 1}}], {ROUTE}}}]}}",
        {"spec.tcp[1].match[0]": "warning", "spec.tcp[1]": "warning"},
    ),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_a_sound_virtual_service_has_nothing_said_of_it(text: str) -> None:
    assert said(text) == {}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_where_it_is_with_what_to_do(text: str, expected: dict[str, str]) -> None:
    assert said(text) == expected


def test_a_great_many_prefixes_are_compared_in_a_moment() -> None:
    rules = [f"match: [{{uri: {{prefix: /{'a' * (n % 500)}-{n:04}}}}}]" for n in range(2000)]
    assert said(http(*rules)) == {}
