"""RequestAuthentication: each rule that Istio checks, with a document that keeps it and one that breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tulle.model.resources.request_authentication import RequestAuthentication
from tulle.sources.validation import request_authentication

RSA = {"kty": "RSA", "kid": "a", "n": f"{'u' * 170}E", "e": "AQAB"}
EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}


def keys(*found: Any) -> str:
    return json.dumps({"keys": list(found)})


def rule(text: str, issuer: str = "issuer: example.com, jwksUri: 'https://e.com/keys'") -> str:
    return f"{{jwtRules: [{{{', '.join(filter(None, (issuer, text)))}}}]}}"


def inline(jwks: str) -> str:
    return json.dumps({"jwtRules": [{"issuer": "example.com", "jwks": jwks}]})


SOUND = {
    "nothing said": "{}",
    "an issuer": rule(""),
    "keys that the issuer names": rule("", "issuer: 'https://accounts.example.com'"),
    "no issuer": rule("", "jwksUri: 'https://e.com'"),
    "plain HTTP": rule("", "issuer: a, jwksUri: 'http://foo.bar.com:1234/secure/key'"),
    "a scheme in capitals": rule("", "issuer: a, jwksUri: 'HTTPS://e.com'"),
    "an address": rule("", "issuer: a, jwksUri: 'https://[::1]:8443/keys?a=b'"),
    "keys": inline(keys(RSA, EC, {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})),
    "all of it": rule(
        "audiences: [a, b], fromHeaders: [{name: x-token, prefix: 'Bearer '}, {name: X_Other}], fromParams: [token], "
        "fromCookies: [session], outputPayloadToHeader: x_payload, forwardOriginalToken: true, timeout: 5s, "
        "outputClaimToHeaders: [{header: X-Group, claim: nested.group}], spaceDelimitedClaims: [custom, a.b]"
    ),
    "some workloads": "{selector: {matchLabels: {app: web}}, jwtRules: [{issuer: a, jwksUri: 'https://a'}]}",
    "a service": "{targetRef: {kind: Service, name: web}}",
    "services": "{targetRefs: [{kind: Service, group: core, name: web}, {kind: Service, group: '', name: api}]}",
    "a gateway": "{targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: front}}",
}

FAULTY = {
    "neither issuer nor keys": (rule("", "audiences: [a]"), ".jwtRules[0].issuer"),
    "keys without an issuer": (rule("", f"jwks: '{keys(EC)}'"), ".jwtRules[0].issuer"),
    "keys twice": (rule(f"jwks: '{keys(EC)}'"), ".jwtRules[0].jwks"),
    "an empty audience": (rule("audiences: [a, '']"), ".jwtRules[0].audiences[1]"),
    "no scheme": (rule("", "issuer: a, jwksUri: foo.bar.com"), ".jwtRules[0].jwksUri"),
    "another scheme": (rule("", "issuer: a, jwksUri: 'tcp://foo.bar.com'"), ".jwtRules[0].jwksUri"),
    "a file": (rule("", "issuer: a, jwksUri: 'file:///etc/passwd'"), ".jwtRules[0].jwksUri"),
    "a port of letters": (rule("", "issuer: a, jwksUri: 'http://foo.bar.com:abc'"), ".jwtRules[0].jwksUri"),
    "half an address": (rule("", "issuer: a, jwksUri: 'http://[::1/x'"), ".jwtRules[0].jwksUri"),
    "a broken escape": (rule("", "issuer: a, jwksUri: 'http://a.com/%zz'"), ".jwtRules[0].jwksUri"),
    "a line break": (rule("", 'issuer: a, jwksUri: "http://a.com/\\n"'), ".jwtRules[0].jwksUri"),
    "a long URI": (rule("", f"issuer: a, jwksUri: 'http://a.com/{'x' * 2048}'"), ".jwtRules[0].jwksUri"),
    "keys that are no JSON": (inline("{"), ".jwtRules[0].jwks"),
    "keys that are a list": (inline("[]"), ".jwtRules[0].jwks"),
    "keys that are a text": (inline('{"keys": "a"}'), ".jwtRules[0].jwks"),
    "an empty mapping of keys": (inline("{}"), ".jwtRules[0].jwks"),
    "a key of no kind": (inline(keys({"kid": "a"})), ".jwtRules[0].jwks"),
    "a key of a strange kind": (inline(keys({**RSA, "kty": "DSA"})), ".jwtRules[0].jwks"),
    "a key that lacks a part": (inline(keys({"kty": "RSA", "n": "AA"})), ".jwtRules[0].jwks"),
    "a part that is no base64": (inline(keys({**RSA, "n": "!"})), ".jwtRules[0].jwks"),
    "a part that is a number": (inline(keys({**RSA, "n": 3})), ".jwtRules[0].jwks"),
    "a strange curve": (inline(keys({**EC, "crv": "P-1"})), ".jwtRules[0].jwks"),
    "a key that is none": (inline(keys(3)), ".jwtRules[0].jwks"),
    "a header without a name": (rule("fromHeaders: [{prefix: a}]"), ".jwtRules[0].fromHeaders[0].name"),
    "an empty parameter": (rule("fromParams: ['']"), ".jwtRules[0].fromParams[0]"),
    "an empty cookie": (rule("fromCookies: ['']"), ".jwtRules[0].fromCookies[0]"),
    "an empty claim of words": (rule("spaceDelimitedClaims: ['']"), ".jwtRules[0].spaceDelimitedClaims[0]"),
    "no claim": (rule("outputClaimToHeaders: [{header: a}]"), ".jwtRules[0].outputClaimToHeaders[0].claim"),
    "no header": (rule("outputClaimToHeaders: [{claim: a}]"), ".jwtRules[0].outputClaimToHeaders[0].header"),
    "a pseudo header": (
        rule("outputClaimToHeaders: [{claim: a, header: ':authority'}]"),
        ".jwtRules[0].outputClaimToHeaders[0].header",
    ),
    "an underscore": (
        rule("outputClaimToHeaders: [{claim: a, header: a_b}]"),
        ".jwtRules[0].outputClaimToHeaders[0].header",
    ),
    "no time": (rule("timeout: apple"), ".jwtRules[0].timeout"),
    "a time too short": (rule("timeout: 0s"), ".jwtRules[0].timeout"),
    "half a millisecond": (rule("timeout: 1.5ms"), ".jwtRules[0].timeout"),
    "selector and target": ("{selector: {matchLabels: {a: b}}, targetRef: {kind: Service, name: a}}", ".targetRef"),
    "target twice": ("{targetRef: {kind: Service, name: a}, targetRefs: [{kind: Service, name: b}]}", ".targetRefs"),
    "a target without a name": ("{targetRef: {kind: Service}}", ".targetRef.name"),
    "a target elsewhere": ("{targetRef: {kind: Service, name: a, namespace: b}}", ".targetRef.namespace"),
    "a target of a strange kind": ("{targetRefs: [{kind: Deployment, group: apps, name: a}]}", ".targetRefs[0].kind"),
    "a target of a strange group": ("{targetRef: {kind: Service, group: apps, name: a}}", ".targetRef.kind"),
    "a star": ("{selector: {matchLabels: {'a*': b}}}", ".selector.matchLabels.a*"),
    "many targets": (f"{{targetRefs: [{', '.join(17 * ['{kind: Service, name: a}'])}]}}", ".targetRefs"),
}

UNSUPPORTED = {
    "an issuer that can't be asked for its keys": (rule("", "issuer: example.com"), ".jwtRules[0].jwksUri"),
    "a password of an issuer": (rule("", "issuer: 'https://me:secret@e.com'"), ".jwtRules[0].issuer"),
    "a point of no curve": (inline(keys({**EC, "x": EC["y"]})), ".jwtRules[0].jwks"),
    "a key of another algorithm": (inline(keys({**EC, "alg": "RS256"})), ".jwtRules[0].jwks"),
    "a password": (rule("", "issuer: a, jwksUri: 'https://me:secret@e.com'"), ".jwtRules[0].jwksUri"),
    "no host": (rule("", "issuer: a, jwksUri: 'https:///keys'"), ".jwtRules[0].jwksUri"),
    "port 0": (rule("", "issuer: a, jwksUri: 'https://e.com:0/keys'"), ".jwtRules[0].jwksUri"),
    "a key without a set": (inline(json.dumps(EC)), ".jwtRules[0].jwks"),
    "an empty set": (inline(keys()), ".jwtRules[0].jwks"),
    "a short key": (inline(keys({**RSA, "n": "u1SU1LfVLPHCozMxH2Mo"})), ".jwtRules[0].jwks"),
    "no point of the curve": (inline(keys({**EC, "y": EC["x"]})), ".jwtRules[0].jwks"),
    "no key for Envoy": (inline(keys({"kty": "OKP", "crv": "X25519", "x": "AA"})), ".jwtRules[0].jwks"),
    "a header of two lines": (rule('fromHeaders: [{name: a, prefix: "a\\n"}]'), ".jwtRules[0].fromHeaders[0].prefix"),
    "an output of two lines": (rule('outputPayloadToHeader: "a\\nb"'), ".jwtRules[0].outputPayloadToHeader"),
    "a ServiceEntry": ("{targetRef: {group: networking.istio.io, kind: ServiceEntry, name: a}}", ".targetRef.kind"),
    "a class of gateways": (
        "{targetRef: {group: gateway.networking.k8s.io, kind: GatewayClass, name: a}}",
        ".targetRef.kind",
    ),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_a_request_authentication_that_istio_takes_has_no_problem(judge: Any, text: str) -> None:
    assert judge(request_authentication.check, RequestAuthentication, text).problems == []


@pytest.mark.parametrize(("text", "path"), FAULTY.values(), ids=FAULTY)
def test_a_request_authentication_that_istio_refuses_is_wrong_at_its_field(judge: Any, text: str, path: str) -> None:
    assert list(judge(request_authentication.check, RequestAuthentication, text).errors) == [f"spec{path}"]


@pytest.mark.parametrize(("text", "path"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_neither_tulle_nor_envoy_does_is_valid_and_unsupported(judge: Any, text: str, path: str) -> None:
    verdict = judge(request_authentication.check, RequestAuthentication, text)
    assert (list(verdict.unsupported), verdict.errors) == ([f"spec{path}"], {})


def test_a_key_that_envoy_leaves_out_is_warned_of(judge: Any) -> None:
    text = inline(keys(EC, {"kty": "OKP", "crv": "X25519", "x": "AA"}))
    verdict = judge(request_authentication.check, RequestAuthentication, text)
    assert (list(verdict.warnings), verdict.errors) == (["spec.jwtRules[0].jwks"], {})
    assert "key 1 is OKP, so its `crv` must be Ed25519" in str(verdict.warnings)


@pytest.mark.parametrize("key", [{**EC, "d": "AA"}, {"kty": "oct", "k": "c2VjcmV0"}])
def test_a_secret_key_in_a_document_is_warned_of_and_not_repeated(judge: Any, key: dict[str, str]) -> None:
    verdict = judge(request_authentication.check, RequestAuthentication, inline(keys(key)))
    assert (list(verdict.warnings), verdict.errors) == (["spec.jwtRules[0].jwks"], {})
    assert "c2VjcmV0" not in str(verdict.problems)
