"""An agent's session: one request whose body and answer are both streams of JSON lines, open while the agent lives.

Agent, first line: `{"proxy": ...}`, a `model.workload.Proxy`, which may be said again when it has changed; then
`{"health": "..."}` on every change and, the same again, as a heartbeat; `{"resolve": "<host>"}` when its program asks for
an address; `{"idle": ["<cluster>", ...]}` for what it has not called for long;
`{"decisions": {...}}` for how often access rules have decided what against its callers (decisions.py);
`{"holds": {"trust": "<version>", "root": "<id>"}}` for what its Envoy has taken up of these;
`{"bye": true}` before an orderly end. Answer: `{"registered": true}` and then `{"ready": true}`,
`{"propagated": "<health>"}` after registration and after each change, `{"resolved": "<host>", "vip": ...}` (null if
no service is meant) or `{"resolved": "<host>", "problem": "..."}` (its sidecar takes no connections to it),
`{"hosts": [...], "passes": ...}` before it is ready and after each change, unless that is none and true (which names beside
the mesh's own are declared, null for any; whether others may be looked up), `{"error": "..."}` and the end,
`{"error": "...", "revoked": true}` if the proxy is thrown out of the mesh: its agent is not to come back.
`{"trust": {"bundle": PEM, "crl": PEM, "version": ...}}` is said once it is registered and after each change, `{"renew": true,
"within": SECONDS}` when its certificates are to be renewed (ca.py).
A restart of its Envoy is asked for and answered in between (restarts.py). `{"do": {"<what>": ...}}` is a wish that needs no
answer (`AgentSessions.wish`). `{"weight": N}` has the agent register again with
that weight.
A newer session of the same proxy takes over once it is registered: nothing that the older one says is heard after that.
Leases, and what follows from a session's end, are the registry's matter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from tulle.aio.changes import Changes
from tulle.api.bodies import MALFORMED
from tulle.api.ca import tell_trust
from tulle.api.decisions import Decisions, Heard
from tulle.api.doors import Agents, NotRegistered, Outside, ProxyRevoked, RegistrationRefused, Trusts, Unreachable
from tulle.api.lines import MAX_LINE, LineTooLong, lines_of
from tulle.api.registration import proxy_problems, unreachable
from tulle.api.restarts import RestartFailed, Restarts
from tulle.identity.trust import Holding
from tulle.model.workload import Health, Proxy
from tulle.store.errors import StoreError

_log = logging.getLogger(__name__)

_FIRST_LINE_WITHIN = 10.0
_RESOLVED_WITHIN = 5.0
_MOST_RESOLVING = 200
_WEIGHED_WITHIN = 5.0


class _Registration(Struct):
    proxy: Proxy


class _Report(Struct):
    health: Health | None = None
    bye: bool = False
    proxy: Proxy | None = None
    resolve: str | None = None
    idle: list[str] | None = None
    holds: Holding | None = None
    decisions: Decisions | None = None
    restarted: int = 0
    error: str = ""


_registration = msgspec.json.Decoder(_Registration)
_report = msgspec.json.Decoder(_Report)


class WeighingFailed(Exception):
    """The message is for the user."""


class _BadLine(Exception):
    """The agent sent what it must not. The message is for the agent's user."""


class _End(NamedTuple):
    """How a session ended. abandoned: its instances may be gone without a word. revoked: the agent is not to come back."""

    error: str = ""
    abandoned: bool = False
    revoked: bool = False


