"""How much may be under way at once. Source: Envoy, CircuitBreakers.Thresholds."""

from __future__ import annotations

from typing import Any

from tulle.ir.policies import ConnectionPool, RetryBudget
from tulle.translate.durations import duration

_NO_LIMIT = 2**32 - 1
_NOTHING_SAID = ConnectionPool()


def circuit_breakers(pool: ConnectionPool = _NOTHING_SAID, budget: RetryBudget | None = None) -> dict[str, Any]:
    """Nothing is limited unless a user says so.

    Envoy's own defaults would refuse the 1,025th request in flight, and the 4th retry in flight, which breaks the promise
    that a dead instance costs no call. A budget takes the place of max_retries.
    """
    limits: dict[str, Any] = {
        "max_connections": _limit(pool.max_connections),
        "max_pending_requests": _limit(pool.max_pending_requests),
        "max_requests": _limit(pool.max_requests),
        "max_retries": _limit(pool.max_retries),
    }
    if budget is not None:
        limits["retry_budget"] = {
            "budget_percent": {"value": budget.percent},
            "min_retry_concurrency": {"value": budget.min_concurrency},
            **({"budget_interval": duration(budget.interval)} if budget.interval else {}),
        }
    return {"thresholds": [limits]}


def _limit(number: int | None) -> dict[str, int]:
    return {"value": _NO_LIMIT if number is None else number}
