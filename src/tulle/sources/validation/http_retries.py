"""Which calls are made again, and how often."""

from __future__ import annotations

import re
from http import HTTPStatus

from tulle.model.resources.virtual_service import HTTPRetry
from tulle.sources.at import At
from tulle.sources.validation.basics import check_duration

# Envoy, Router filter, x-envoy-retry-on and x-envoy-retry-grpc-on; what Istio takes of them.
CONDITIONS = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "envoy-ratelimited",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    }
)
_STATUSES = frozenset(int(status) for status in HTTPStatus)
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


def check(retries: HTTPRetry | None, at: At) -> None:
    if retries is None:
        return
    if retries.attempts < 0:
        at.field("attempts").error(f"is {retries.attempts}: use 0 for no retries, or more")
    elif retries.attempts == 0:
        for field, given in (
            ("perTryTimeout", retries.per_try_timeout is not None),
            ("retryOn", bool(retries.retry_on)),
            ("retryRemoteLocalities", retries.retry_remote_localities is not None),
        ):
            if given:
                at.field(field).error("has no meaning without retries: give `attempts`, or take it out")
    if retries.per_try_timeout is not None:
        check_duration(retries.per_try_timeout, at.field("perTryTimeout"))
    if retries.backoff is not None:
        check_duration(retries.backoff, at.field("backoff"))
    for condition in retries.retry_on.split(",") if retries.retry_on else ():
        if condition not in CONDITIONS and not (_NUMBER.fullmatch(condition) and int(condition) in _STATUSES):
            at.field("retryOn").error(_unknown(condition))


def _unknown(condition: str) -> str:
    if condition.strip() in CONDITIONS:
        return f"`{condition}` has blanks around it: write conditions with commas alone between them"
    return f"`{condition}` is no condition of a retry: use a status, such as 503, or {', '.join(sorted(CONDITIONS))}"
