"""Where declared resources are in force, and when a change of them is: the API's `Force` over the hub."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress

from tulle.api.doors import Generation, Progress
from tulle.control_plane.mesh import DECLARED, LiveMesh
from tulle.model.resources.resource import Ref
from tulle.pipeline.in_force import InForce, count
from tulle.pipeline.view import View
from tulle.resolve.mesh import Mesh
from tulle.xds.resources import Key

_AT_ONCE = 20  # views that are asked before others get their turn
_MOST_NAMED = 20


class InForceReports:
    def __init__(self, live: LiveMesh) -> None:
        self._live = live

    def mesh(self) -> Mesh:
        return self._live.hub.mesh

    async def in_force(self, refs: Collection[Ref] | None = None) -> Mapping[str, InForce]:
        sources = None if refs is None else {str(ref) for ref in refs}
        found: defaultdict[str, InForce] = defaultdict(InForce)
        for number, view in enumerate(list(_newest(self._live))):
            count(found, view, sources)
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        return dict(found)

    def awaited(self, refs: Collection[Ref]) -> Awaited:
        return Awaited(self._live, refs)


class Awaited:
    """A change of some resources, begun before it is made: who holds what they were made into must hold what comes of it."""

    def __init__(self, live: LiveMesh, refs: Collection[Ref]) -> None:
        self._live = live
        self._sources = {str(ref) for ref in refs}
        self._before = {view: keys for view in _newest(live) if (keys := view.made_of(self._sources))}

    async def progress(self, made: Mapping[Ref, Generation | None], within: float) -> AsyncGenerator[Progress, None]:
        until = asyncio.get_running_loop().time() + within
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._live.changes.until(DECLARED, lambda: self._has(made))
        if not self._has(made):
            yield Progress(0, 0, (), (), taken_up=False, is_over=True)
            return
        needing = self._needing()
        async with aclosing(_settled(self._live, needing, self._is_settled, until)) as batches:
            left = dict(needing)
            async for batch, is_over in batches:
                for view in batch:
                    left.pop(view, None)
                step = self._progress(needing, left, is_over=is_over)
                yield step
                if step.is_over:
                    return

    def _has(self, made: Mapping[Ref, Generation | None]) -> bool:
        """Whether the mesh is as the change made it, or newer."""
        there = self._live.hub.mesh.declared.resources
        for ref, generation in made.items():
            found = there.get(ref)
            now = None if found is None else (found.created, found.generation)
            if generation is None:
                continue
            if now is None or now < generation:
                return False
        return all(ref not in there for ref, generation in made.items() if generation is None)

    def _needing(self) -> dict[View, set[Key]]:
        """Who has something to acknowledge, and what: what the change made, and what that takes the place of.

        A host that is new is nothing that anybody holds yet, but all must know that it is one of the mesh's: their doors.
        """
        found: dict[View, set[Key]] = {}
        for view in _newest(self._live):
            if keys := self._before.get(view, set()) | view.made_of(self._sources) | view.doors_under_way:
                found[view] = keys
        return found

    def _is_settled(self, view: View, keys: Iterable[Key]) -> bool:
        if view not in self._live.hub.views.get(view.proxy_id, ()):
            return True
        return bool(self._rejection(view, keys)) or all(view.has(key) for key in keys)

    def _rejection(self, view: View, keys: Iterable[Key]) -> str:
        """Why it refuses something of the change."""
        for state in view.in_force(self._sources).values():
            if state.rejection:
                return state.rejection
        wanted = set(keys)
        return next((r.message for r in view.session.rejections if (r.type_url, r.name) in wanted), "")

    def _progress(self, needing: Mapping[View, set[Key]], left: Mapping[View, object], *, is_over: bool) -> Progress:
        rejected = [
            (view.proxy_id, why)
            for view, keys in needing.items()
            if view not in left and (why := self._rejection(view, keys))
        ]
        missing = tuple(sorted(view.proxy_id for view in left))[:_MOST_NAMED]
        return Progress(
            needed=len(needing),
            acknowledged=len(needing) - len(left) - len(rejected),
            rejected=tuple(rejected),
            missing=missing,
            taken_up=True,
            is_over=is_over or bool(rejected),
        )


def _newest(live: LiveMesh) -> Iterator[View]:
    """Of each proxy."""
    return (views[-1] for views in live.hub.views.values() if views)


async def _settled(
    live: LiveMesh, needing: Mapping[View, set[Key]], is_settled: Callable[[View, Iterable[Key]], bool], until: float
) -> AsyncGenerator[tuple[list[View], bool], None]:
    """Those of the views that are settled, as they come, and whether that is all: the last are there, or time is up."""
    came: asyncio.Queue[View] = asyncio.Queue()

    async def wait(view: View, keys: set[Key]) -> None:
        await live.changes.until(view.proxy_id, lambda: is_settled(view, keys))
        came.put_nowait(view)

    first = [view for view, keys in needing.items() if is_settled(view, keys)]
    waiting = [
        asyncio.create_task(wait(view, needing[view]), name=f"{view.proxy_id} acknowledges")
        for view in needing
        if view not in set(first)
    ]
    left = len(waiting)
    try:
        yield first, not left
        while left:
            batch: list[View] = []
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    batch.append(await came.get())
            while not came.empty():
                batch.append(came.get_nowait())
            left -= len(batch)
            yield batch, not (batch and left)
            if not batch:
                return
    finally:
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting)
