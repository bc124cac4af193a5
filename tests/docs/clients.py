"""A program that calls in ways that the guide says do not work, and prints as JSON what came of each."""

from __future__ import annotations

import json
from collections.abc import Callable

import requests


def outcome(call: Callable[[], str]) -> str:
    try:
        return call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


print(
    json.dumps(
        {
            "https": outcome(lambda: requests.get("https://service-b:80/data", timeout=30).text),
            "underscore": outcome(lambda: requests.get("http://a_b/", timeout=30).text),
        }
    )
)
