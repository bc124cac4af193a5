"""Which proxies hold what is to be trusted, and what follows from it: the API's `Trusts` over the authority and the hub.

A change of authorities goes from one state to the next when every proxy that is registered has taken up what the next needs:
lists and roots first, then certificates of the new authority, and only then may the old root go. What proxies hold they say
themselves, again in each session, so that a control plane that starts anew only has to listen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from tulle.aio.changes import Changes
from tulle.api.doors import WantedTrust
from tulle.api.identity_views import CaIssuerView, CaPhase, CaProxyView, CaRootView, CaView
from tulle.control_plane.mesh import LiveMesh
from tulle.identity.authority import Authority, RotationRefused
from tulle.identity.brought import Brought
from tulle.identity.ca import id_of
from tulle.identity.trust import Holding

_LOOK_SECONDS = 1.0  # a proxy may have gone, and its word is no longer waited for
_RENEW_SECONDS = 60.0
_SPREAD = 0.05  # seconds for each proxy, in which renewals that were asked for come
_MOST_SPREAD = 60.0
_FEW = 5
_NEWS = ("trust",)

_log = logging.getLogger(__name__)


class TrustKeeper:
    """steady: seconds on a clock that only goes forward. revoked: why a proxy is that, "" if it is not."""

    def __init__(
        self,
        authority: Authority,
        mesh: LiveMesh,
        steady: Callable[[], float],
        revoked: Callable[[str], str] = lambda proxy: "",
    ) -> None:
        self._authority, self._mesh, self._steady, self._revoked = authority, mesh, steady, revoked
        self._held: dict[str, Holding] = {}
        self._gone: set[str] = set()  # that were not registered when this was last looked at
        self._waiting: dict[object, str] = {}
        self._changes = Changes()

    async def keep(self) -> None:
        """Renews intermediates, and has the upcoming one sign when all know what they need to, for ever."""
        trouble, due = "", self._steady()
        while True:
            before = self._authority.known
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changes.until(_NEWS, self._may_activate)
            try:
                if self._steady() >= due:
                    self._forget_gone()
                    await asyncio.to_thread(self._authority.renew)
                    due = self._steady() + _RENEW_SECONDS
                if self._may_activate():
                    await asyncio.to_thread(self._authority.activate)
                    _log.info("the authority %s signs certificates from now on", self._authority.known.active.id)
                trouble = ""
            except OSError as error:
                if str(error) != trouble:
                    trouble = str(error)
                    _log.warning("can't change the certificate authority yet: %s", error)
                await asyncio.sleep(_LOOK_SECONDS)
            if self._authority.known is not before:
                self.changed()

    def changed(self) -> None:
        """The authority has changed, or what is revoked."""
        self._changes.touch(_NEWS)
        for proxy in set(self._waiting.values()):
            self._changes.touch(proxy)

    def wanted(self, proxy: str) -> WantedTrust:
        held, signing = self._held.get(proxy), self._authority.known.active.root_id
        renew = signing if held and held.root and held.root != signing else ""
        spread = min(_MOST_SPREAD, _SPREAD * len(self._mesh.hub.mesh.proxies))
        return WantedTrust(self._authority.trust, renew, spread, self._revoked(proxy))

    async def wanted_after(self, proxy: str, before: WantedTrust) -> WantedTrust:
        def now() -> WantedTrust:
            return replace(self.wanted(proxy), within=before.within)

        this = object()
        self._waiting[this] = proxy
        try:
            await self._changes.until(proxy, lambda: now() != before)
        finally:
            del self._waiting[this]
        return self.wanted(proxy)

    def holds(self, proxy: str, holding: Holding) -> None:
        self._held[proxy] = holding
        self._changes.touch(_NEWS)
        self._changes.touch(proxy)

    async def rotate(self, brought: Brought | None) -> None:
        await asyncio.to_thread(self._authority.rotate, brought)
        _log.info("a rotation of the root has begun; `tulle ca status` shows how far it is")
        self.changed()

    async def finish(self, *, force: bool) -> None:
        if force and self._phase() == "distributing":
            await asyncio.to_thread(self._authority.activate)
            self.changed()
            if self._late():  # most of them only have to renew, which costs no call while the old root is trusted
                return
        if not force and len(self._authority.known.anchors) > 1 and (late := self._late()):
            more = f" and {len(late) - _FEW} more" if len(late) > _FEW else ""
            raise RotationRefused(
                f"{', '.join(late[:_FEW])}{more} would be cut off: they do not trust the new root yet, or still prove "
                "themselves by the old one. Wait until `tulle ca status` shows none, or use --force"
            )
        await asyncio.to_thread(self._authority.finish)
        _log.info("the rotation of the root is finished; %s is the root", self._authority.known.anchors[0].root_id)
        self.changed()

    def ca(self) -> CaView:
        known, version, newest = self._authority.known, self._authority.trust.version, self._newest
        proxies = [self._proxy(proxy, version) for proxy in sorted(self._proxies)]
        signing = known.active.root_id
        return CaView(
            phase=self._phase(),
            roots=[
                CaRootView(
                    id_of(root),
                    root.subject.rfc4514_string(),
                    root.not_valid_before_utc.timestamp(),
                    root.not_valid_after_utc.timestamp(),
                    id_of(root) == signing,
                    id_of(root) == newest,
                )
                for root in known.roots
            ],
            issuers=[
                CaIssuerView(
                    issuer.id,
                    issuer.root_id,
                    issuer.ends.timestamp(),
                    "signs" if issuer is known.active else "upcoming" if issuer is known.upcoming else "retired",
                )
                for issuer in known.issuers
            ],
            proxies=proxies,
            trusting=sum(proxy.trusts for proxy in proxies),
            renewed=sum(proxy.root == newest for proxy in proxies),
            revokes=self._authority.revokes,
        )

    @property
    def _proxies(self) -> list[str]:
        return list(self._mesh.hub.mesh.proxies)

    @property
    def _newest(self) -> str:
        return self._authority.known.anchors[-1].root_id

    def _forget_gone(self) -> None:
        """Not at once: an agent may say what it has before the hub knows that it is registered, and says it only once."""
        gone = self._held.keys() - self._mesh.hub.mesh.proxies.keys()
        for proxy in gone & self._gone:
            del self._held[proxy]
        self._gone = gone - self._gone

    def _phase(self) -> CaPhase:
        known = self._authority.known
        if len(known.anchors) < 2:
            return "steady"
        if known.active.root_id != self._newest:
            return "distributing"
        return "renewing" if self._late() else "ready"

    def _proxy(self, proxy: str, version: str) -> CaProxyView:
        held = self._held.get(proxy)
        return CaProxyView(proxy, held is not None and held.trust == version, held.root if held else "")

    def _trusts(self, proxy: str) -> bool:
        held = self._held.get(proxy)
        return held is not None and held.trust == self._authority.trust.version

    def _late(self) -> list[str]:
        """Those who would be cut off if the old root went now."""
        newest = self._newest
        return [proxy for proxy in sorted(self._proxies) if not self._trusts(proxy) or self._held[proxy].root != newest]

    def _may_activate(self) -> bool:
        return self._authority.known.upcoming is not None and all(map(self._trusts, self._proxies))
