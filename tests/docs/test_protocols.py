"""The page on protocols and the code name the same ports, protocols and times."""

from __future__ import annotations

import re
from pathlib import Path

from tulle.model.protocols import NAMES
from tulle.model.well_known import HTTP_PORTS, TCP_PORTS
from tulle.resolve import detection

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "protocols.md").read_text()


def test_every_port_that_tells_its_protocol_is_named_and_no_other() -> None:
    assert {int(number): what for number, what in re.findall(r"^\| (\d+) \| (.*) \|$", TEXT, re.M)} == TCP_PORTS
    (told,) = re.findall(r"^HTTP: (.*)\.$", TEXT, re.M)
    assert {int(number) for number in re.findall(r"\d+", told)} == HTTP_PORTS


def test_every_protocol_that_can_be_said_is_told_with_what_comes_of_it() -> None:
    cells = re.findall(r"^\| (`.*`) \| ", TEXT, re.M)
    assert {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)} == set(NAMES)


def test_the_first_bytes_are_waited_for_as_long_as_is_told() -> None:
    assert f"for {detection.OUTBOUND // 1_000_000} ms" in TEXT
    assert f"waits for {detection.INBOUND // 1_000_000_000} s" in TEXT
