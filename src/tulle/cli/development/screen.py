"""The one terminal on which all speak: whose each line is, in colours or as JSON, and nothing that could garble it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import click
import msgspec
from msgspec import Struct

from tulle.model.log_lines import rfc3339

OWN = "dev"

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
_LEVELS = {"warning": "yellow", "error": "red"}
# What a program may say to a terminal: colours (ECMA-48, SGR). Anything else would move the cursor of all.
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_OTHER_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")


_AGENT_BEGINS = b'{"time": '


class AgentLine(Struct):
    """What an agent says with `--log-format json` (tulle.agent.console); the control plane's lines have no `instance`."""

    time: str | float
    level: str
    message: str
    instance: str = ""


def told_apart(line: bytes, service: str = "") -> tuple[bytes, AgentLine | None]:
    """What a program says in a line, and what the `tulle` process around it does, an instance of `service`.

    They share a pipe. What a program says last may have no end, and the agent's line then follows in the same one.
    """
    at = line.rfind(_AGENT_BEGINS)
    if at >= 0:
        with suppress(msgspec.MsgspecError):
            said = msgspec.json.decode(line[at:], type=AgentLine)
            if not service or said.instance.startswith(f"{service}-"):  # else it is a program's own JSON
                return line[:at], said
    if line.startswith(b"tulle | "):
        return b"", AgentLine(time.time(), "info", line.removeprefix(b"tulle | ").decode(errors="replace"))
    return line, None


class Screen:
    """Writes `service-b.1 | text` to a file descriptor. gone: called when nobody reads any more."""

    def __init__(self, out: int, log_format: str, *, colours: bool) -> None:
        self.gone: Callable[[], None] = lambda: None
        self._out = out
        self._json = log_format == "json"
        self._colours = colours
        self._colour_of: dict[str, str] = {}
        self._width = len(OWN)
        self._broken = False

    def introduce(self, service: str, names: Iterable[str]) -> None:
        """Gives a service's instances a colour, and all names the same width."""
        colour = _COLOURS[len({*self._colour_of.values()}) % len(_COLOURS)]
        for name in names:
            self._colour_of[name] = colour
            self._width = max(self._width, len(name))

    def program(self, name: str, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]  # a progress bar's last state
        if self._json:
            self._write_json(name, "program", "info", text)
        else:
            shown = harmless(text, colours=self._colours)
            self._write(name, shown + "\x1b[0m" if "\x1b" in shown else shown)

    def tulle(self, name: str, level: str, message: str) -> None:
        """A line of the mesh's own, kept apart from the program's."""
        if self._json:
            self._write_json(name, "tulle", level, message)
            return
        for line in message.splitlines():
            text = f"tulle: {harmless(line, colours=False)}"
            self._write(name, self._styled(text, fg=_LEVELS.get(level), dim=level not in _LEVELS))

    def say(self, message: str, level: str = "info") -> None:
        """What `tulle dev` itself has to say."""
        if self._json:
            self._write_json(OWN, "dev", level, message)
            return
        for line in message.splitlines():
            self._write(OWN, self._styled(harmless(line, colours=False), fg=_LEVELS.get(level), bold=True))

    def _write(self, name: str, text: str) -> None:
        head = self._styled(f"{name.ljust(self._width)} |", fg=self._colour_of.get(name), dim=name == "up")
        self._put(f"{head} {text}".rstrip() + "\n")

    def _write_json(self, name: str, source: str, level: str, message: str) -> None:
        line = {"time": rfc3339(time.time()), "name": name, "from": source, "level": level, "message": message}
        self._put(json.dumps(line) + "\n")

    def _put(self, text: str) -> None:
        if self._broken:
            return
        rest = memoryview(text.encode("utf-8", "replace"))
        try:
            while rest:
                rest = rest[os.write(self._out, rest) :]
        except OSError:
            self._broken = True
            self.gone()

    def _styled(self, text: str, *, fg: str | None = None, bold: bool = False, dim: bool = False) -> str:
        if not self._colours or not (fg or bold or dim):
            return text
        return click.style(text, fg=fg, bold=bold or None, dim=dim or None)


def harmless(text: str, *, colours: bool) -> str:
    """Text that neither moves the cursor nor begins a line of its own. colours: whether it may be coloured."""
    parts = []
    at = 0
    for match in _COLOUR.finditer(text):
        parts.append(_plain(text[at : match.start()]))
        parts.append(match[0] if colours else "")
        at = match.end()
    return "".join([*parts, _plain(text[at:])])


def _plain(text: str) -> str:
    text = _OTHER_SEQUENCE.sub("", text)
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)
