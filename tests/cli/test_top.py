"""`tulle top` on a real terminal: drawn, redrawn after a change of its size, and the terminal put back however it ends."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

_SCREEN, _BACK = "\x1b[?1049h", "\x1b[?7h\x1b[?25h\x1b[?1049l"
_ECHO = termios.ECHO | termios.ICANON


class Terminal:
    """A pty, and `tulle top` as the program in it that has the keyboard."""

    def __init__(self, data: Any) -> None:
        self.text = ""
        self.keys, self.screen = os.openpty()
        self.resize(24, 80)
        self.top = subprocess.Popen(
            [sys.executable, "-m", "tulle", "top"],
            env={**os.environ, "TULLE_DATA": str(data), "TERM": "xterm"},
            stdin=self.screen,
            stdout=self.screen,
            stderr=self.screen,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        asyncio.get_running_loop().add_reader(self.keys, self._read)

    def _read(self) -> None:
        self.text += os.read(self.keys, 65536).decode()

    @property
    def modes(self) -> int:
        return int(termios.tcgetattr(self.screen)[3])

    def type(self, text: str) -> None:
        os.write(self.keys, text.encode())

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def shows(self, text: str) -> None:
        """From now on."""
        seen = len(self.text)
        await self.until(lambda: text in self.text[seen:])

    async def ended(self) -> int:
        await self.until(lambda: self.top.poll() is not None)
        await asyncio.sleep(0.05)  # what it has written last is read
        return int(self.top.returncode)

    def close(self) -> None:
        self.top.kill()
        self.top.wait()
        asyncio.get_running_loop().remove_reader(self.keys)
        os.close(self.keys)
        os.close(self.screen)


@pytest.fixture
async def terminal(tulle: Any) -> AsyncIterator[Terminal]:
    made = Terminal(tulle.data)
    try:
        assert made.modes & _ECHO == _ECHO
        await made.until(lambda: "SUCCESS" in made.text)
        assert _SCREEN in made.text and "tulle top services, the last 60 s   (q ends)" in made.text
        assert not made.modes & _ECHO
        yield made
    finally:
        made.close()


def drawn(text: str) -> str:
    """The last whole picture."""
    return text.split("\x1b[H")[-2]


async def test_it_is_drawn_in_the_size_that_the_terminal_has_and_ends_by_a_key(terminal: Terminal) -> None:
    await terminal.shows("\x1b[H")
    assert drawn(terminal.text).count("\n") == 4  # head, blank, and what there is
    terminal.resize(4, 30)
    await terminal.until(lambda: drawn(terminal.text).count("\n") == 3)
    terminal.type("xq")  # at once
    assert await terminal.ended() == 0
    assert terminal.text.endswith(_BACK) and terminal.modes & _ECHO == _ECHO


@pytest.mark.parametrize(("how", "code"), [("\x03", 0), (signal.SIGTERM, 143)])
async def test_the_terminal_is_put_back_however_it_ends(terminal: Terminal, how: str | int, code: int) -> None:
    if isinstance(how, str):
        terminal.type(how)
    else:
        terminal.top.send_signal(how)
    assert (await terminal.ended()) % 256 == code
    assert terminal.text.endswith(_BACK) and terminal.modes & _ECHO == _ECHO


async def test_without_a_control_plane_for_a_while_it_says_so_and_goes_on(terminal: Terminal, tulle: Any) -> None:
    (tulle.data / "api.sock").rename(tulle.data / "away.sock")
    await terminal.shows("no control plane runs on")
    (tulle.data / "away.sock").rename(tulle.data / "api.sock")
    await terminal.shows("SUCCESS")
    terminal.type("q")
    assert await terminal.ended() == 0
