"""What proves to enrolment who an agent on another machine is: evidence goes in, what it may become comes out, or a refusal.

One file each: join tokens (attestation_token.py), JWTs of an OIDC issuer (attestation_jwt.py). Callers on this machine are
attestation.py's matter.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from tulle.identity.caller import Grant
from tulle.store.contract import Put, Unchanged


class AttestationRefused(Exception):
    """The evidence proves nothing. The message is for the agent's user, and holds nothing secret."""


class AttestationUnavailable(Exception):
    """Nobody can tell now; the agent may ask again. The message is for the agent's user."""


class Attested(Struct, frozen=True):
    """What the evidence grants.

    compares, operations: what has to be written in one transaction with what follows from the grant, so that a use is counted
    exactly when it was made.
    """

    grant: Grant
    compares: tuple[Unchanged, ...] = ()
    operations: tuple[Put, ...] = ()


class Attestor(Protocol):
    """One kind of evidence."""

    async def attest(self, evidence: str) -> Attested:
        """Raises AttestationRefused, AttestationUnavailable."""
