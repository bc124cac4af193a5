"""Spans that wait for a control plane which is away."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable

import pytest

from tulle.agent.api import Refused
from tulle.agent.console import Console
from tulle.agent.spans import forwarding
from tulle.agent.spans.forwarding import LOST, Forwarding
from tulle.agent.spans.waiting import Waiting

Until = Callable[..., Awaitable[None]]


class Away:
    """A control plane that fails as it is told to, and then takes what it gets."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.got: list[tuple[bytes, str]] = []

    async def send(self, body: bytes, **headers: str) -> object:
        if self.failures:
            raise self.failures.pop(0)
        self.got.append((body, headers[LOST]))
        return {}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "_GATHER_SECONDS", 0.0)
    monkeypatch.setattr(forwarding, "_BACK_OFF", (0.0, 0.0))


def console() -> Console:
    return Console("text", "a", io.StringIO())


def test_the_oldest_go_when_there_are_too_many_bytes_and_are_counted() -> None:
    waiting = Waiting(most_bytes=10)
    for number in range(5):
        waiting.add(b"%d---" % number, number + 1)
    assert waiting.take() == [(b"3---", 4), (b"4---", 5)]
    assert waiting.lost == 1 + 2 + 3


def test_what_comes_back_is_the_first_to_be_dropped() -> None:
    waiting = Waiting(most_bytes=10)
    waiting.add(b"old-", 1)
    taken = waiting.take()
    waiting.add(b"new-", 1)
    waiting.add(b"newer", 1)
    waiting.put_back(taken)
    assert waiting.take() == [(b"new-", 1), (b"newer", 1)]
    assert waiting.lost == 1


def test_one_export_that_is_larger_than_all_may_be_is_lost_alone() -> None:
    waiting = Waiting(most_bytes=10)
    waiting.add(b"x" * 11, 7)
    assert (waiting.take(), waiting.lost) == ([], 7)


async def test_what_could_not_be_sent_is_sent_when_the_control_plane_is_back(until: Until) -> None:
    away, waiting = Away(ConnectionRefusedError("away"), Refused(503, "full"), TimeoutError()), Waiting()
    waiting.add(b"a", 1)
    waiting.add(b"b", 1)
    task = asyncio.create_task(Forwarding(waiting, away, console()).run())
    await until(lambda: away.got)
    assert away.got == [(b"ab", "0")]
    task.cancel()


async def test_what_the_control_plane_refuses_for_good_is_lost_and_told_of_with_the_next(until: Until) -> None:
    away, waiting, said = Away(Refused(404, "there is nothing")), Waiting(), io.StringIO()
    waiting.add(b"a", 3)
    task = asyncio.create_task(Forwarding(waiting, away, Console("text", "a", said)).run())
    await until(lambda: waiting.lost)
    waiting.add(b"b", 1)
    await until(lambda: away.got)
    assert away.got == [(b"b", "3")]
    assert "3 spans of traces are lost" in said.getvalue()
    task.cancel()


async def test_at_the_end_what_waits_is_sent_if_somebody_takes_it() -> None:
    waiting, away = Waiting(), Away()
    forwarding = Forwarding(waiting, away, console())
    for number in range(3):
        waiting.add(bytes([number]) * 400_000, 1)
    await forwarding.finish(5)
    assert [len(body) for body, _ in away.got] == [400_000] * 3
    waiting.add(b"a", 1)
    away.failures = [ConnectionRefusedError("away")]
    await asyncio.wait_for(forwarding.finish(5), 1)
    assert (waiting.spans, len(away.got)) == (1, 3)


async def test_the_end_does_not_wait_for_a_control_plane_that_hangs() -> None:
    class Hanging(Away):
        async def send(self, body: bytes, **headers: str) -> object:
            await asyncio.sleep(60)
            return {}

    waiting = Waiting()
    forwarding = Forwarding(waiting, Hanging(), console())
    waiting.add(b"a", 1)
    task = asyncio.create_task(forwarding.run())
    await asyncio.sleep(0.01)
    await asyncio.wait_for(forwarding.finish(0.05), 1)
    task.cancel()
    await asyncio.wait([task])
    assert waiting.spans == 1
