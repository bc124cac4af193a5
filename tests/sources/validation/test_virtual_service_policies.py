"""What VirtualService's HTTP rules do beside routing: answers, rewrites, CORS, faults, retries and mirrors."""

from __future__ import annotations

import re

import msgspec
import pytest
import yaml

from tulle.model.resources.virtual_service import VirtualService
from tulle.sources.at import At, Report
from tulle.sources.validation import virtual_service

WHAT_TO_DO = re.compile(r"\b(use|write|give|name|keep|take|put|add|shorten|encode|let|match|leave|must)\b")
KIB = 1024


def said(rule: str) -> dict[str, str]:
    report = Report()
    spec = yaml.safe_load(f"{{hosts: [cart], http: [{{{rule}}}]}}")
    virtual_service.check(msgspec.convert(spec, VirtualService), At(report))
    for problem in report.problems:
        assert WHAT_TO_DO.search(problem.message), problem
    return {
        problem.path.removeprefix("spec.http[0]").removeprefix("."): problem.severity.value
        for problem in report.problems
    }


def route(text: str) -> str:
    return f"{text}, route: [{{destination: {{host: cart}}}}]"


def answer(body: str, status: int = 200) -> str:
    return f"directResponse: {{status: {status}, body: {{{body}}}}}"


def retries(text: str) -> str:
    return route(f"retries: {{{text}}}")


def abort(text: str) -> str:
    return route(f"fault: {{abort: {{{text}}}}}")


def delay(text: str) -> str:
    return route(f"fault: {{delay: {{{text}}}}}")


def cors(text: str) -> str:
    return route(f"corsPolicy: {{{text}}}")


SOUND = {
    "a redirect to a path": "redirect: {uri: /new}",
    "a redirect of a path's beginning": "redirect: {prefixRewrite: /new}",
    "a redirect to a host": "redirect: {authority: other.example.com, redirectCode: 308}",
    "a redirect to TLS": "redirect: {scheme: https, port: 8443}",
    "a redirect to the scheme's port": "redirect: {scheme: https, derivePort: FROM_PROTOCOL_DEFAULT}",
    "a redirect with headers": "redirect: {uri: /new}, headers: {response: {set: {a: b}}}",
    "an answer": "directResponse: {status: 503}",
    "an answer with text": answer("string: sorry"),
    "an answer with bytes": answer("bytes: aGVsbG8="),
    "a path's rewrite": route("rewrite: {uri: /v1}"),
    "an authority's rewrite": route("rewrite: {authority: other}"),
    "a rewrite to an address with a port": route("rewrite: {authority: '[::1]:80'}"),
    "a rewrite by expression": route(
        "rewrite: {authority: a, uriRegexRewrite: {match: '^/a/(.*)$', rewrite: '/b/\\1'}}"
    ),
    "CORS of all kinds": cors(
        "allowOrigins: [{exact: 'https://a.com'}, {prefix: 'https://b'}, {regex: '.*c'}], allowMethods: [GET, POST], "
        "allowHeaders: ['*'], exposeHeaders: [x-a], maxAge: 1m, allowCredentials: true, unmatchedPreflights: IGNORE"
    ),
    "CORS for any method": cors("allowMethods: ['*']"),
    "a failure": abort("httpStatus: 503, percentage: {value: 0.001}"),
    "a failure of gRPC": abort("grpcStatus: DEADLINE_EXCEEDED, percentage: {value: 100}"),
    "a failure that is off": abort("httpStatus: 503, percentage: {value: 0}"),
    "a delay": delay("fixedDelay: 3s, percentage: {value: 20}"),
    "retries": retries("attempts: 3, perTryTimeout: 2s, retryOn: '5xx,gateway-error', backoff: 10ms"),
    "retries on a status": retries("attempts: 3, retryOn: '503,connect-failure'"),
    "no retries": retries("attempts: 0"),
    "retries elsewhere": retries("attempts: 1, retryRemoteLocalities: true, retryIgnorePreviousHosts: false"),
    "a mirror": route("mirror: {host: shadow, subset: v2}, mirrorPercentage: {value: 1}"),
    "mirrors": route("mirrors: [{destination: {host: a}, percentage: {value: 1}}, {destination: {host: b}}]"),
}

