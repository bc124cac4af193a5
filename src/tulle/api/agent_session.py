"""A registered proxy's session: what its agent says is done, and what comes to hold for it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import NamedTuple

from tulle.api.agent_lines import REPORT, Answer, BadLine, check
from tulle.api.bodies import MALFORMED
from tulle.api.ca import tell_trust
from tulle.api.decisions import Heard
from tulle.api.doors import Agents, NotRegistered, Outside, ProxyRevoked, RegistrationRefused, Trusts, Unreachable
from tulle.api.lines import MAX_LINE, LineTooLong
from tulle.model.workload import Health, Proxy
from tulle.store.errors import StoreError

_RESOLVED_WITHIN = 5.0
_MOST_RESOLVING = 200


class End(NamedTuple):
    """How a session ended. abandoned: its instances may be gone without a word. revoked: the agent is not to come back."""

    error: str = ""
    abandoned: bool = False
    revoked: bool = False


class Session:
    """A registered proxy's session: reports are read here, and two kinds of news are awaited beside.

    turn: held while a report is acted on.
    """

    def __init__(
        self,
        agents: Agents,
        trusts: Trusts,
        proxy: Proxy,
        answer: Answer,
        turn: asyncio.Lock,
        peer: str,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._agents = agents
        self._trusts = trusts
        self._proxy = proxy
        self._answer = answer
        self._turn = turn
        self._peer = peer
        self._health = proxy.workloads[0].health
        self._last: bytes | None = None
        self._resolving: set[asyncio.Task[None]] = set()
        self._outside = Outside()  # what the agent was told, or takes for granted

    async def run(self, lines: AsyncGenerator[bytes]) -> End:
        async with asyncio.TaskGroup() as self._tasks:
            await self._registered()
            trusting = self._tasks.create_task(self._tell_trust(), name=f"{self._proxy.id}: trust")
            end = await self._follow(lines, _Propagation(self._tasks, self._agents, self._proxy, self._answer))
            for task in (self._ready, trusting, *self._resolving):
                task.cancel()
        return end

    async def _tell_trust(self) -> None:
        why = await tell_trust(self._trusts, self._proxy.id, self._answer.say)
        await self._answer.end(why, revoked=True)

    async def _registered(self) -> None:
        self._answer.weight = self._proxy.workloads[0].weight
        self._answer.changes.touch("proxy")
        await self._answer.say({"registered": True})
        self._ready = self._tasks.create_task(self._tell_ready(self._proxy), name=f"{self._proxy.id}: ready")

    async def _follow(self, lines: AsyncGenerator[bytes], propagation: _Propagation) -> End:
        propagation.await_for(self._health)
        try:
            async for line in lines:
                async with self._turn:
                    if self._answer.has_ended:  # a newer session has taken over
                        return End()
                    if end := await self._act(line, propagation):
                        return end
        except NotRegistered:
            return End("the lease has ended; register again")
        except LineTooLong:
            return End(f"a line is longer than {MAX_LINE} bytes", abandoned=True)
        except StoreError as error:
            return End(str(error))  # the agent is alive, and will be back before its lease ends
        except (BadLine, RegistrationRefused) as error:
            return End(str(error), abandoned=True, revoked=isinstance(error, ProxyRevoked))
        except MALFORMED as error:
            return End(f"a line is no report: {error}", abandoned=True)
        finally:
            propagation.stop()
        return End(abandoned=True)

    async def _act(self, line: bytes, propagation: _Propagation) -> End | None:
        """Does what the line says; an end if it is the session's last."""
        if line == self._last:  # a heartbeat, of which there are a thousand for each change
            await self._agents.keep_alive(self._proxy.id)
            return None
        report = REPORT.decode(line)
        if report.bye:
            await self._agents.leave(self._proxy.id)
            return End()
        if report.restarted:
            self._answer.restarts.answered(report.restarted, report.error)
            return None
        if report.resolve is not None:
            self._resolve(report.resolve)
            return None
        if report.idle is not None:
            self._agents.idles(self._proxy.id, report.idle)
            return None
        if report.holds is not None:
            self._trusts.holds(self._proxy.id, report.holds)
            return None
        if report.decisions is not None:
            self._answer.decisions = Heard(report.decisions, self._clock())
            return None
        if report.proxy is not None:
            await self._register(report.proxy)
            propagation.await_for(self._health)
            return None
        if report.health is None:
            fields = '"health", "proxy", "resolve", "idle", "decisions", "holds" or "bye"'
            return End(f"a line must have {fields}", abandoned=True)
        self._last = line
        if report.health is self._health:
            await self._agents.keep_alive(self._proxy.id)
            return None
        self._health = report.health
        for workload in self._proxy.workloads:
            await self._agents.set_health(self._proxy.id, workload.id, report.health)
        propagation.await_for(report.health)
        return None

    async def _register(self, proxy: Proxy) -> None:
        """The same proxy, with other ports or another way of capture."""
        check(proxy, self._proxy.id, self._peer)
        await self._agents.register(proxy)
        self._proxy, self._health, self._last = proxy, proxy.workloads[0].health, None
        self._ready.cancel()
        await self._registered()

    def _resolve(self, name: str) -> None:
        # An agent asks for each name once at a time; whatever is beyond that has to ask again.
        if len(self._resolving) < _MOST_RESOLVING:
            task = self._tasks.create_task(self._tell_resolved(name), name=f"{self._proxy.id}: resolve")
            self._resolving.add(task)
            task.add_done_callback(self._resolving.discard)

    async def _tell_resolved(self, name: str) -> None:
        """A sidecar that is not ready for it in time leaves the agent without an answer, which asks again."""
        with suppress(TimeoutError):
            try:
                async with asyncio.timeout(_RESOLVED_WITHIN):
                    answer = {"vip": await self._agents.resolve(self._proxy.id, name)}
            except Unreachable as error:
                answer = {"problem": str(error)}
            await self._answer.say({"resolved": name, **answer})

    async def _tell_ready(self, proxy: Proxy) -> None:
        """Before that what the agent must know of hosts; it takes silence for nothing. Then what comes to hold, for ever."""
        await self._agents.ready(proxy)
        await self._tell_outside(self._agents.outside(proxy.id))
        await self._answer.say({"ready": True})
        while True:
            await self._tell_outside(await self._agents.outside_after(proxy.id, self._outside))

    async def _tell_outside(self, now: Outside) -> None:
        if now != self._outside:
            self._outside = now
            await self._answer.say({"hosts": now.hosts, "passes": now.passes})


class _Propagation:
    """Tells when the newest health has reached everyone; an older one no longer matters."""

    def __init__(self, tasks: asyncio.TaskGroup, agents: Agents, proxy: Proxy, answer: Answer) -> None:
        self._tasks = tasks
        self._agents = agents
        self._proxy = proxy
        self._answer = answer
        self._task: asyncio.Task[None] | None = None

    def await_for(self, health: Health) -> None:
        self.stop()
        self._task = self._tasks.create_task(self._tell(health), name=f"{self._proxy.id}: {health} propagated")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _tell(self, health: Health) -> None:
        await self._agents.propagated(self._proxy.id, health)
        await self._answer.say({"propagated": health})
