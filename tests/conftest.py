"""Options and fixtures for all tests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# How fast the machine is says nothing of what is tested.
settings.register_profile("tulle", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tulle")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew, and remove what no case needs"
    )
    parser.addoption(
        "--update-capture-table",
        action="store_true",
        help="write into docs/reference/capture.md what tests/capture have found",
    )
    parser.addoption(
        "--update-resources-table",
        action="store_true",
        help="write docs/reference/resources.md from what `tulle explain` says",
    )
