"""What is said of a RequestAuthentication whose keys can't be fetched."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from tulle.api.doors import KeyTrouble
from tulle.model.levels import Level
from tulle.model.resources.request_authentication import RequestAuthentication, keys_at
from tulle.model.resources.resource import Resource
from tulle.resolve.analysis.findings import Finding


def key_findings(resource: Resource, troubles: Mapping[str, KeyTrouble]) -> Iterator[Finding]:
    """One for each of its rules that is in trouble. troubles: by the URI of the keys."""
    rules = resource.spec.jwt_rules if isinstance(resource.spec, RequestAuthentication) else ()
    for number, rule in enumerate(rules if troubles else ()):
        if (trouble := troubles.get(keys_at(rule))) is None:
            continue
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trouble.since))
        meanwhile = (
            "tokens are checked by those that were fetched before"
            if trouble.kept
            else "no token of this issuer is good until they are there"
        )
        yield Finding(
            resource.ref,
            f"spec.jwtRules[{number}].{'jwksUri' if rule.jwks_uri else 'issuer'}",
            f"the keys can't be fetched since {since}: {trouble.reason}; {meanwhile}",
            Level.WARNING if trouble.kept else Level.ERROR,
        )
