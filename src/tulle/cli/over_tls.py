"""HTTP to the control plane on another machine, which proves itself before it hears a token.

The token says by which root certificate the control plane is known. First the roots are asked for, of whoever answers; only one
with that fingerprint is believed. Then the connection that counts is verified by it, and its certificate must be the control
plane's own (X.509 SVID, section 5.2). What the machine itself trusts plays no part.
"""

from __future__ import annotations

import json
import socket
import ssl
from http.client import HTTPConnection

from tulle.agent.known_roots import is_control_plane, known_roots, to_anybody, to_one_of
from tulle.cli.exits import Failed
from tulle.model.api_token import ApiToken

_CONNECT_WITHIN = 5.0
_MOST_ROOTS = 1 << 20


class TlsConnection(HTTPConnection):
    """Raises Failed when somebody else answers, OSError when nobody does."""

    def __init__(self, token: ApiToken, within: float) -> None:
        super().__init__("tulle", timeout=within)
        self._token = token

    def connect(self) -> None:
        context = to_one_of(self._roots())
        try:
            connection = self._reached(context)
        except ssl.SSLCertVerificationError as error:
            raise Failed(f"whoever answers at {self._where} is not the control plane of the token: {error}") from error
        if not is_control_plane(connection.getpeercert() or {}):
            connection.close()
            raise Failed(f"whoever answers at {self._where} is of this mesh, but not its control plane")
        connection.settimeout(self.timeout)
        self.sock = connection

    def _roots(self) -> str:
        """Those that the token means, PEM."""
        asking = HTTPConnection("tulle", timeout=_CONNECT_WITHIN)
        asking.sock = self._reached(to_anybody())
        try:
            asking.request("GET", "/v1/trust", headers={"Connection": "close"})
            content = json.loads(asking.getresponse().read(_MOST_ROOTS))
        except ValueError:
            content = None
        finally:
            asking.close()
        known, _ = known_roots(content, self._token.fingerprints)
        if not known:
            raise Failed(
                f"whoever answers at {self._where} is not the control plane of the token: it has another root certificate. "
                "If the mesh has a new authority, an admin makes a new token: tulle user create"
            )
        return known

    def _reached(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        failures: list[OSError] = []
        for address in self._token.addresses:
            host, _, port = address.rpartition(":")
            try:
                plain = socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_WITHIN)
                return context.wrap_socket(plain)
            except ssl.SSLCertVerificationError:
                raise
            except (OSError, OverflowError) as error:
                failures.append(error if isinstance(error, OSError) else OSError(str(error)))
        raise failures[0]

    @property
    def _where(self) -> str:
        return ", ".join(self._token.addresses)