WRONG = {
    "a redirect to nowhere": ("redirect: {redirectCode: 302}", {"redirect": "error"}),
    "a redirect to two paths": ("redirect: {uri: /a, prefixRewrite: /b}", {"redirect.prefixRewrite": "error"}),
    "a redirect to two ports": ("redirect: {port: 1, derivePort: FROM_REQUEST_PORT}", {"redirect.derivePort": "error"}),
    "a redirect that is none": ("redirect: {uri: /, redirectCode: 299}", {"redirect.redirectCode": "error"}),
    "a redirect that is a failure": ("redirect: {uri: /, redirectCode: 400}", {"redirect.redirectCode": "error"}),
    "a redirect that Envoy lacks": ("redirect: {uri: /, redirectCode: 304}", {"redirect.redirectCode": "unsupported"}),
    "a redirect to another protocol": ("redirect: {scheme: ftp}", {"redirect.scheme": "error"}),
    "a redirect to no port": ("redirect: {port: 70000}", {"redirect.port": "error"}),
    "an answer of status 199": ("directResponse: {status: 199}", {"directResponse.status": "error"}),
    "an answer of status 600": ("directResponse: {status: 600}", {"directResponse.status": "unsupported"}),
    "an answer of status 601": ("directResponse: {status: 601}", {"directResponse.status": "error"}),
    "an answer without a status": ("directResponse: {}", {"directResponse.status": "error"}),
    "an answer with two bodies": (answer("string: a, bytes: YQ=="), {"directResponse.body.bytes": "error"}),
    "an answer with no base64": (answer("bytes: '?'"), {"directResponse.body.bytes": "error"}),
    "a long answer": (answer(f"string: {'a' * (100 * KIB + 1)}"), {"directResponse.body": "warning"}),
    "a long answer in bytes": (answer(f"bytes: {'YWFh' * (35 * KIB)}"), {"directResponse.body": "warning"}),
    "an answer that is too long": (answer(f"string: {'a' * (1024 * KIB + 1)}"), {"directResponse.body": "error"}),
    "a rewrite of nothing": (route("rewrite: {}"), {"rewrite": "error"}),
    "two rewrites of a path": (
        route("rewrite: {uri: /, uriRegexRewrite: {match: a, rewrite: b}}"),
        {"rewrite.uriRegexRewrite": "error"},
    ),
    "a rewrite to nothing": (route("rewrite: {uriRegexRewrite: {match: a}}"), {"rewrite.uriRegexRewrite": "error"}),
    "a rewrite from nothing": (route("rewrite: {uriRegexRewrite: {rewrite: a}}"), {"rewrite.uriRegexRewrite": "error"}),
    "a rewrite by no expression": (
        route("rewrite: {uriRegexRewrite: {match: '[', rewrite: a}}"),
        {"rewrite.uriRegexRewrite.match": "error"},
    ),
    "CORS for no method": (cors("allowMethods: [GET, PUTT]"), {"corsPolicy.allowMethods[1]": "error"}),
    "CORS for no header": (cors("exposeHeaders: ['']"), {"corsPolicy.exposeHeaders[0]": "error"}),
    "CORS for a bad header": (cors("allowHeaders: ['a b']"), {"corsPolicy.allowHeaders[0]": "error"}),
    "CORS for parts of a second": (cors("maxAge: 1.5s"), {"corsPolicy.maxAge": "error"}),
    "CORS for nobody": (
        cors("allowOrigins: [{exact: ''}, {prefix: ''}, {regex: ''}, {}]"),
        {f"corsPolicy.allowOrigins[{index}]": "error" for index in range(4)},
    ),
    "CORS for a bad expression": (cors("allowOrigins: [{regex: '('}]"), {"corsPolicy.allowOrigins[0].regex": "error"}),
    "CORS the old way": (cors("allowOrigin: ['https://a.com']"), {"corsPolicy.allowOrigin": "warning"}),
    "no fault": (route("fault: {}"), {"fault": "error"}),
    "a failure of no kind": (abort("percentage: {value: 1}"), {"fault.abort": "warning"}),
    "a failure of two kinds": (abort("httpStatus: 500, grpcStatus: ABORTED"), {"fault.abort.grpcStatus": "error"}),
    "a failure of status 100": (abort("httpStatus: 100"), {"fault.abort.httpStatus": "error"}),
    "a failure of status 9000": (abort("httpStatus: 9000"), {"fault.abort.httpStatus": "error"}),
    "a failure of status 600": (abort("httpStatus: 600"), {"fault.abort.httpStatus": "unsupported"}),
    "a redirect with a line break": ('redirect: {uri: "/a\\nb"}', {"redirect.uri": "unsupported"}),
    "a rewrite to a host with a blank": (route("rewrite: {authority: a b}"), {"rewrite.authority": "unsupported"}),
    "a rewrite to a host with a path": (route("rewrite: {authority: a/b}"), {"rewrite.authority": "unsupported"}),
    "a rewrite to a host with a user": (route("rewrite: {authority: a@b}"), {"rewrite.authority": "unsupported"}),
    "a rewrite to a host with a bell": (route('rewrite: {authority: "a\\ab"}'), {"rewrite.authority": "unsupported"}),
    "a redirect to a host with a blank": ("redirect: {authority: a b}", {"redirect.authority": "unsupported"}),
    "a rewrite with a line break": (route('rewrite: {authority: "a\\rb"}'), {"rewrite.authority": "unsupported"}),
    "a failure that gRPC lacks": (abort("grpcStatus: BAD"), {"fault.abort.grpcStatus": "error"}),
    "a failure of HTTP/2": (abort("http2Error: REFUSED_STREAM"), {"fault.abort.http2Error": "error"}),
    "a failure of a negative part": (
        abort("httpStatus: 500, percentage: {value: -10}"),
        {"fault.abort.percentage.value": "error"},
    ),
    "a delay of too small a part": (
        delay("fixedDelay: 1s, percentage: {value: 0.00001}"),
        {"fault.delay.percentage.value": "error"},
    ),
    "a delay of more than all": (
        delay("fixedDelay: 1s, percentage: {value: 101}"),
        {"fault.delay.percentage.value": "error"},
    ),
    "a delay of parts of milliseconds": (delay("fixedDelay: 1.0000001s"), {"fault.delay.fixedDelay": "error"}),
    "a delay of random length": (delay("exponentialDelay: 1s"), {"fault.delay.exponentialDelay": "error"}),
    "a delay of no length": (delay("percentage: {value: 1}"), {"fault.delay": "warning"}),
    "a delay the old way": (delay("fixedDelay: 1s, percent: 10"), {"fault.delay.percent": "warning"}),
    "negative retries": (retries("attempts: -1, perTryTimeout: 2s"), {"retries.attempts": "error"}),
    "no retries with a timeout": (
        retries("attempts: 0, perTryTimeout: 2s, retryOn: 5xx"),
        {"retries.perTryTimeout": "error", "retries.retryOn": "error"},
    ),
    "no retries elsewhere": (
        retries("attempts: 0, retryRemoteLocalities: false"),
        {"retries.retryRemoteLocalities": "error"},
    ),
    "retries of no time": (retries("attempts: 1, perTryTimeout: 999ns"), {"retries.perTryTimeout": "error"}),
    "retries after no time": (retries("attempts: 1, backoff: 999ns"), {"retries.backoff": "error"}),
    "retries on nothing known": (retries("attempts: 1, retryOn: '5xx,bad luck'"), {"retries.retryOn": "error"}),
    "retries on no status": (retries("attempts: 1, retryOn: '600,reset'"), {"retries.retryOn": "error"}),
    "retries with a blank": (retries("attempts: 1, retryOn: '5xx, reset'"), {"retries.retryOn": "error"}),
    "a mirror to nowhere": (route("mirror: {}"), {"mirror.host": "error"}),
    "a mirror of more than all": (
        route("mirror: {host: a}, mirrorPercentage: {value: 101}"),
        {"mirrorPercentage.value": "error"},
    ),
    "a mirror of less than none": (
        route("mirror: {host: a}, mirrorPercentage: {value: -1}"),
        {"mirrorPercentage.value": "error"},
    ),
    "a mirror the old way": (route("mirror: {host: a}, mirrorPercent: 5"), {"mirrorPercent": "warning"}),
    "a part of no mirror": (route("mirrorPercentage: {value: 5}"), {"mirrorPercentage": "warning"}),
    "a mirror and mirrors": (route("mirror: {host: a}, mirrors: [{destination: {host: b}}]"), {"mirrors": "error"}),
    "mirrors to nowhere": (route("mirrors: [{}]"), {"mirrors[0].destination": "error"}),
    "mirrors of more than all": (
        route("mirrors: [{destination: {host: a}, percentage: {value: 101}}]"),
        {"mirrors[0].percentage.value": "error"},
    ),
}


@pytest.mark.parametrize("rule", SOUND.values(), ids=SOUND)
def test_a_sound_rule_has_nothing_said_of_it(rule: str) -> None:
    assert said(rule) == {}


@pytest.mark.parametrize(("rule", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_where_it_is_with_what_to_do(rule: str, expected: dict[str, str]) -> None:
    assert said(rule) == expected


def test_the_old_percentage_of_a_mirror_is_bounded() -> None:
    assert said(route("mirror: {host: a}, mirrorPercent: 101"))["mirrorPercent"] == "error"
