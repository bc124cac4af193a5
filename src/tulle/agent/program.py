"""The program that the agent looks after: found on PATH, started under its reaper, told signals, waited for."""
# ruff: noqa: PTH112, PTH113, PTH118
# The program is to see its own path as the user has written it.

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tulle.agent.descendants import KILL_SECONDS, kill_children
from tulle.agent.exits import NOT_EXECUTABLE, NOT_FOUND, AgentError, of_return_code
from tulle.agent.folder import Folder
from tulle.agent.terminal import Terminal, shared_terminal

NO_CAPTURE: Mapping[str, Any] = {"mode": "none"}
_MARGIN_SECONDS = 5.0  # for the reaper itself, on a busy machine
_REAPER = str(Path(__file__).with_name("reaper.py"))


def locate(command: str) -> str:
    """The file that a shell would run for `command`. Raises AgentError 127 or 126."""
    folders = [""] if "/" in command else os.get_exec_path()
    there = [file for folder in folders if os.path.isfile(file := os.path.join(folder, command))]
    for file in there:
        if os.access(file, os.X_OK):
            return file
    if there or os.path.isdir(command):
        raise AgentError(f"{there[0] if there else command} is not executable{_hint(command)}", NOT_EXECUTABLE)
    raise AgentError(f"there is no program {command!r}{_hint(command)}", NOT_FOUND)


@asynccontextmanager
async def under_reaper(
    file: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    folder: Folder,
    plan: Mapping[str, Any] = NO_CAPTURE,
    hear: Callable[[str, str], None] = lambda _word, _rest: None,
) -> AsyncIterator[Program]:
    """A reaper that is ready to start the program. After the block the program's whole tree and the folder are gone.

    plan: how the program's traffic is captured (`capture/`). hear: told what the capture says from the program's side:
    `note`, and `moved`.
    """
    ours, theirs = socket.socketpair()
    with shared_terminal() as terminal:
        with theirs:
            control = str(theirs.fileno())
            # Not on its command line, which every user of the machine can read.
            ours.sendall(json.dumps(plan).encode() + b"\n")
            reaper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", _REAPER, control, str(folder.path), plan["mode"]),
                *(file, *argv),
                env=environment,
                pass_fds=(theirs.fileno(), folder.lock),
                start_new_session=not terminal.is_there,
                process_group=0 if terminal.is_there else None,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        program = Program(file, reaper.pid, reader, writer, terminal, hear)
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(program.listen(), name="reaper")
                yield program
                listening.cancel()
        finally:
            writer.close()
            with suppress(TimeoutError):  # the reaper has said by then which processes it can't end
                async with asyncio.timeout(KILL_SECONDS + 2):
                    await reaper.wait()
            if reaper.returncode != 0:  # it was killed itself, so its orphans are ours
                kill_children()


