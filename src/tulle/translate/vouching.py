"""What only a sidecar may say of the caller, to the program that it stands beside: what others send in its name is dropped.

Envoy itself drops `x-forwarded-client-cert` and what steers an Envoy (`x-envoy-retry-on` and the like). Here goes what it passes:
headers that only Envoys and sidecars set; names that differ in `_` for `-`, which to a WSGI program are the same (PEP 3333,
`HTTP_X_FORWARDED_CLIENT_CERT`). `X-Forwarded-For` is the programs' own and passes, but nobody believes it here: the caller's
address is the connection's.
Source: HttpConnectionManager, `early_header_mutation_extensions`: they come before Envoy sets headers of its own;
`xff_num_trusted_hops`: of a list with fewer addresses none counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tulle.translate.early_headers import early

_OURS = (
    *("x-envoy", "x_envoy", "x-tulle", "x_tulle"),
    *("x-forwarded-client", "x-forwarded_client", "x_forwarded-client", "x_forwarded_client"),
)
_MORE_THAN_A_HEAD_HOLDS = 1_000_000


def vouched_by_sidecars_alone(also: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Settings of a door's HTTP connection manager. Prefixes, as they cost less than a regular expression.

    also: other mutations, which come afterwards.
    """
    ours = [{"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in _OURS]
    return {**early([*ours, *also]), "xff_num_trusted_hops": _MORE_THAN_A_HEAD_HOLDS}
