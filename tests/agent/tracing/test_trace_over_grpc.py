"""gRPC, served and called in each of its four ways, by threads and by asyncio."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def test_a_calls_context_goes_on_with_the_calls_that_are_made_for_it_alone(run: Callable[..., Any]) -> None:
    done = run("calls.py")
    with_context = [["traceparent", f"00-{'a' * 32}-{'b' * 16}-01"], ["x-request-id", "r-1"]]
    assert json.loads(done.stdout) == {"sync": [with_context, []] * 4, "aio": [with_context, []] * 4}, done.stderr
