"""The guide on traffic, typed as it stands: its programs, its documents, its commands, and what they are said to print."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guides import BLOCK, Reader, followed
from running import TULLE, wait_for

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "guides" / "traffic.md").read_text()
COUNTED = re.compile(r"^ +(\d+) ", re.M)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with Reader(tmp_path) as there:
        yield there


def test_the_guide_on_traffic_does_what_it_says(reader: Reader) -> None:
    followed(reader, GUIDE, follow)
    assert any('"GET /copied HTTP/1.1" 200' in one.output for one in reader.running if one.name.endswith("v2"))


def follow(reader: Reader, in_shell: bool, line: str, output: str) -> None:
    """Types a line. A call may be made again for a while: sidecars learn of a change a moment after it is stored."""
    if in_shell:
        wait_for(f"{line}\n{output}", lambda: alike(reader.types(line, in_shell), output), 10)
    else:
        printed = reader.types(line, in_shell)
        assert alike(printed, output), f"{line}\n{printed}"


def alike(printed: str, told: str) -> bool:
    """The same, and where calls are counted nobody gets much more or less than he is said to."""
    shares = [(int(a), int(b)) for a, b in zip(COUNTED.findall(printed), COUNTED.findall(told), strict=False)]
    near = all(abs(a - b) <= max(1, 0.2 * sum(told for _, told in shares)) for a, b in shares)
    return COUNTED.sub("", printed) == COUNTED.sub("", told) and near


WITH_DOCUMENTS = [path for path in sorted(DOCS.rglob("*.md")) if "apiVersion: networking" in path.read_text()]


@pytest.mark.parametrize("path", WITH_DOCUMENTS, ids=lambda path: path.name)
def test_every_document_of_the_pages_is_valid(path: Path, tmp_path: Path) -> None:
    documents = [text for language, text in BLOCK.findall(path.read_text()) if "apiVersion: networking" in text]
    for number, text in enumerate(documents):
        (tmp_path / f"{number}.yaml").write_text(text)
        done = subprocess.run(
            [*TULLE, "validate", "-f", str(tmp_path / f"{number}.yaml")], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0 and "warning" not in done.stdout, done.stdout + done.stderr
