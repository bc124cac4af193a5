"""Group commit: changes that come while one commit is on its way to the disk wait, and share the next one.

Changes are decided here, in the loop's thread, in the order in which they came (`mirror`); the file's own thread only
writes the outcome (`database`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from tulle.store.errors import StoreError, StoreUnavailable
from tulle.store.mirror import Draft, Mirror

_BATCH = 256  # decided at once by the loop, in about a millisecond

T = TypeVar("T")


class Writer:
    """Brings changes into the mirror by way of `commit`, which makes a draft durable or raises a StoreError.

    `publish` is called when a draft has become part of the mirror, before anyone is told that his change is done.
    """

    def __init__(
        self, mirror: Mirror, commit: Callable[[Draft], Awaitable[None]], publish: Callable[[Draft], None]
    ) -> None:
        self._mirror = mirror
        self._commit = commit
        self._publish = publish
        # Without a bound: everyone in it waits for an answer.
        self._requests: asyncio.Queue[_Request] = asyncio.Queue()
        self._closed = False

    async def change(self, decide: Callable[[Draft], T]) -> T:
        """What `decide` gives for a draft, once the draft is durable. Raises its StoreError, or that of the commit.

        A caller that is cancelled early enough has changed nothing; later, it can't know.
        """
        self.check_open()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._requests.put_nowait(_Request(decide, answer))
        return await answer

    def check_open(self) -> None:
        """Raises StoreUnavailable when `run` has ended."""
        if self._closed:
            raise _closed()

    async def run(self) -> None:
        """Write, until cancelled. Then nothing more is taken, and whoever still waits gets StoreUnavailable."""
        batch: list[_Request] = []
        try:
            while True:
                batch = await self._next_batch()
                await self._write(batch)
        finally:
            self._closed = True
            while not self._requests.empty():
                batch.append(self._requests.get_nowait())
            for request in batch:
                request.reject(_closed())

    async def _next_batch(self) -> list[_Request]:
        batch = [await self._requests.get()]
        while len(batch) < _BATCH and not self._requests.empty():
            batch.append(self._requests.get_nowait())
        return [request for request in batch if not request.is_abandoned]

    async def _write(self, batch: Sequence[_Request]) -> None:
        draft = Draft(self._mirror)
        for request in batch:
            request.decide(draft)
        if not draft.is_empty:
            try:
                await self._commit(draft)
            except StoreError as error:
                for request in batch:
                    request.reject(error)
                return
            self._mirror.apply(draft)
            self._publish(draft)
        for request in batch:
            request.tell()


class _Request:
    """A change, and who waits for it."""

    def __init__(self, decide: Callable[[Draft], object], answer: asyncio.Future[Any]) -> None:
        self._decide = decide
        self._answer = answer
        self._result: object = None
        self._error: StoreError | None = None

    @property
    def is_abandoned(self) -> bool:
        return self._answer.done()

    def decide(self, draft: Draft) -> None:
        try:
            self._result = self._decide(draft)
        except StoreError as error:
            self._error = error

    def tell(self) -> None:
        if self._error is not None:
            self.reject(self._error)
        elif not self._answer.done():
            self._answer.set_result(self._result)

    def reject(self, error: StoreError) -> None:
        """With a copy: everyone who is told of it adds a traceback of his own."""
        if not self._answer.done():
            mine = type(error)(*error.args)
            mine.__cause__ = error.__cause__
            self._answer.set_exception(mine)


def _closed() -> StoreUnavailable:
    return StoreUnavailable("the store is closed")
