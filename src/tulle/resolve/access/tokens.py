"""Whose tokens requests to a workload may carry: its RequestAuthentications, put together.

Source: istio.io, RequestAuthentication: rules of all that are for a workload count, and a token is good if one of them has it so.
"""

from __future__ import annotations

from functools import lru_cache

from tulle.ir.tokens import Issuer, TokenPlace
from tulle.model.key_sets import key_set
from tulle.model.resources.request_authentication import JWTRule, RequestAuthentication, keys_at
from tulle.model.resources.resource import Resource
from tulle.model.workload import Workload
from tulle.resolve.access.selected import selected
from tulle.resolve.mesh import Mesh

# Of OAuth 2.0 (RFC 6749, section 3.3) and Microsoft's tokens: Istio takes these as lists whatever a rule says.
_SPACED = ("permission", "scope")


def issuers(mesh: Mesh, workload: Workload) -> tuple[Issuer, ...]:
    """By name; of one name, as their documents come."""
    found = selected(mesh.declared, workload, RequestAuthentication)
    made = [_issuer(mesh, resource, rule) for resource, spec in found for rule in spec.jwt_rules]
    return tuple(sorted(made, key=lambda one: one.issuer))


def sources(mesh: Mesh, workload: Workload) -> frozenset[str]:
    """The documents of which that is made."""
    return frozenset(str(resource.ref) for resource, _ in selected(mesh.declared, workload, RequestAuthentication))


def _issuer(mesh: Mesh, resource: Resource, rule: JWTRule) -> Issuer:
    return Issuer(
        rule.issuer,
        str(resource.ref),
        _usable(rule.jwks or mesh.key_sets.get(keys_at(rule), "")),
        audiences=rule.audiences,
        places=(
            *(TokenPlace(header=one.name, prefix=one.prefix) for one in rule.from_headers),
            *(TokenPlace(parameter=one) for one in rule.from_params),
            *(TokenPlace(cookie=one) for one in rule.from_cookies),
        ),
        forward=rule.forward_original_token,
        payload_header=rule.output_payload_to_header.lower(),
        claim_headers=tuple((one.header.lower(), one.claim) for one in rule.output_claim_to_headers),
        spaced=tuple(sorted({*rule.space_delimited_claims, *_SPACED})),
    )


@lru_cache(maxsize=1024)
def _usable(keys: str) -> str:
    """Without those that Envoy can't use; "" if there is no other."""
    try:
        return key_set(keys).json if keys else ""
    except ValueError:
        return ""
