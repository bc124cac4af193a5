"""VirtualService's HTTP rules: which requests they match, what becomes of those, and what headers are changed.

Each story is one rule and what is said of it, by path within the rule.
"""

from __future__ import annotations

import re

import msgspec
import pytest
import yaml

from tulle.model.resources.virtual_service import VirtualService
from tulle.sources.at import At, Report
from tulle.sources.validation import virtual_service

WHAT_TO_DO = re.compile(r"\b(use|write|give|name|keep|take|put|add|shorten|encode|let|match|leave|must)\b")
ROUTE = "route: [{destination: {host: cart}}]"


def said(rule: str, more: str = "") -> dict[str, str]:
    report = Report()
    spec = yaml.safe_load(f"{{hosts: [cart], http: [{{{rule}}}]{more}}}")
    virtual_service.check(msgspec.convert(spec, VirtualService), At(report))
    for problem in report.problems:
        assert WHAT_TO_DO.search(problem.message), problem
    return {
        problem.path.removeprefix("spec.http[0]").removeprefix("."): problem.severity.value
        for problem in report.problems
    }


def match(text: str) -> str:
    return f"match: [{{{text}}}], {ROUTE}"


def request(text: str) -> str:
    return f"headers: {{request: {{{text}}}}}, {ROUTE}"


def response(text: str) -> str:
    return f"headers: {{response: {{{text}}}}}, {ROUTE}"


def value(text: str) -> str:
    return response(f"set: {{x: '{text}'}}")


SOUND = {
    "everything": ROUTE,
    "an exact path": match("uri: {exact: /}"),
    "any path": match("uri: {prefix: ''}"),
    "a path by regular expression": match("uri: {regex: '/v[0-9]+/.*'}, ignoreUriCase: true"),
    "all kinds of matches": match(
        "name: a, scheme: {exact: https}, method: {regex: 'GET|HEAD'}, authority: {prefix: a}, port: 80, "
        "sourceLabels: {app: web, example.com/tier: front}, gateways: [mesh, infra/edge], sourceNamespace: web, "
        "queryParams: {q: {regex: a+}}, statPrefix: cart"
    ),
    "a header that is there": match("headers: {x-user: {}}"),
    "a header of funny letters": match("headers: {'funky!$#_': {exact: a}}"),
    "a pseudo header": match("headers: {':authority': {exact: a}}"),
    "a header that is not there": match("withoutHeaders: {x-user: {}}"),
    "a header that is not there, the old way": match("withoutHeaders: {x-user: {regex: '*'}}"),
    "an empty header": match("headers: {x: {exact: ''}}"),
    "a split": "route: [{destination: {host: a}, weight: 25}, {destination: {host: b}, weight: 75}]",
    "a split of any sum": "route: [{destination: {host: a}, weight: 550}, {destination: {host: b}, weight: 1}]",
    "a split with an idle part": "route: [{destination: {host: a}, weight: 1}, {destination: {host: b}}]",
    "one destination of weight 0": "route: [{destination: {host: a}, weight: 0}]",
    "a subset and a port": "route: [{destination: {host: a, subset: v1, port: {number: 5000}}}]",
    "a wildcard destination": "route: [{destination: {host: '*-a.example.com'}}]",
    "headers of all kinds": request("set: {a: '', b: c}, add: {a: b}, remove: [a]"),
    "headers of a destination": (
        "route: [{destination: {host: a}, headers: {request: {set: {a: b}}, response: {remove: [a]}}}]"
    ),
    "another authority": request("set: {':authority': other}"),
    "another host": request("set: {Host: other}"),
    "another authority for a destination": (
        "route: [{destination: {host: a}, headers: {request: {set: {':authority': b}}}}]"
    ),
    "a percent sign": value("100%% and more"),
    "a variable": value("by %HOSTNAME%"),
    "a variable with an argument": value("%REQ(x-user):10%".replace(":10", "")),
    "a variable with a list": value('%UPSTREAM_METADATA(["a", "b"])%'),
    "a tab": response('set: {x: "a\\tb"}'),
}

