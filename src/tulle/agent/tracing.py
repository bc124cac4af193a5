"""What `--trace` gives to the program: variables of OpenTelemetry's, where the user has not set them.

A Python program passes the trace's context on by the shim, and a program that has an OpenTelemetry SDK, in whatever
language, finds where to send its spans. Source: OpenTelemetry, "Environment Variable Specification", "OTLP Exporter
Configuration".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

_EXPORTER = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_TRACES_EXPORTER": "otlp"}
# The agent takes spans alone.
_NOTHING_ELSE = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
# Any of these says that spans go elsewhere, or that there are none.
_OWN_WAY = (
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    *("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
    *("OTEL_TRACES_EXPORTER", "OTEL_CONFIG_FILE"),
)
_INTERPRETER = re.compile(
    r"(python|pypy)[\d.]*t?|(ba|da|z)?sh|busybox|env|nice|nohup|timeout|uvx?|poetry|pipenv|pdm|hatch|conda|pixi"
)
_LONGEST_LINE = 256
FOREIGN = (
    "this is no Python program: --trace gives it OpenTelemetry's variables, but unless it passes the trace's context on by "
    "itself, each of its calls begins another trace"
)


def trace_environment(inherited: Mapping[str, str], service: str, namespace: str, spans: str = "") -> dict[str, str]:
    """Variables that are to be added. spans: the URL below which OTLP/HTTP is taken; "" for none."""
    added: dict[str, str] = {}
    if not inherited.get("OTEL_SERVICE_NAME") and "service.name=" not in inherited.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        added["OTEL_SERVICE_NAME"] = f"{service}.{namespace}"  # as the sidecar calls itself in its spans
    if spans and not any(inherited.get(name) for name in _OWN_WAY):
        added |= {"OTEL_EXPORTER_OTLP_ENDPOINT": spans, **_EXPORTER}
        added |= {name: value for name, value in _NOTHING_ELSE.items() if not inherited.get(name)}
    return added


def shim_parts(inherited: Mapping[str, str], spans: str) -> tuple[str, ...]:
    """Of the shim, as `TULLE_SHIM` names them."""
    has_exporter = bool(spans) or any(inherited.get(name) for name in _OWN_WAY)
    return (
        ("trace", "spans") if has_exporter and inherited.get("OTEL_SDK_DISABLED", "").lower() != "true" else ("trace",)
    )


def is_foreign(file: str) -> bool:
    """Whether it is neither Python nor what may start a Python program, as far as its name and first line tell."""
    if _is_known(file) or _is_known(os.path.realpath(file)):
        return False
    try:
        with open(file, "rb") as opened:  # noqa: PTH123
            first = opened.readline(_LONGEST_LINE).decode(errors="replace")
    except OSError:
        return False
    # Of `/usr/bin/env -S python3 -u` the last that is known is the interpreter, but for env itself.
    words = [Path(word).name for word in first[2:].split()]
    return not first.startswith("#!") or not any(_is_known(word) for word in words if word != "env")


def _is_known(file: str) -> bool:
    return _INTERPRETER.fullmatch(Path(file).name) is not None
