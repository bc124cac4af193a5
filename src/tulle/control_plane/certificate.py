"""The control plane's own certificate, by which Envoys know it: another one as soon as half of its lifetime has passed, or
another authority signs. Whom it trusts follows the mesh's roots.

Nothing waits for that moment, as timers stand still while the machine sleeps: the clock is looked at when a connection
comes. Connections that are open keep what they began with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from tulle.identity.authority import Authority, AuthorityEnded
from tulle.xds.server import ServerIdentity


class OwnCertificate:
    """ttl: seconds that a certificate lives. clock: Unix time in seconds, the authority's."""

    def __init__(self, authority: Authority, ttl: float, clock: Callable[[], float]) -> None:
        self._authority, self._ttl, self._clock = authority, ttl, clock
        self._lock = threading.Lock()
        self._issue()

    def identity(self) -> ServerIdentity:
        """For a connection that begins now; may be called by any thread."""
        with self._lock:
            if not self._issued <= self._clock() < self._half or self._signed_by != self._signs():
                with suppress(AuthorityEnded):  # then it keeps the last one, and nobody believes it
                    self._issue()
            return self._current

    def _signs(self) -> tuple[str, str]:
        return self._authority.known.active.id, self._authority.bundle_pem

    def _issue(self) -> None:
        """Raises AuthorityEnded."""
        self._signed_by = self._signs()
        issued = self._authority.server_certificate(self._ttl)
        chain = issued.certificate
        self._issued, self._half = chain.not_before, (chain.not_before + chain.not_after) / 2
        self._current = ServerIdentity(
            issued.key_pem.encode(), chain.chain_pem.encode(), self._authority.bundle_pem.encode()
        )
