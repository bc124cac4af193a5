"""PeerAuthentication, RequestAuthentication and AuthorizationPolicy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.resources import authorization_policy as ap
from tulle.model.resources import peer_authentication as pa
from tulle.model.resources import policy_targets as pt
from tulle.model.resources import request_authentication as ra

PEER_AUTHENTICATION = (
    "Whether workloads take calls by mutual TLS, in plain text, or both. In the root namespace: for the whole mesh."
)
REQUEST_AUTHENTICATION = (
    "Whose tokens (JWT) requests to workloads may carry. A request with a bad one is refused, one without is not."
)
AUTHORIZATION_POLICY = (
    "Who may call workloads, and what may be called of them. CUSTOM comes first, then DENY, then ALLOW."
)

_SELECTOR = "The workloads for which it is. Default: all of the namespace; in the root namespace, all of the mesh."
_TARGET = "A service for whose workloads it is. At most one of this, `targetRefs` and `selector`."
_TARGETS = "Several services, up to 16."

FIELDS: Mapping[type[Any], Mapping[str, str]] = {
    pt.PolicySelector: {"matchLabels": "Labels that a workload must have, all of them."},
    pt.PolicyTargetReference: {
        "group": 'The group of the kind: "" or `core` for a Service.',
        "kind": "Service. A Gateway is taken, and does nothing yet, as there are none.",
        "name": "Its name.",
        "namespace": "Must be left out: it is the policy's own.",
    },
    pa.PeerAuthentication: {
        "selector": _SELECTOR,
        "mtls": "How calls come in. Default: as the namespace has it, else the mesh, else STRICT.",
        "portLevelMtls": "The same for single ports, by the number at which the program listens. Needs a selector.",
    },
    pa.MutualTLS: {
        "mode": "STRICT: mutual TLS alone. PERMISSIVE: plain text too. DISABLE: that alone. UNSET: as around it."
    },
    ra.RequestAuthentication: {
        "selector": _SELECTOR,
        "targetRef": _TARGET,
        "targetRefs": _TARGETS,
        "jwtRules": "The issuers whose tokens are taken.",
    },
    ra.JWTRule: {
        "issuer": "Who makes the tokens, as they say in `iss`. May be left out beside jwksUri: then it is not compared.",
        "audiences": "For whom tokens must be: one of these must be in `aud`. Default: anybody.",
        "jwksUri": "Where the issuer's public keys are: https://… or http://…. Default: as the issuer says, which is then a URL.",
        "jwks": "The issuer's public keys themselves, as a JSON Web Key Set.",
        "fromHeaders": "Headers in which tokens are looked for. Default: `Authorization: Bearer`, and access_token.",
        "fromParams": "Parameters of the query in which tokens are looked for.",
        "fromCookies": "Cookies in which tokens are looked for.",
        "outputPayloadToHeader": "A header for the program, with the payload of a good token in base64url.",
        "outputClaimToHeaders": "Headers for the program, each with a claim of a good token.",
        "forwardOriginalToken": "Whether the program gets the token too. Default: false.",
        "timeout": "How long fetching the keys may take. Default: 5s.",
        "spaceDelimitedClaims": "Claims whose text is a list, separated by blanks, beside `scope` and `permission`.",
    },
    ra.JWTHeader: {
        "name": "Its name.",
        "prefix": 'What stands before the token, such as "Bearer ".',
    },
    ra.ClaimToHeader: {
        "header": "The header: letters, digits and `-`.",
        "claim": "The claim; with dots, one within others.",
    },
    ap.AuthorizationPolicy: {
        "selector": _SELECTOR,
        "targetRef": _TARGET,
        "targetRefs": _TARGETS,
        "rules": "What it is about: requests that fit one of them. `{}` fits all. None: nothing, so an ALLOW denies all.",
        "action": "ALLOW (default): whatever else is denied. DENY: they are. AUDIT: logged. CUSTOM: a provider decides.",
        "provider": "Which service decides, for CUSTOM.",
    },
    ap.AuthorizationProvider: {"name": "The name of one of MeshConfig's extensionProviders."},
    ap.Rule: {
        "from": "Who calls: one of these must fit. Default: anybody.",
        "to": "What is called: one of these must fit. Default: everything.",
        "when": "Further conditions, all of which must be met.",
    },
    ap.From: {"source": "A caller; all that is said of it must fit."},
    ap.To: {"operation": "A call; all that is said of it must fit."},
    ap.Source: {
        "principals": "By its certificate: `cluster.local/ns/NAMESPACE/sa/ACCOUNT`. Also `abc*`, `*abc`, and `*` for any.",
        "notPrincipals": "None of these.",
        "requestPrincipals": "By its token: `ISSUER/SUBJECT`. Also `abc*`, `*abc`, and `*` for any token.",
        "notRequestPrincipals": "None of these.",
        "namespaces": "By the namespace in its certificate. Also `abc*`, `*abc` and `*`.",
        "notNamespaces": "None of these.",
        "serviceAccounts": "By its account: `NAMESPACE/ACCOUNT`, or `ACCOUNT` in the policy's namespace. Up to 16.",
        "notServiceAccounts": "None of these.",
        "ipBlocks": "By the address from which the connection comes: an address or a CIDR range.",
        "notIpBlocks": "None of these.",
        "remoteIpBlocks": "By the first caller's address: the connection's, as no X-Forwarded-For is trusted in the mesh.",
        "notRemoteIpBlocks": "None of these.",
        "trustDomains": "By the trust domain in its certificate. Also `abc*`, `*abc` and `*`.",
        "notTrustDomains": "None of these.",
    },
    ap.Operation: {
        "hosts": "The host that is called, whatever the case of its letters. Also `abc*`, `*abc` and `*`.",
        "notHosts": "None of these.",
        "ports": "The port at which the program listens, or the service's if it listens at none of that number.",
        "notPorts": "None of these.",
        "methods": "The method; of gRPC always POST. Also `abc*`, `*abc` and `*`.",
        "notMethods": "None of these.",
        "paths": "The path. Also `/a/*`, `*/a`, `*`, and templates: `{*}` is one segment, `{**}` any number of them.",
        "notPaths": "None of these.",
    },
    ap.Condition: {
        "key": "What is looked at: `request.headers[NAME]`, `request.auth.claims[NAME]`, `source.ip` and others.",
        "values": "Values of which one must fit. Also `abc*`, `*abc` and `*`, where it is no address or port.",
        "notValues": "None of these.",
    },
}
