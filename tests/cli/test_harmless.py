"""What others may have written reaches no terminal as it is: it could move the cursor, or say what never was."""

from __future__ import annotations

import json

import pytest

from tulle.api.log_views import LogLineView
from tulle.cli import client, logs

ESCAPE = "\x1b]0;owned\x07\u202e\x9b2J"


@pytest.mark.parametrize(
    "time", ["2026-01-02T03:04:05.678Z", ESCAPE, "9999-99-99T00:00:00Z", "0001-01-01T00:00:00+23:00"]
)
def test_lines_of_an_agents_log(time: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = LogLineView(1, time, ESCAPE, f"envoy{ESCAPE}", f"said\n{ESCAPE}", {"exception": f"one\n{ESCAPE}two"})
    logs._print(f"web{ESCAPE}", line, "text")
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 3 and "said" in shown[0] and "two" in shown[2]
    assert all(part.isprintable() for part in shown)
    logs._print("", line, "json")
    assert json.loads(capsys.readouterr().out)["message"] == line.message


def test_why_an_agent_could_not_do_what_it_was_asked_for() -> None:
    text = client._error(502, json.dumps({"error": f"it does not:\n{ESCAPE}why"}).encode())
    first, second = text.split("\n")
    assert first == "it does not:" and second.endswith("why") and second.isprintable()
