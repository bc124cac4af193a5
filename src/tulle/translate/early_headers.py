"""What a connection manager does to a request's headers before all else, tracing included.

Source: HttpConnectionManager, `early_header_mutation_extensions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tulle.envoy_api.messages import message, pack

_NAME = "envoy.http.early_header_mutation.header_mutation"
_MUTATION = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"


def early(mutations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings of a connection manager. mutations: HeaderMutations of envoy.config.common.mutation_rules.v3, in their order."""
    if not mutations:
        return {}
    settings = pack(message(_MUTATION)(mutations=mutations))
    return {"early_header_mutation_extensions": [{"name": _NAME, "typed_config": settings}]}
