"""What a program finds in its environment with --trace, and who is told that it is no Python program."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tulle.agent.capture.environment import program_environment
from tulle.agent.config import AgentConfig
from tulle.agent.ports import Ports
from tulle.agent.tracing import is_foreign

PORTS = Ports(10000, 10001, 10002, 10003, ExitStack())
SPANS = "http://127.0.0.1:4444/word"


def given(mode: str = "seccomp", spans: str = SPANS, *, trace: bool = True, **inherited: str) -> dict[str, str]:
    config = AgentConfig("web", "/state", ("true",), "web", namespace="shop", trace=trace)
    environment, notes = program_environment(inherited, config, "web-000001", PORTS, mode, spans=spans)
    assert notes == []
    return environment


def test_the_shim_is_there_in_every_mode_and_spans_have_a_way() -> None:
    for mode in ("redirect", "seccomp", "netns", "none"):
        found = given(mode)
        assert found["TULLE_SHIM"] == "trace,spans"
        assert found["PYTHONPATH"].endswith("/shim")
    assert given("proxy")["TULLE_SHIM"] == "proxy,trace,spans"
    assert {name: value for name, value in given().items() if name.startswith("OTEL_")} == {
        "OTEL_SERVICE_NAME": "web.shop",
        "OTEL_EXPORTER_OTLP_ENDPOINT": SPANS,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }


def test_without_trace_nothing_of_it_is_there() -> None:
    found = given(trace=False, spans="")
    assert not [name for name in found if name.startswith("OTEL_") or name in ("TULLE_SHIM", "PYTHONPATH")]
    assert given(trace=False, spans="", TULLE_SHIM="trace")["TULLE_SHIM"] == ""


def test_an_exporter_of_the_users_own_stays_as_it_is() -> None:
    found = given(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318", OTEL_SERVICE_NAME="mine")
    assert {name: value for name, value in found.items() if name.startswith("OTEL_")} == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_SERVICE_NAME": "mine",
    }
    assert found["TULLE_SHIM"] == "trace,spans"
    assert "OTEL_SERVICE_NAME" not in given(OTEL_RESOURCE_ATTRIBUTES="team=a,service.name=mine")
    assert given(OTEL_METRICS_EXPORTER="prometheus")["OTEL_METRICS_EXPORTER"] == "prometheus"


def test_who_has_switched_opentelemetry_off_gets_no_spans() -> None:
    assert given(OTEL_SDK_DISABLED="true")["TULLE_SHIM"] == "trace"


@pytest.mark.parametrize(
    ("first_line", "foreign"),
    [
        ("#!/usr/bin/env python3", False),
        ("#!/home/me/.venv/bin/python3.12", False),
        ("#!/bin/sh", False),
        ("#!/usr/bin/env node", True),
        ("\x7fELF", True),
    ],
)
def test_a_program_is_told_by_its_first_line(first_line: str, foreign: bool, tmp_path: Path) -> None:
    file = tmp_path / "server"
    file.write_text(f"{first_line}\n")
    assert is_foreign(str(file)) == foreign


def test_an_interpreter_is_told_by_its_name(tmp_path: Path) -> None:
    assert not is_foreign(sys.executable)
    (tmp_path / "snake").symlink_to(sys.executable)
    assert not is_foreign(str(tmp_path / "snake"))
    assert is_foreign("/bin/cat")