class Program:
    """What the reaper tells of the program, which may live more than once: one `start` a life.

    What is asked about its end is about the present life, or the last one. reaper: the process above its tree.
    starts: how often it was started.
    """

    def __init__(
        self,
        file: str,
        reaper: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        terminal: Terminal,
        hear: Callable[[str, str], None],
    ) -> None:
        self._file = file
        self.reaper = reaper
        self._reader = reader
        self._writer = writer
        self._terminal = terminal
        self._hear_capture = hear
        self._running: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._sung: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._empty = asyncio.Event()
        self._started = self._ended = 0.0
        self.starts = 0

    @property
    def lifetime(self) -> float:
        """Seconds from its start to its end."""
        return self._ended - self._started

    @property
    def left_processes(self) -> bool:
        """Whether any of the program's processes is alive, after the program itself has ended."""
        return not self._empty.is_set()

    def has_terminal(self) -> bool:
        """Whether it is an interactive one that has the user's terminal at the moment."""
        return self._terminal.is_programs

    async def canary(self, seconds: float) -> str | None:
        """Tries the way into the mesh, as the program would go it, before it is started; what is wrong, or None."""
        self._sung = asyncio.get_running_loop().create_future()
        self._tell(f"canary {seconds}")
        try:
            async with asyncio.timeout(seconds + _MARGIN_SECONDS):
                said = await self._sung
        except TimeoutError:
            return "the check has no end"
        return None if said == "ok" else said

    async def start(self) -> None:
        """Returns when the program runs; if it has run before, it must have ended. Raises AgentError if it can't."""
        self._running = asyncio.get_running_loop().create_future()
        last, self._exited = self._exited, asyncio.get_running_loop().create_future()
        self._tell("start")
        if error := await asyncio.shield(self._running):
            self._exited = last  # what never lived has no end
            number, _, step = error.partition(" ")
            if step == "capture":
                raise AgentError(f"can't run {self._file} with its traffic captured: {os.strerror(int(number))}")
            raise AgentError(f"can't run {self._file}: {_reason(int(number))}", NOT_EXECUTABLE)

    async def clear(self) -> bool:
        """Kills what the ended program has left behind; whether nothing of it is left."""
        self._tell("clear")
        with suppress(TimeoutError):
            async with asyncio.timeout(KILL_SECONDS + 2):
                await self._empty.wait()
        return self._empty.is_set()

    async def restart(self) -> None:
        """Another life for the program that has ended, without what the last one has left. Raises AgentError."""
        await self.clear()
        await self.start()

    def envoy_is(self, pid: int) -> None:
        """Has the reaper kill this Envoy too, should the agent be killed."""
        self._tell(f"envoy {pid}")

    def keep_folder(self) -> None:
        """Leaves the folder to the next reaper of this agent: this one was to find out that its plan does not do."""
        self._tell("keep")

    def signal(self, number: int) -> None:
        """Passes a signal on: one that a terminal sends, or that asks to end, to the whole process group."""
        meant_for_one = number in (signal.SIGUSR1, signal.SIGUSR2)
        self._tell(f"signal{'' if meant_for_one else '-group'} {int(number)}")
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # a stopped one would not even notice
            self._tell(f"signal-group {int(signal.SIGCONT)}")

    async def ended(self) -> int:
        """Waits for the program's end; its return code as in subprocess, negative for signals."""
        return await asyncio.shield(self._exited)

    async def gone(self) -> None:
        """Waits until nothing of the program is left."""
        await self._empty.wait()

    def exit_code(self) -> int:
        """Of the ended program."""
        return of_return_code(self._exited.result())

    async def listen(self) -> None:
        """Takes in what the reaper says. Raises AgentError if the reaper goes before it is told to."""
        with suppress(ConnectionResetError):  # it has gone with something unread
            while line := await self._reader.readline():
                word, _, rest = line.decode().rstrip("\n").partition(" ")
                self._hear(word, rest)
        raise AgentError("the program's reaper was killed; the program was ended with it")

    def _hear(self, word: str, rest: str) -> None:
        now = asyncio.get_running_loop().time()
        if word == "started":
            self.starts += 1
            self._empty.clear()  # an earlier word was of an earlier life, or of the canary
            self._started = now
            self._terminal.program_started(int(rest), lambda number: self._tell(f"signal-group {int(number)}"))
            self._running.set_result("")
        elif word == "failed":
            self._running.set_result(rest)
        elif word == "exited":
            self._ended = now
            self._terminal.program_exited(int(rest))
            self._exited.set_result(int(rest))
        elif word == "empty":
            self._empty.set()
        elif word == "canary":
            if not self._sung.done():
                self._sung.set_result(rest)
        elif word == "stopped":
            self._terminal.program_stopped(int(rest))
        else:
            self._hear_capture(word, rest)

    def _tell(self, line: str) -> None:
        self._writer.write(line.encode() + b"\n")


def _reason(error: int) -> str:
    if error == errno.ENOEXEC:
        return "it is neither a binary nor a script that starts with #!"
    if error == errno.ENOENT:
        return "the interpreter that its first line names is not there"
    return os.strerror(error)


def _hint(command: str) -> str:
    if command.endswith(".py"):
        return f"; did you mean `python {command}`?"
    return ""
