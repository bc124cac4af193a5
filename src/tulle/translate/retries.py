"""When a request is tried again: tulle's own ways, which are always safe, and a user's."""

from __future__ import annotations

from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.routes import Retries
from tulle.translate import names
from tulle.translate.answers import duration

_PREVIOUS_HOSTS = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
_PREVIOUS_PRIORITIES = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
# The program has not seen the request, so every method may go to another instance.
UNSEEN = "connect-failure,refused-stream,reset-before-request,retriable-headers"
# The program may have seen it, so only methods that are safe.
SAFE = f"{UNSEEN},reset,gateway-error"
_NOT_SERVED = [{"name": names.NOT_SERVED_HEADER, "present_match": True}]


def own_retries(retry_on: str) -> dict[str, Any]:
    """Up to three more instances, each another than before."""
    return {
        "retry_on": retry_on,
        "num_retries": {"value": 3},
        "retriable_headers": _NOT_SERVED,
        "retry_host_predicate": [_other_hosts()],
        "host_selection_retry_max_attempts": 32,
        "retry_back_off": {"base_interval": {"nanos": 5_000_000}, "max_interval": {"nanos": 50_000_000}},
    }


def users_retries(retries: Retries) -> dict[str, Any]:
    """As the user says. An empty policy is none, whatever the virtual host has.

    A connection that failed is also one that the program refused to its own sidecar, which the mesh marks.
    """
    if retries.attempts == 0:
        return {}
    words = retries.on.split(",")
    marked = "connect-failure" in words
    policy: dict[str, Any] = {
        "retry_on": ",".join([*words, "retriable-headers"]) if marked else retries.on,
        "num_retries": {"value": retries.attempts},
        "retriable_status_codes": retries.codes,
        "host_selection_retry_max_attempts": 5,
    }
    if marked:
        policy["retriable_headers"] = _NOT_SERVED
    if retries.per_try is not None:
        policy["per_try_timeout"] = duration(retries.per_try)
    if retries.backoff is not None:
        policy["retry_back_off"] = {"base_interval": duration(retries.backoff)}
    if retries.ignore_previous_hosts:
        policy["retry_host_predicate"] = [_other_hosts()]
    if retries.remote_localities:
        # Each second attempt goes to places that were not tried, as Istio has it.
        settings = message(_PREVIOUS_PRIORITIES)(update_frequency=2)
        policy["retry_priority"] = {"name": "previous_priorities", "typed_config": pack(settings)}
    return policy


def _other_hosts() -> dict[str, Any]:
    return {"name": "previous_hosts", "typed_config": pack(message(_PREVIOUS_HOSTS)())}
