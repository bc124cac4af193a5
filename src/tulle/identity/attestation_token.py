"""Attestation by a join token: whoever knows its secret may become what the token names, as often as it says."""

from __future__ import annotations

import time
from collections.abc import Callable

from tulle.identity.attestors import AttestationRefused, Attested
from tulle.identity.caller import Grant
from tulle.identity.tokens import JoinTokens, encode, has_secret, key, spent
from tulle.model.join_token import is_evidence
from tulle.store.contract import Put, Unchanged


class TokenAttestor:
    """clock: Unix time in seconds. That a token is unknown, and that its secret is wrong, are told as one."""

    def __init__(self, tokens: JoinTokens, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._clock = clock

    async def attest(self, evidence: str) -> Attested:
        """evidence: `<id>.<secret>`. Raises AttestationRefused."""
        if not is_evidence(evidence):
            raise AttestationRefused("this is no join token")
        id, _, secret = evidence.partition(".")
        found = await self._tokens.find(id)
        token, revision = found or (None, 0)
        if not has_secret(token, secret) or token is None:
            raise AttestationRefused(
                f"the control plane has no join token {id} with this secret: it was revoked, or is another mesh's"
            )
        if self._clock() >= token.expires:
            ended = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(token.expires))
            raise AttestationRefused(f"the join token {id} has expired at {ended}; make a new one: tulle token create")
        if token.used >= token.uses:
            raise AttestationRefused(
                f"the join token {id} is used up: it was good for {token.uses} enrolment{'s' if token.uses > 1 else ''}; "
                "make a new one: tulle token create"
            )
        grant = Grant(f"token {id}", token.namespace, token.service, token.service_account)
        return Attested(grant, (Unchanged(key(id), revision),), (Put(key(id), encode(spent(token))),))
