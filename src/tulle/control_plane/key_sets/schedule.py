"""Which keys are needed, and when they are fetched again. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from tulle.model.durations import seconds
from tulle.model.resources.request_authentication import DISCOVERY, RequestAuthentication, keys_at
from tulle.resolve.declared import Declared

# Istio's (JWTRule, `timeout`), and what a document may make of it.
_TIMEOUT, _MOST_TIMEOUT = 5.0, 60.0
# After a failure; twice as long after each further one.
_FIRST_RETRY, _LAST_RETRY = 1.0, 60.0
MOST_SETS = 1000


class Source(Struct, frozen=True):
    """From where a key set is fetched. described: the issuer's description is there, which says where. timeout: seconds."""

    uri: str
    described: bool = False
    timeout: float = _TIMEOUT


def sources(declared: Declared) -> Mapping[str, Source]:
    """By URI, those that resources name. One that several name has the longest of their timeouts."""
    found: dict[str, Source] = {}
    for policies in declared.policies.values():
        for policy in policies:
            for rule in policy.spec.jwt_rules if isinstance(policy.spec, RequestAuthentication) else ():
                uri = keys_at(rule)
                if not uri:
                    continue
                timeout = min(seconds(rule.timeout) or _TIMEOUT, _MOST_TIMEOUT)
                described = not rule.jwks_uri and uri.endswith(DISCOVERY)
                before = found.get(uri)
                # A document may give the very URI that another one leaves to discovery.
                found[uri] = Source(
                    uri,
                    described or (before is not None and before.described),
                    max(timeout, before.timeout if before else 0),
                )
    return found


def wait(failures: int, refresh: float, chance: float) -> float:
    """Seconds until the next attempt. failures: in a row. chance: from 0 to 1, so that not all come at once."""
    if not failures:
        return refresh * (0.9 + 0.1 * chance)
    return min(_FIRST_RETRY * 2.0 ** min(failures - 1, 10), _LAST_RETRY, refresh) * (0.75 + 0.25 * chance)
