"""AuthorizationPolicy: each rule that Istio checks, with a document that keeps it and one that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.model.resources.authorization_policy import AuthorizationPolicy
from tulle.sources.codec import read
from tulle.sources.validation import authorization_policy


def rule(text: str, action: str = "ALLOW") -> str:
    return f"{{action: {action}, rules: [{{{text}}}]}}"


def source(text: str, action: str = "ALLOW") -> str:
    return rule(f"from: [{{source: {{{text}}}}}]", action)


def operation(text: str, action: str = "ALLOW") -> str:
    return rule(f"to: [{{operation: {{{text}}}}}]", action)


def when(key: str, values: str = "values: [value]", action: str = "ALLOW") -> str:
    return rule(f"when: [{{key: '{key}', {values}}}]", action)


def custom(text: str) -> str:
    return f"{{action: CUSTOM, provider: {{name: opa}}, rules: [{{{text}}}]}}"


SOUND = {
    "nobody": "{}",
    "nobody by name": "{action: ALLOW, rules: []}",
    "anybody": rule(""),
    "audit without rules": "{action: AUDIT}",
    "deny to all": rule("", "DENY"),
    "principals": source("principals: [cluster.local/ns/a/sa/b, 'cluster.local/*', '*/sa/b', '*'], notPrincipals: [a]"),
    "tokens": source("requestPrincipals: ['*'], notRequestPrincipals: [a/b]"),
    "namespaces": source("namespaces: [a, 'b*'], notNamespaces: ['*c']"),
    "accounts": source("serviceAccounts: [a, b/c], notServiceAccounts: [d]"),
    "accounts beside tokens": source("serviceAccounts: [a], requestPrincipals: ['*'], ipBlocks: [10.0.0.0/8]"),
    "accounts beside namespaces in another source": rule(
        "from: [{source: {serviceAccounts: [a]}}, {source: {namespaces: [b], principals: [c]}}]"
    ),
    "addresses": source("ipBlocks: [1.2.3.4, 10.0.0.7/8, '::1', 'fd00::/8'], notIpBlocks: [0.0.0.0/0]"),
    "remote addresses": source("remoteIpBlocks: [1.2.3.4], notRemoteIpBlocks: ['::/0']"),
    "trust domains": source("trustDomains: ['*'], notTrustDomains: [other.example]"),
    "operations": operation(
        "hosts: [a.com, '*.a.com', 'a.*', '*'], notHosts: [b], methods: [GET, 'P*'], notMethods: [PUT], notPaths: [/b], "
        "paths: [/a, '/a/*', '*/a', '*', '/{*}/foo', '/foo/{**}/bar', '/{*}/{**}', '/a/{*}/', '/%20/{*}']"
    ),
    "ports": operation("ports: ['80', '0', '65535', '080'], notPorts: ['1']"),
    "headers": when("request.headers[X-User]"),
    "a pseudo header": when("request.headers[:authority]"),
    "claims": when("request.auth.claims[iss]", "notValues: ['*']"),
    "nested claims": when("request.auth.claims[a][b.c][d]"),
    **{
        key: when(key)
        for key in ("source.namespace", "source.principal", "request.auth.principal", "request.auth.audiences")
    },
    **{key: when(key) for key in ("request.auth.presenter", "connection.sni", "source.serviceAccount")},
    **{key: when(key, "values: [1.2.3.4, 10.0.0.0/24]") for key in ("source.ip", "remote.ip", "destination.ip")},
    "destination.port": when("destination.port", "values: ['80'], notValues: ['90']"),
    "a provider": custom("to: [{operation: {paths: ['/admin/*']}}], when: [{key: source.ip, values: [1.2.3.4]}]"),
    "a service": "{targetRef: {kind: Service, name: web}, rules: [{}]}",
    "deny at a port": operation("ports: ['80'], paths: [/a]", "DENY"),
    "deny a namespace": source("namespaces: [a]", "DENY"),
}

FAULTY = {
    "deny without rules": ("{action: DENY}", {".rules"}),
    "custom without rules": ("{action: CUSTOM, provider: {name: a}}", {".rules"}),
    "custom without a provider": ("{action: CUSTOM, rules: [{}]}", {".provider.name"}),
    "a provider without a name": ("{action: CUSTOM, provider: {}, rules: [{}]}", {".provider.name"}),
    "a provider to allow": ("{provider: {name: a}, rules: [{}]}", {".provider"}),
    "a provider to deny": ("{action: DENY, provider: {name: a}, rules: [{}]}", {".provider"}),
    "from without source": (rule("from: [{}]"), {".rules[0].from[0].source"}),
    "an empty source": (source(""), {".rules[0].from[0].source"}),
    "a source of empty lists": (source("principals: []"), {".rules[0].from[0].source"}),
    "to without operation": (rule("to: [{}]"), {".rules[0].to[0].operation"}),
    "an empty operation": (operation(""), {".rules[0].to[0].operation"}),
    **{
        f"an empty value of {name}": (source(f"{name}: ['a', '']"), {f".rules[0].from[0].source.{name}[1]"})
        for name in (
            *("principals", "notPrincipals", "requestPrincipals", "notRequestPrincipals", "namespaces"),
            *("notNamespaces", "trustDomains", "notTrustDomains", "serviceAccounts", "notServiceAccounts"),
        )
    },
    **{
        f"no address in {name}": (
            source(f"{name}: ['', a.b.c.d, 1.2.3.4/33, 1.2.3, '::1/129', '1.2.3.4/08', '1.2.3.4/']"),
            {f".rules[0].from[0].source.{name}[{index}]" for index in range(7)},
        )
        for name in ("ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks")
    },
    **{
        f"an empty value of {name}": (operation(f"{name}: ['a', '']"), {f".rules[0].to[0].operation.{name}[1]"})
        for name in ("hosts", "notHosts", "methods", "notMethods", "paths", "notPaths")
    },
    **{
        f"no port in {name}": (
            operation(f"{name}: ['', http, '65536', '-1', '+80', '8.0', ' 80', '{'9' * 5000}']"),
            {f".rules[0].to[0].operation.{name}[{index}]" for index in range(8)},
        )
        for name in ("ports", "notPorts")
    },
    **{
        f"the path {path}": (operation(f"{name}: ['{path}']"), {f".rules[0].to[0].operation.{name}[0]"})
        for name in ("paths", "notPaths")
        for path in (
            *("/{*}/foo/{}/bar", "/foo/{*}/bar/*", "/foo/{*}/bar/**/buzz", "/foo/{buzz}/bar/{**}.txt"),
            *("/foo/{buzz=*}/bar", "/{*}/foo/{buzz=**}/bar", "/{**}/{*}", "/{**}/a/{**}", "/a{*}", "/{", "/{*}//a"),
            *("/{*}/a b", "/{*}/a[b]", "/foo/{bar}"),
        )
    },
    "accounts beside namespaces": (
        source("serviceAccounts: [a], namespaces: [b]"),
        {".rules[0].from[0].source.serviceAccounts"},
    ),
    "no accounts beside no principals": (
        source("notServiceAccounts: [a], notPrincipals: [b]"),
        {".rules[0].from[0].source.notServiceAccounts"},
    ),
    "accounts that are none": (
        source(f"serviceAccounts: ['*', 'a/*', a/b/c, /a, a/, '{'a' * 321}']"),
        {f".rules[0].from[0].source.serviceAccounts[{index}]" for index in range(6)},
    ),
    "many accounts": (
        source(f"serviceAccounts: [{', '.join(17 * ['a'])}]"),
        {".rules[0].from[0].source.serviceAccounts"},
    ),
    "no key": (rule("when: [{values: [a]}]"), {".rules[0].when[0].key"}),
    "no values": (when("source.ip", "values: []"), {".rules[0].when[0]"}),
    "an empty value": (when("request.headers[a]", "values: [a, '']"), {".rules[0].when[0].values[1]"}),
    "an empty value that is not": (when("source.namespace", "notValues: ['']"), {".rules[0].when[0].notValues[0]"}),
    **{
        f"the key {key}": (when(key), {".rules[0].when[0].key"})
        for key in (
            *(
                "request.headers[]",
                "request.headers",
                "request.auth.claims[]",
                "request.auth.claims[iss",
                "source.user",
            ),
            *("destination.labels[app]", "destination.name", "destination.namespace", "destination.user"),
            *("experimental.envoy.filters.a.b.x", "Source.ip", "source.ips", "request.experimental.inline.headers"),
        )
    },
    "no address in when": (
        when("source.ip", "values: [a], notValues: [b]"),
        {".rules[0].when[0].values[0]", ".rules[0].when[0].notValues[0]"},
    ),
    "no port in when": (when("destination.port", "values: ['80', x]"), {".rules[0].when[0].values[1]"}),
    "no account in when": (when("source.serviceAccount", "values: ['a*']"), {".rules[0].when[0].values[0]"}),
    **{
        f"custom by {name}": (custom(f"from: [{{source: {{{name}: [a]}}}}]"), {f".rules[0].from[0].source.{name}"})
        for name in (
            *("principals", "notPrincipals", "requestPrincipals", "notRequestPrincipals", "namespaces"),
            *("notNamespaces", "serviceAccounts", "notServiceAccounts"),
        )
    },
    **{
        f"custom when {key}": (custom(f"when: [{{key: '{key}', values: [a]}}]"), {".rules[0].when[0].key"})
        for key in (
            *("source.namespace", "source.serviceAccount", "source.principal", "request.auth.principal"),
            "request.auth.claims[a]",
        )
    },
    "selector and target": (
        "{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: a}]}",
        {".targetRefs"},
    ),
    "a star in the selector": ("{selector: {matchLabels: {a: 'b*'}}}", {".selector.matchLabels.a"}),
}

UNSUPPORTED = {
    "a filter's words": (when("experimental.envoy.filters.a.b[c]"), {".rules[0].when[0].key"}),
    "a header's parts": (when("request.experimental.inline.headers[a]"), {".rules[0].when[0].key"}),
    "a name that only begins well": (when("request.headersX[a]"), {".rules[0].when[0].key"}),
    "a header in a header": (when("request.headers[a][b]"), {".rules[0].when[0].key"}),
    "a claim that is half one": (when("request.auth.claims[a]b]"), {".rules[0].when[0].key"}),
    "a link": (source("ipBlocks: ['fe80::1%eth0']"), {".rules[0].from[0].source.ipBlocks[0]"}),
    "a template with two slashes": (operation("paths: ['//{*}']"), {".rules[0].to[0].operation.paths[0]"}),
    "a template that ends in two": (operation("notPaths: ['/{*}//']"), {".rules[0].to[0].operation.notPaths[0]"}),
    "a long template": (operation(f"paths: ['/{'a' * 256}/{{*}}']"), {".rules[0].to[0].operation.paths[0]"}),
    "a template without a slash": (operation("paths: ['a/{*}']"), {".rules[0].to[0].operation.paths[0]"}),
    "a ServiceEntry": ("{targetRef: {group: networking.istio.io, kind: ServiceEntry, name: a}}", {".targetRef.kind"}),
}

WARNED = {
    "deny a path": (operation("paths: [/a]", "DENY"), ".rules[0]"),
    "deny a path to a namespace": (
        rule("from: [{source: {namespaces: [a]}}], to: [{operation: {paths: [/a]}}]", "DENY"),
        ".rules[0]",
    ),
    "deny a token": (source("requestPrincipals: [a]", "DENY"), ".rules[0]"),
    "a selector of everything": ("{selector: {}}", ".selector.matchLabels"),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_a_policy_that_istio_takes_has_no_problem(judge: Any, text: str) -> None:
    assert judge(authorization_policy.check, AuthorizationPolicy, text).problems == []


@pytest.mark.parametrize(("text", "paths"), FAULTY.values(), ids=FAULTY)
def test_a_policy_that_istio_refuses_is_wrong_at_its_field(judge: Any, text: str, paths: set[str]) -> None:
    assert set(judge(authorization_policy.check, AuthorizationPolicy, text).errors) == {f"spec{path}" for path in paths}


@pytest.mark.parametrize(("text", "paths"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_a_policy_that_tulle_can_not_keep_is_valid_and_unsupported(judge: Any, text: str, paths: set[str]) -> None:
    verdict = judge(authorization_policy.check, AuthorizationPolicy, text)
    assert (set(verdict.unsupported), verdict.errors) == ({f"spec{path}" for path in paths}, {})


@pytest.mark.parametrize(("text", "path"), WARNED.values(), ids=WARNED)
def test_a_policy_that_does_more_than_it_says_is_warned_of(judge: Any, text: str, path: str) -> None:
    verdict = judge(authorization_policy.check, AuthorizationPolicy, text)
    assert (list(verdict.warnings), verdict.errors) == ([f"spec{path}"], {})


@pytest.mark.parametrize(
    ("kind", "spec", "annotation", "said"),
    [
        *(("AuthorizationPolicy", "{}", text, "") for text in ("true", "false", "1", "F", "True")),
        ("AuthorizationPolicy", "{action: DENY, rules: [{}]}", "true", ""),
        ("AuthorizationPolicy", "{}", "yes", "neither"),
        ("AuthorizationPolicy", "{}", "", "neither"),
        ("AuthorizationPolicy", "{action: AUDIT}", "true", "ALLOW and DENY alone, and this one is AUDIT"),
        (
            "AuthorizationPolicy",
            "{action: CUSTOM, provider: {name: a}, rules: [{}]}",
            "false",
            "and this one is CUSTOM",
        ),
        ("PeerAuthentication", "{}", "true", "AuthorizationPolicies alone"),
        ("RequestAuthentication", "{}", "false", "AuthorizationPolicies alone"),
    ],
)
def test_a_dry_run_is_for_what_allows_and_denies(kind: str, spec: str, annotation: str, said: str) -> None:
    text = (
        f"apiVersion: security.istio.io/v1beta1\nkind: {kind}\n"
        f"metadata:\n  name: a\n  annotations:\n    istio.io/dry-run: '{annotation}'\nspec: {spec}"
    )
    [checked] = read(text.encode(), "f", "default")
    if not said:
        assert checked.problems == ()
        return
    [problem] = checked.problems
    assert (problem.line, problem.path) == (6, "metadata.annotations.istio.io/dry-run")
    assert said in problem.message
