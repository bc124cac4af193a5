"""`retries`: how often and on what a request is tried again.

Source: Istio, Virtual Service, HTTPRetry, and its defaults (pilot/pkg/networking/core/route/retry).
"""

from __future__ import annotations

from http import HTTPStatus

from tulle.ir.routes import Retries
from tulle.model.durations import nanoseconds
from tulle.model.resources.virtual_service import HTTPRetry

_DEFAULT_ON = "connect-failure,refused-stream,unavailable,cancelled"
_BY_CODE = "retriable-status-codes"
_CODES = {str(status.value) for status in HTTPStatus}


def retries(policy: HTTPRetry) -> Retries:
    """Completed by Istio's defaults: without `retryOn`, what was not served, and 503. Numbers in it are HTTP codes."""
    if policy.attempts <= 0:
        return Retries(0)
    words = [word for part in policy.retry_on.split(",") if (word := part.strip())]
    codes = tuple(sorted({int(word) for word in words if word in _CODES}))
    on = [word for word in words if word not in _CODES]
    if not words:
        on, codes = [*_DEFAULT_ON.split(","), _BY_CODE], (503,)
    elif codes and _BY_CODE not in on:
        on.append(_BY_CODE)
    return Retries(
        attempts=policy.attempts,
        on=",".join(on),
        codes=codes,
        per_try=_length(policy.per_try_timeout),
        backoff=_length(policy.backoff),
        ignore_previous_hosts=policy.retry_ignore_previous_hosts is not False,
        remote_localities=policy.retry_remote_localities is True,
    )


def _length(text: str | None) -> int | None:
    return nanoseconds(text) if text is not None else None
