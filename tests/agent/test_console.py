"""Where the agent's own messages go."""

from __future__ import annotations

import json
import os
import select
import time
from pathlib import Path

import pytest

from tulle.agent.console import Console


def test_messages_go_to_standard_error_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    Console("text", "b-000001").info("one\ntwo")
    assert capsys.readouterr() == ("", "tulle | one\ntulle | two\n")


def test_a_log_file_is_appended_to_and_leaves_the_streams_to_the_program(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mesh.log"
    file.write_text("earlier\n")
    console = Console("text", "b-000001", log_file=str(file))
    console.info("hello")
    console.warning("beware")
    earlier, *lines = file.read_text().splitlines()
    assert earlier == "earlier"
    assert [line.partition(" ")[2] for line in lines] == ["tulle | hello", "tulle | beware"]
    assert all(time.strptime(line.partition(" ")[0], "%Y-%m-%dT%H:%M:%S%z") for line in lines)
    assert capsys.readouterr() == ("", "")


def test_what_ends_the_agent_is_told_on_standard_error_as_well(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mesh.log"
    Console("json", "b-000001", log_file=str(file)).error("the end")
    assert json.loads(file.read_text())["message"] == json.loads(capsys.readouterr().err)["message"] == "the end"


def test_a_log_file_that_can_not_be_written_is_said_and_does_no_harm(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    console = Console("text", "b-000001", log_file=str(tmp_path / "no" / "mesh.log"))
    console.info("hello")
    assert capsys.readouterr().err.splitlines() == [
        f"tulle | can't write to --log-file {tmp_path}/no/mesh.log: No such file or directory; messages come here",
        "tulle | hello",
    ]
    full = Console("text", "b-000001", log_file="/dev/full")
    full.info("lost")  # and nobody is disturbed
    assert capsys.readouterr().err == ""


def test_what_is_not_urgent_waits_while_the_program_has_the_terminal() -> None:
    keys, screen = os.openpty()
    with open(screen, "w") as stream:
        console = Console("text", "b-000001", stream)
        has_terminal = True
        console.must_wait = lambda: has_terminal
        for number in range(150):
            console.info(f"message {number}")
        console.warning("beware")
        assert select.select([keys], [], [], 0) == ([], [], [])
        has_terminal = False
        console.info("it has ended")
        text = ""
        while not text.endswith("it has ended\r\n"):
            text += os.read(keys, 65536).decode()
    os.close(keys)
    assert text.splitlines() == [f"tulle | message {n}" for n in range(51, 150)] + [
        "tulle | beware",
        "tulle | it has ended",
    ]
