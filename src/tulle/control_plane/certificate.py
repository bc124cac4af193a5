"""The control plane's own certificate, by which Envoys know it, renewed at half of its lifetime."""

from __future__ import annotations

import asyncio

from tulle.identity.authority import Authority, ServerCertificate
from tulle.xds.server import ServerIdentity


class OwnCertificate:
    """ttl: seconds that a certificate lives."""

    def __init__(self, authority: Authority, ttl: float) -> None:
        self._authority, self._ttl = authority, ttl
        self._current = self._issue()

    def identity(self) -> ServerIdentity:
        """The newest; may be called by any thread."""
        return self._current

    async def renew(self) -> None:
        """Renew for ever. Connections that are open keep what they began with."""
        while True:
            await asyncio.sleep(self._ttl / 2)
            self._current = self._issue()

    def _issue(self) -> ServerIdentity:
        issued: ServerCertificate = self._authority.server_certificate(self._ttl)
        chain, roots = issued.certificate.chain_pem, self._authority.bundle_pem
        return ServerIdentity(issued.key_pem.encode(), chain.encode(), roots.encode())
