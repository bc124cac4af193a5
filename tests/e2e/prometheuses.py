"""A real Prometheus (Debian's package) with the configuration that `tulle bundle prometheus` writes, and what it answers."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from running import Mesh, wait_for
from wires import free_ports


class Prometheus:
    def __init__(self, port: int) -> None:
        self._at = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **words: str) -> Any:
        """The data of an answer of its API. Raises OSError while it does not answer, AssertionError if it refuses."""
        try:
            url = f"{self._at}/api/v1/{path}?{urllib.parse.urlencode(words)}"
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from None

    def series(self, query: str) -> list[dict[str, str]]:
        """The labels of what a query finds now and has a number."""
        found = self.ask("query", query=query)["result"]
        return [each["metric"] for each in found if not math.isnan(float(each["value"][1]))]

    def all_up(self, targets: int) -> bool:
        """Whether it scrapes so many, and none in vain."""
        found = self.ask("targets")["activeTargets"]
        return len(found) == targets and all(each["health"] == "up" for each in found)

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def is_there(self) -> bool:
        try:
            return bool(self.ask("status/runtimeinfo"))
        except (OSError, AssertionError):
            return False


@contextmanager
def prometheus(mesh: Mesh, folder: Path) -> Iterator[Prometheus]:
    """One that scrapes the mesh; of the configuration only the intervals are made shorter."""
    program = shutil.which("prometheus")
    assert program is not None
    written = mesh.tulle("bundle", "prometheus", "-o", str(folder))
    assert written.returncode == 0, written.stderr
    file = folder / "prometheus.yml"
    file.write_text(
        re.sub(r"(scrape_interval|evaluation_interval|refresh_interval): \d+s", r"\1: 1s", file.read_text())
    )
    (port,) = free_ports(1)
    place = f"--web.listen-address=127.0.0.1:{port}"
    command = [str(program), f"--config.file={file}", place, f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        made = Prometheus(port)
        wait_for("Prometheus answers", made.is_there)
        yield made
    finally:
        process.terminate()
        process.wait(20)
