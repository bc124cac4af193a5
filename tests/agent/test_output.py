"""Envoy's standard output comes to the agent's own, in whole lines, and nobody waits for its reader."""

from __future__ import annotations

import asyncio
import os
import select
import sys
from pathlib import Path

from tulle.agent.epoch import Epoch
from tulle.agent.folder import agent_folder
from tulle.agent.output import Lines, Output


def test_whole_lines_come_out_however_they_came_in() -> None:
    found: list[bytes] = []
    lines = Lines(found.append)
    for part in (b"a", b"b\nc", b"\n", b"d"):
        lines.add(part)
    assert found == [b"ab\n", b"c\n"]
    lines.end()
    assert found[-1] == b"d\n"


def test_lines_for_another_come_to_nobody_else_also_when_they_are_torn_or_have_no_end() -> None:
    found: list[bytes] = []
    taken: list[bytes] = []
    lines = Lines(found.append, b'{"secret"', taken.append)
    for part in (b"a\n\n", b'{"sec', b'ret":1}\nb\r1\ntorn {"secret":2', b"}\n", b'{"secret":"', 3 * (400_000 * b"x",)):
        for each in part if isinstance(part, tuple) else (part,):
            lines.add(each)
    lines.add(b'"}\nc\n')
    lines.end()
    assert b"".join(found) == b"a\n\nb\r1\ntorn \nc\n"
    assert taken[:2] == [b'{"secret":1}', b'{"secret":2}']
    assert len(taken) == 3 and taken[2].startswith(b'{"secret":"xx') and not taken[2].endswith(b"}")


def test_no_caller_ends_the_line_that_tells_of_it_unseen() -> None:
    found: list[bytes] = []
    taken: list[bytes] = []
    lines = Lines(found.append, b'{"secret"', taken.append)
    lines.add(b'"GET /" "curl" 1\n"GET /a" "{"secret"" 2\n"GET /b" {"secret":3}\n"GET /c" "curl" 4\n')
    assert b"".join(found).splitlines() == [
        *(b'"GET /" "curl" 1', b'"GET /a" "<the rest may be secret>', b'"GET /b" ', b'"GET /c" "curl" 4')
    ]
    assert taken == [b'{"secret"" 2', b'{"secret":3}']


def test_a_reader_that_does_not_read_holds_nothing_up_and_learns_what_is_lost() -> None:
    told: list[str] = []
    reading, writing = os.pipe()
    output = Output(told.append, writing)
    line = b"x" * 65535 + b"\n"
    for _ in range(100):  # of which 64 fit, and one or two that are written at once
        output.write(line)
    received = 0
    while received < 60 * len(line):
        received += len(os.read(reading, 1 << 20))
    output.write(b"last\n")
    assert 33 <= sum(int(lost.partition(" ")[0]) for lost in told) <= 36
    assert told and all("lines of the access log are lost" in lost for lost in told)
    rest = b""
    while not rest.endswith(b"last\n"):
        rest += os.read(reading, 1 << 20)
    output.close()
    os.close(reading)
    os.close(writing)


def test_no_line_is_cut_where_the_program_has_made_its_output_not_wait() -> None:
    told: list[str] = []
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    output = Output(told.append, writing)
    line = b"x" * 99 + b"\n"
    for _ in range(200):
        output.write(line * 10)
    received = b""
    while len(received) < 2000 * len(line) and select.select([reading], [], [], 5)[0]:
        received += os.read(reading, 8192)
    assert (received, told) == (line * 2000, [])
    output.close()
    os.close(reading)
    os.close(writing)


async def test_what_envoy_writes_is_handed_over_to_its_last_line(tmp_path: Path) -> None:
    found: list[bytes] = []
    with agent_folder(tmp_path, "a-000001") as folder:
        async with asyncio.TaskGroup() as group:
            said = "print('one'); print('two', end='')"
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", said, stdout=pipe, stderr=pipe)
            epoch = Epoch(process, folder, group, {}, Lines(found.append))
            await epoch.ended()
            await epoch.stop()
    assert b"".join(found) == b"one\ntwo\n"


async def test_what_envoy_says_again_and_again_hides_nothing_that_it_says_once(tmp_path: Path) -> None:
    found: list[bytes] = []
    again = (
        "DeltaAggregatedResources gRPC config stream to control-plane closed since 7s ago: 14, upstream connect error"
    )
    with agent_folder(tmp_path, "a-000001") as folder:
        async with asyncio.TaskGroup() as group:
            says = f"import sys; print('once', *[{again!r}] * 40, 'last', sep='\\n', file=sys.stderr); sys.exit(3)"
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", says, stdout=pipe, stderr=pipe)
            epoch = Epoch(process, folder, group, {}, said=found.append)
            ended = await epoch.ended()
            await epoch.stop()
    assert found == [b"once", b"last"]
    assert ended == "ended with exit code 3 and said:\n  once\n  last"
