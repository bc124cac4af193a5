"""Agents' sessions (agent_lines.py, agent_session.py), and what is asked of agents over them.

A newer session of the same proxy takes over once it is registered: nothing that the older one says is heard after that.
Leases, and what follows from a session's end, are the registry's matter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any
from weakref import WeakValueDictionary

from starlette.types import Receive, Scope, Send

from tulle.api.agent_lines import Answer, BadLine, registered_proxy
from tulle.api.agent_session import End, Session
from tulle.api.decisions import Heard
from tulle.api.doors import Agents, ProxyRevoked, RegistrationRefused, Trusts
from tulle.api.lines import lines_of
from tulle.api.restarts import RestartFailed
from tulle.model.workload import Proxy
from tulle.store.errors import StoreError

_log = logging.getLogger(__name__)

_WEIGHED_WITHIN = 5.0


class WeighingFailed(Exception):
    """The message is for the user."""


class AgentSessions:
    """The endpoint, an ASGI application.

    The scope's state has `closing`, an event that is set when the control plane itself ends: its agents have abandoned
    nothing then. clock: Unix time in seconds.
    """

    def __init__(self, agents: Agents, trusts: Trusts, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._agents = agents
        self._trusts = trusts
        self._newest: dict[str, Answer] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def count(self) -> int:
        """How many agents have a session."""
        return len(self._newest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer(send)
        await answer.start()
        async with aclosing(lines_of(receive)) as lines:
            try:
                peer = str(scope["state"].get("peer", ""))
                proxy = await registered_proxy(scope["path_params"]["proxy"], lines, peer)
            except BadLine as error:
                end = End(str(error))
            else:
                end = await self._serve(proxy, lines, answer, scope["state"]["closing"], peer)
        await answer.end(end.error, revoked=end.revoked)

    def decisions(self) -> Mapping[str, Heard]:
        """By proxy, what its agent has told in its present session: it tells all of it at each beginning."""
        return {proxy: answer.decisions for proxy, answer in self._newest.items() if answer.decisions}

    async def restart(self, proxy: str, seconds: float) -> None:
        """Has the proxy's agent replace its Envoy. Raises RestartFailed."""
        answer = self._newest.get(proxy)
        if answer is None:
            raise RestartFailed(f"the agent of {proxy} has no session; is it just starting, or ending?")
        await answer.restarts.ask(seconds)

    async def weigh(self, proxy: str, weight: int) -> None:
        """Has the proxy's agent register with another weight. Raises WeighingFailed."""
        answer = self._newest.get(proxy)
        if answer is None:
            raise WeighingFailed(f"the agent of {proxy} has no session; is it just starting, or ending?")
        try:
            async with asyncio.timeout(_WEIGHED_WITHIN):
                await answer.say({"weight": weight})
                await answer.changes.until("proxy", lambda: answer.has_ended or answer.weight == weight)
        except TimeoutError as error:
            raise WeighingFailed(f"the agent of {proxy} has not answered; is it of an older tulle?") from error
        if answer.weight != weight:
            raise WeighingFailed(f"the session of {proxy} has ended; try again")

    async def wish(self, proxy: str, what: str, value: Any) -> bool:
        """Says to the proxy's agent what it should do from now on, as long as its session lasts; false if it has none."""
        answer = self._newest.get(proxy)
        if answer is not None:
            await answer.say({"do": {what: value}})
        return answer is not None

    async def _serve(
        self, proxy: Proxy, lines: AsyncGenerator[bytes], answer: Answer, closing: asyncio.Event, peer: str
    ) -> End:
        # What sessions of one proxy do is done in turn: a slow write of an older one never follows a newer registration.
        turn = self._turns.setdefault(proxy.id, asyncio.Lock())
        try:
            async with turn:
                await self._agents.register(proxy)
                earlier = self._newest.get(proxy.id)
                self._newest[proxy.id] = answer
                if earlier is not None:
                    await earlier.end("another session of this proxy took over")
        except (RegistrationRefused, StoreError) as error:
            return End(str(error), revoked=isinstance(error, ProxyRevoked))
        end = End()
        try:
            end = await Session(self._agents, self._trusts, proxy, answer, turn, peer, self._clock).run(lines)
        finally:
            answer.restarts.end()
            async with turn:
                if self._newest.get(proxy.id) is answer:
                    del self._newest[proxy.id]
                    if end.abandoned and not closing.is_set():
                        await self._abandon(proxy.id)
        return end

    async def _abandon(self, proxy: str) -> None:
        try:
            await self._agents.abandon(proxy)
        except StoreError as error:
            _log.warning("the agent of %s is gone, and its instances go only with its lease: %s", proxy, error)
