"""The guide on authorization, typed as it stands, and what it says that commands print."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guides import Reader, followed

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "authorization.md").read_text()
# What is another one in each mesh: ids of instances, the port that the program was given, and how often was tried, and when.
OWN = re.compile(
    r"(?<=orders-)[0-9a-f]{6}\b|(?<=seen: )\d+ or 80|(?<=seen: )80 or \d+|(?<=denied: )\d+, the last \d+\w ago|(?<=shell \()\d+"
)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with Reader(tmp_path) as there:
        yield there


def test_the_guide_on_authorization_does_what_it_says(reader: Reader) -> None:
    followed(reader, GUIDE, follow)
    (orders,) = (one for one in reader.running if "orders.py" in one.name)
    assert "denied" in orders.output and "POST orders/list" in orders.output.replace("POST orders ", "POST orders")


def follow(reader: Reader, in_shell: bool, line: str, output: str) -> None:
    """Sidecars learn of a change a moment after it is stored, and the command says so until they have."""

    until = time.monotonic() + 10
    while OWN.sub("X", printed := reader.types(line, in_shell)) != OWN.sub("X", output):
        may_change = in_shell or line.startswith("tulle authz")
        assert may_change and time.monotonic() < until, f"{line}\n{printed}"
        time.sleep(0.05)
