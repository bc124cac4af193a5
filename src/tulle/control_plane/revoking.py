"""What follows here from a revocation: lists for handshakes, and no session, stream or registration for who is revoked.

It is made of what the store says alone, at the start as after each change: a control plane that was killed in between does the
rest when it is there again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tulle.control_plane.mesh import LiveMesh
from tulle.identity.authority import Authority
from tulle.identity.crl import Revoked
from tulle.identity.revocations import Revocation, Revocations
from tulle.registry.registry import Registry
from tulle.store.errors import StoreError

_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class RevocationKeeper:
    """clock: Unix time in seconds."""

    def __init__(
        self,
        revocations: Revocations,
        authority: Authority,
        mesh: LiveMesh,
        registry: Registry,
        clock: Callable[[], float],
    ) -> None:
        self._revocations, self._authority, self._mesh, self._registry = revocations, authority, mesh, registry
        self._clock = clock
        self._why: dict[str, str] = {}
        self._listed: frozenset[Revoked] = frozenset()
        self._to_remove: set[str] = set()
        self._news = asyncio.Event()

    def why(self, proxy: str) -> str:
        """Why a proxy is revoked; "" if it is not."""
        return self._why.get(proxy, "")

    async def keep(self, known: asyncio.Event, changed: Callable[[], None]) -> None:
        """For ever; sets `known` when all that is revoked has taken effect here. changed: what all are to trust has."""
        async for state in self._revocations.states():
            before, self._why = self._why, {one.enrolled.proxy: one.why for one in state.proxies}
            await self._list(state)
            changed()
            for proxy in self._why.keys() - before.keys():
                self._mesh.wake(proxy)
                self._to_remove.add(proxy)
                self._news.set()
                if known.is_set():
                    _log.info("%s: it is out of the mesh", self._why[proxy])
            known.set()

    async def remove(self) -> None:
        """Takes the registrations away, for ever, so that nobody calls who is revoked."""
        trouble = ""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._to_remove:
                proxy = next(iter(self._to_remove))
                try:
                    await self._registry.leave(proxy)
                except StoreError as error:
                    if str(error) != trouble:
                        trouble = str(error)
                        _log.warning("can't take the registration of %s away yet: %s", proxy, error)
                    await asyncio.sleep(_RETRY_SECONDS)
                else:
                    trouble = ""
                    self._to_remove.discard(proxy)

    async def _list(self, state: Revocation) -> None:
        serials = state.serials(self._clock())
        if serials == self._listed:
            return
        self._listed = serials
        await asyncio.to_thread(self._authority.revoke, sorted(serials, key=lambda one: one.serial))
        if serials and not self._authority.revokes:
            _log.warning(
                "an authority may sign no list of revoked certificates: they still open connections, on which HTTP requests are "
                "denied"
            )