WRONG = {
    "nothing done": ("name: a", {"": "error"}),
    "two ways to match": (match("uri: {exact: a, prefix: b}"), {"match[0].uri.prefix": "error"}),
    "an empty prefix": (match("method: {prefix: ''}"), {"match[0].method.prefix": "error"}),
    "an empty prefix of a header": (match("headers: {x: {prefix: ''}}"), {"match[0].headers.x.prefix": "error"}),
    "an empty expression of a path": (match("uri: {regex: ''}"), {"match[0].uri.regex": "error"}),
    "an empty expression of a method": (match("method: {regex: ''}"), {"match[0].method.regex": "error"}),
    "an empty expression of a scheme": (match("scheme: {regex: ''}"), {"match[0].scheme.regex": "error"}),
    "an empty expression of a query": (
        match("queryParams: {q: {regex: ''}}"),
        {"match[0].queryParams.q.regex": "error"},
    ),
    "no regular expression": (match("uri: {regex: '(a'}"), {"match[0].uri.regex": "error"}),
    "an expression that RE2 lacks": (match("uri: {regex: '(?=a)'}"), {"match[0].uri.regex": "error"}),
    "an expression that grows": (
        match("authority: {regex: '((a{100}){100}){100}'}"),
        {"match[0].authority.regex": "error"},
    ),
    "an expression that is too long": (match(f"uri: {{regex: '{'a' * 1025}'}}"), {"match[0].uri.regex": "error"}),
    "a star for a header": (match("headers: {x: {regex: '*'}}"), {"match[0].headers.x.regex": "error"}),
    "a header without a name": (match("headers: {'': {}}"), {"match[0].headers.": "error"}),
    "a header of two colons": (match("headers: {'::': {}}"), {"match[0].headers.::": "error"}),
    "a header with a quote": (match("withoutHeaders: {'a\"b': {}}"), {'match[0].withoutHeaders.a"b': "error"}),
    "a claim": (
        match("headers: {'@request.auth.claims.group': {exact: a}}"),
        {"match[0].headers.@request.auth.claims.group": "error"},
    ),
    "a claim that is missing": (
        match("withoutHeaders: {'@request.auth.claims[group]': {}}"),
        {"match[0].withoutHeaders.@request.auth.claims[group]": "error"},
    ),
    "no port": (match("port: 65536"), {"match[0].port": "error"}),
    "no label": (match("sourceLabels: {app: a_}"), {"match[0].sourceLabels.app": "error"}),
    "no namespace": (match("sourceNamespace: a.b"), {"match[0].sourceNamespace": "error"}),
    "no gateway": (match("gateways: [a_b]"), {"match[0].gateways[0]": "error"}),
    "no destination": ("route: [{}]", {"route[0].destination": "error"}),
    "no host": ("route: [{destination: {}}]", {"route[0].destination.host": "error"}),
    "any host": ("route: [{destination: {host: '*'}}]", {"route[0].destination.host": "error"}),
    "a host with a slash": ("route: [{destination: {host: shop/cart}}]", {"route[0].destination.host": "error"}),
    "no subset": ("route: [{destination: {host: a, subset: v_1}}]", {"route[0].destination.subset": "error"}),
    "no port of a destination": (
        "route: [{destination: {host: a, port: {}}}]",
        {"route[0].destination.port.number": "error"},
    ),
    "a negative weight": (
        "route: [{destination: {host: a}, weight: 5}, {destination: {host: b}, weight: -1}]",
        {"route[1].weight": "error"},
    ),
    "no weights": ("route: [{destination: {host: a}}, {destination: {host: b}}]", {"route": "error"}),
    "enormous weights": (
        f"route: [{', '.join(['{destination: {host: a}, weight: 2147483647}'] * 3)}]",
        {"route": "unsupported"},
    ),
    "two actions": (f"redirect: {{uri: /}}, {ROUTE}", {"route": "error"}),
    "two answers": ("redirect: {uri: /}, directResponse: {status: 200}", {"directResponse": "error"}),
    "an answer and a route": (f"directResponse: {{status: 200}}, {ROUTE}", {"route": "error"}),
    "a redirect with a fault": (
        "redirect: {uri: /}, fault: {abort: {httpStatus: 500}}, rewrite: {uri: /}",
        {"fault": "error", "rewrite": "error"},
    ),
    "an answer with a fault": (
        "directResponse: {status: 200}, fault: {abort: {httpStatus: 500}}, rewrite: {uri: /}",
        {"fault": "error", "rewrite": "error"},
    ),
    "an answer with what does nothing": (
        "directResponse: {status: 200}, timeout: 1s, retries: {attempts: 1}, mirror: {host: a}",
        {"timeout": "warning", "retries": "warning", "mirror": "warning"},
    ),
    "no time": (f"timeout: 0s, {ROUTE}", {"timeout": "error"}),
    "less than a millisecond": (f"timeout: 1us, {ROUTE}", {"timeout": "error"}),
    "parts of milliseconds": (f"timeout: 1.0001s, {ROUTE}", {"timeout": "error"}),
    "no length of time": (f"timeout: soon, {ROUTE}", {"timeout": "error"}),
    "a negative time": (f"timeout: -1s, {ROUTE}", {"timeout": "error"}),
    "a set header without a name": (request("set: {'': a}"), {"headers.request.set.": "error"}),
    "an added header without a name": (response("add: {'': a}"), {"headers.response.add.": "error"}),
    "a removed header without a name": (request("remove: ['']"), {"headers.request.remove[0]": "error"}),
    "a pseudo header that is set": (request("set: {':path': /}"), {"headers.request.set.:path": "error"}),
    "an authority that is removed": (request("remove: [':authority']"), {"headers.request.remove[0]": "error"}),
    "a host in the response": (response("set: {host: a}"), {"headers.response.set.host": "error"}),
    "a header with a line break": (request('set: {"a\\nb": c}'), {"headers.request.set.a\nb": "unsupported"}),
    "a set header with a blank": (request("set: {x y: c}"), {"headers.request.set.x y": "unsupported"}),
    "an added header with a colon": (response("add: {'x:': c}"), {"headers.response.add.x:": "unsupported"}),
    "a removed header with a letter of no ASCII": (
        request("remove: [é]"),
        {"headers.request.remove[0]": "unsupported"},
    ),
    "a header with a control character": (request('set: {"x\\x01": c}'), {"headers.request.set.x\x01": "unsupported"}),
    "a matched header with a blank": (
        f"match: [{{headers: {{x y: {{}}}}}}], {ROUTE}",
        {"match[0].headers.x y": "error"},
    ),
    "a host with a blank": (request("set: {host: a b}"), {"headers.request.set.host": "unsupported"}),
    "the authority twice": (
        request("set: {':authority': a}, add: {host: b}"),
        {"headers.request.add.host": "error"},
    ),
    "the authority twice, once rewritten": (
        f"rewrite: {{authority: a}}, {request('set: {host: b}')}",
        {"headers.request.set.host": "error"},
    ),
    "a header of a destination": (
        "route: [{destination: {host: a}, headers: {response: {set: {a: 'b%c'}}}}]",
        {"route[0].headers.response.set.a": "error"},
    ),
    "a lone percent sign": (value("100%"), {"headers.response.set.x": "error"}),
    "a variable that has no end": (value("abc%HOSTNAME"), {"headers.response.set.x": "error"}),
    "one percent sign too many": (value("%START_TIME%%"), {"headers.response.set.x": "error"}),
    "an argument that has no end": (value("%REQ(x%"), {"headers.response.set.x": "error"}),
    "no list": (value('%META(["a" "b"])%'), {"headers.response.set.x": "error"}),
    "a list that has no strings": (value("%META([a])%"), {"headers.response.set.x": "error"}),
    "something after an argument": (value("%REQ(x)y%"), {"headers.response.set.x": "error"}),
    "a variable that Envoy lacks": (value("%NOPE%"), {"headers.response.set.x": "unsupported"}),
    "a variable that needs an argument": (value("%REQ%"), {"headers.response.set.x": "unsupported"}),
    "a variable in small letters": (value("%hostname%"), {"headers.response.set.x": "unsupported"}),
    "a variable with a blank": (value("%REQ(x) %"), {"headers.response.set.x": "unsupported"}),
    "a parameter without a name": (match("queryParams: {'': {exact: a}}"), {"match[0].queryParams.": "unsupported"}),
    "a control character": (response('set: {x: "a\\nb"}'), {"headers.response.set.x": "error"}),
}


@pytest.mark.parametrize("rule", SOUND.values(), ids=SOUND)
def test_a_sound_rule_has_nothing_said_of_it(rule: str) -> None:
    assert said(rule) == {}


@pytest.mark.parametrize(("rule", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_where_it_is_with_what_to_do(rule: str, expected: dict[str, str]) -> None:
    assert said(rule) == expected


def test_claims_are_matched_at_gateways() -> None:
    assert said(match("headers: {'@request.auth.claims.group': {exact: a}}"), more=", gateways: [infra/edge]") == {}