class AgentSessions:
    """The endpoint, an ASGI application.

    The scope's state has `closing`, an event that is set when the control plane itself ends: its agents have abandoned
    nothing then. clock: Unix time in seconds.
    """

    def __init__(self, agents: Agents, trusts: Trusts, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._agents = agents
        self._trusts = trusts
        self._newest: dict[str, _Answer] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def count(self) -> int:
        """How many agents have a session."""
        return len(self._newest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        await answer.start()
        async with aclosing(lines_of(receive)) as lines:
            try:
                peer = str(scope["state"].get("peer", ""))
                proxy = await _registered_proxy(scope["path_params"]["proxy"], lines, peer)
            except _BadLine as error:
                end = _End(str(error))
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
        self, proxy: Proxy, lines: AsyncGenerator[bytes], answer: _Answer, closing: asyncio.Event, peer: str
    ) -> _End:
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
            return _End(str(error), revoked=isinstance(error, ProxyRevoked))
        end = _End()
        try:
            end = await _Session(self._agents, self._trusts, proxy, answer, turn, peer, self._clock).run(lines)
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


async def _registered_proxy(proxy_id: str, lines: AsyncGenerator[bytes], peer: str) -> Proxy:
    """What the first line says. peer: the address of its machine, "" for this one. Raises _BadLine."""
    try:
        async with asyncio.timeout(_FIRST_LINE_WITHIN):
            proxy = _registration.decode(await anext(lines, b"")).proxy
    except TimeoutError as error:
        raise _BadLine(f"no registration came within {_FIRST_LINE_WITHIN:.0f} s") from error
    except LineTooLong as error:
        raise _BadLine(f"the registration is longer than {MAX_LINE} bytes") from error
    except MALFORMED as error:
        raise _BadLine(f"the first line must be a registration: {error}") from error
    _check(proxy, proxy_id, peer)
    return proxy


def _check(proxy: Proxy, proxy_id: str, peer: str) -> None:
    """Raises _BadLine."""
    if proxy.id != proxy_id:
        raise _BadLine(f"the proxy {proxy.id!r} can't register as {proxy_id!r}")
    if problems := list(proxy_problems(proxy)):
        raise _BadLine("; ".join(problems))
    if peer and (problem := unreachable(proxy, peer)):
        raise _BadLine(problem)


class _Session:
    """A registered proxy's session: reports are read here, and two kinds of news are awaited beside.

    turn: held while a report is acted on.
    """

    def __init__(
        self,
        agents: Agents,
        trusts: Trusts,
        proxy: Proxy,
        answer: _Answer,
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

    async def run(self, lines: AsyncGenerator[bytes]) -> _End:
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

    async def _follow(self, lines: AsyncGenerator[bytes], propagation: _Propagation) -> _End:
        propagation.await_for(self._health)
        try:
            async for line in lines:
                async with self._turn:
                    if self._answer.has_ended:  # a newer session has taken over
                        return _End()
                    if end := await self._act(line, propagation):
                        return end
        except NotRegistered:
            return _End("the lease has ended; register again")
        except LineTooLong:
            return _End(f"a line is longer than {MAX_LINE} bytes", abandoned=True)
        except StoreError as error:
            return _End(str(error))  # the agent is alive, and will be back before its lease ends
        except (_BadLine, RegistrationRefused) as error:
            return _End(str(error), abandoned=True, revoked=isinstance(error, ProxyRevoked))
        except MALFORMED as error:
            return _End(f"a line is no report: {error}", abandoned=True)
        finally:
            propagation.stop()
        return _End(abandoned=True)

    async def _act(self, line: bytes, propagation: _Propagation) -> _End | None:
        """Does what the line says; an end if it is the session's last."""
        if line == self._last:  # a heartbeat, of which there are a thousand for each change
            await self._agents.keep_alive(self._proxy.id)
            return None
        report = _report.decode(line)
        if report.bye:
            await self._agents.leave(self._proxy.id)
            return _End()
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
            return _End(f"a line must have {fields}", abandoned=True)
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
        _check(proxy, self._proxy.id, self._peer)
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

    def __init__(self, tasks: asyncio.TaskGroup, agents: Agents, proxy: Proxy, answer: _Answer) -> None:
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


class _Answer:
    """The lines to the agent. Several tasks speak; whoever comes after the end is not heard."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_ended = False
        self.weight = 0  # that the agent has registered with
        self.decisions: Heard | None = None
        self.changes = Changes()
        self.restarts = Restarts(self.say)

    async def start(self) -> None:
        # The request's body may never end, so its connection can't be used for another.
        headers = [(b"content-type", b"application/x-ndjson"), (b"connection", b"close")]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def say(self, line: dict[str, Any]) -> None:
        if not self.has_ended:
            body = msgspec.json.encode(line) + b"\n"
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, error: str = "", *, revoked: bool = False) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.changes.touch("proxy")
            line = {"error": error, "revoked": True} if revoked else {"error": error}
            body = msgspec.json.encode(line) + b"\n" if error else b""
            await self._send({"type": "http.response.body", "body": body, "more_body": False})
