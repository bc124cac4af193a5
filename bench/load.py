"""The load generator wrk, and what it says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from bench.processes import Failed

_UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass(frozen=True)
class Load:
    """p50: in microseconds."""

    requests: int
    p50: float


def wrk(port: int, seconds: int, connections: int, host: str = "service-b", headers: Mapping[str, str] = {}) -> Load:
    """GETs as fast as they are answered, over so many connections that stay open. Raises Failed unless all succeed."""
    url = f"http://127.0.0.1:{port}/data"
    given = [word for name, value in {"Host": host, **headers}.items() for word in ("-H", f"{name}: {value}")]
    command = ("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *given, url)
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True).stdout
    except FileNotFoundError:
        raise Failed("the load generator wrk is missing; scripts/bench installs it") from None
    requests = re.search(r"(\d+) requests in", said)
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s)\b", said)
    if not requests or not p50 or "Socket errors" in said or "Non-2xx" in said:
        raise Failed(f"not every call succeeded:\n{said}")
    return Load(int(requests[1]), float(p50[1]) * _UNITS[p50[2]])
