"""The agent's session with the control plane: says that the instance is alive and how it is, hears what came of it.

One HTTP request that lasts: lines of JSON both ways. When it breaks it is opened anew, for ever. It also asks, for the
program's resolver, whom a name means.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from tulle.agent import http1
from tulle.agent.api import ControlPlane, Refused, accepted
from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.decision_counts import Counts
from tulle.agent.dns.outside import Outside, said
from tulle.agent.envoy import RestartFailed
from tulle.agent.exits import first_of
from tulle.agent.health import Health
from tulle.agent.idle import LOOK_SECONDS
from tulle.agent.offer import Offer, description
from tulle.agent.ports import Ports
from tulle.agent.trusts import Trusts

_BEAT_SECONDS = 1.0
_COUNTS_SECONDS = 1.0
_ADDRESS_SECONDS = 6.0  # a little more than the control plane waits for the sidecar
_BACK_OFF = (0.2, 1.0)


class Session:
    """Tells the control plane of `health`, and of what is offered, as long as `run` runs."""

    def __init__(
        self,
        config: AgentConfig,
        proxy: str,
        ports: Ports,
        offer: Offer,
        health: Health,
        control_plane: ControlPlane,
        console: Console,
    ) -> None:
        self._config = config
        self.proxy = proxy
        self._ports = ports
        self._offer = offer
        self._offered: Offer | None = None  # what the control plane was told last
        self._weight = self._weighed = config.weight  # what it shall be, and what the control plane was told last
        self._unconfirmed = 0  # registrations that it has not answered
        self._connection: http1.Connection | None = None
        self._asked: dict[str, asyncio.Future[str | None]] = {}
        self._health = health
        self._control_plane = control_plane
        self._console = console
        self._trouble = ""
        self._told = ""
        self._propagated = ""
        self._heard = asyncio.Condition()
        self._is_ready = False
        self._is_leaving = False
        self._over = asyncio.Event()
        self.is_connected = False
        self.revocation = ""  # why it may not come back
        self._revoked = asyncio.Event()
        self.outside = Outside()  # as the control plane said last
        self.trusts = Trusts(health.touch)
        self._held: dict[str, str] = {}  # what the control plane was told of that
        self._has_heard_of_hosts = False  # in this session
        self.idle_clusters: Callable[[], Awaitable[list[str]]] | None = None
        self.metrics = ""  # where they are served, `host:port`
        self.decisions: Counts | None = None
        self.restart_envoy: Callable[[float], Awaitable[None]] | None = None
        self.wishes: dict[str, Callable[[Any], None]] = {}  # by name, what to do when the control plane asks for it

    async def run(self) -> None:
        """Keeps the session open until `bye`, or until the proxy is revoked."""
        try:
            await self._keep_open()
        finally:
            self._over.set()

    async def _keep_open(self) -> None:
        pause = _BACK_OFF[0]
        while not self._over.is_set():
            try:
                await self._run_once()
            except (OSError, Refused) as error:
                if self.is_connected:
                    pause = _BACK_OFF[0]
                self.is_connected = False
                if isinstance(error, Refused) and error.is_revoked:
                    self.revocation = str(error)
                    self._revoked.set()
                    break
                if self._is_leaving:
                    break
                self._tell_trouble(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _BACK_OFF[1])

    def offer(self, offer: Offer) -> None:
        """From now on the instance offers this; it is not ready until the control plane says so again."""
        if offer != self._offer:
            self._offer, self._is_ready = offer, False
            self._health.sidecar_has_its_door(False)

    async def ready(self) -> None:
        """Waits until the control plane says that the sidecar has all it needs for what is offered now."""
        async with self._heard:
            await self._heard.wait_for(lambda: self._is_ready)

    async def revoked(self) -> str:
        """Waits until the control plane has thrown this proxy out of the mesh; why."""
        await self._revoked.wait()
        return self.revocation

    async def address_of(self, name: str) -> str | None:
        """The address that stands for a service, once the sidecar takes connections to it; None if `name` is none.

        Raises OSError when the control plane can't be asked, or the sidecar is not ready in time, or never will be.
        """
        if not self.is_connected or self._connection is None:
            raise ConnectionError("the control plane can't be asked now")
        answer = self._asked.get(name)
        try:
            async with asyncio.timeout(_ADDRESS_SECONDS):
                if answer is None:
                    answer = self._asked[name] = asyncio.get_running_loop().create_future()
                    # The session may break meanwhile, and then nobody is asked any more.
                    await _send(self._connection, {"resolve": name})
                return await asyncio.shield(answer)
        except TimeoutError:
            if self._asked.get(name) is answer:
                del self._asked[name]
            raise

    async def propagated(self, health: str, seconds: float) -> bool:
        """Waits until every sidecar that knows of this instance knows `health`; false if that is not known in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds if self.is_connected else 0), self._heard:
                await self._heard.wait_for(lambda: self._told == self._propagated == health)
                return True
        return False

    async def bye(self, seconds: float) -> None:
        """Has the instance forgotten at once, and ends the session."""
        self._is_leaving = True
        self._health.touch()
        if self.is_connected:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._over.wait()

    async def _run_once(self) -> None:
        async with self._control_plane.session(self.proxy) as connection:
            self._unconfirmed, self._has_heard_of_hosts, self._held = 0, False, {}
            await self._register(connection)
            await accepted(connection)
            self._connection = connection
            failure: BaseException | None = None
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listen(connection, group), name="session listening")
                    group.create_task(self._beat(connection), name="session heartbeat")
                    group.create_task(self._tell_idle(connection), name="session idleness")
                    group.create_task(self._tell_decisions(connection), name="session decisions")
            except* (OSError, Refused) as errors:
                failure = first_of(errors)
            finally:
                self._connection = None
                self._leave_unanswered()
            if failure:
                raise failure

    async def _register(self, connection: http1.Connection) -> None:
        self._told, self._propagated, self._offered = self._health.value, "", self._offer
        self._weighed = self._weight
        self._unconfirmed += 1
        told = description(
            self._config, self.proxy, self._ports, self._offered, self._told, self._weighed, self.metrics
        )
        await _send(connection, {"proxy": told})

    def _leave_unanswered(self) -> None:
        asked, self._asked = self._asked, {}
        for future in asked.values():
            if not future.done():
                future.set_exception(ConnectionError("the control plane has gone"))
                future.exception()  # seen, even if nobody waits any more

    async def _beat(self, connection: http1.Connection) -> None:
        while not self._is_leaving:
            if self._offer is not self._offered or self._weight != self._weighed:
                await self._register(connection)
            health = self._health.value
            if health != self._told:
                self._told, self._propagated = health, ""
            await _send(connection, {"health": health})
            if self.trusts.holds != self._held:
                self._held = self.trusts.holds
                await _send(connection, {"holds": self._held})
            await self._health.change(_BEAT_SECONDS)
        await _send(connection, {"bye": True})
        await connection.send_chunk(b"")

    async def _tell_idle(self, connection: http1.Connection) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.idle_clusters and (clusters := await self.idle_clusters()) and not self._is_leaving:
                await _send(connection, {"idle": clusters})

    async def _tell_decisions(self, connection: http1.Connection) -> None:
        """All of them in each session, then whenever there are more."""
        told = 0
        while self.decisions:
            told = await self.decisions.after(told)
            if not self._is_leaving:
                await _send(connection, {"decisions": self.decisions.told()})
            await asyncio.sleep(_COUNTS_SECONDS)

    async def _listen(self, connection: http1.Connection, group: asyncio.TaskGroup) -> None:
        """Ends with an error in any case: the session is over when the other side ends it."""
        async for line in connection.lines():
            try:
                message = json.loads(line)
                await self._hear(message)
                if "restart" in message:
                    seconds = float(message.get("within", 0))
                    group.create_task(self._restart(connection, message["restart"], seconds), name="restart of Envoy")
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise http1.BadResponse(f"a line that makes no sense: {line[:80]!r}") from error
        raise http1.BadResponse("the control plane has ended the session")

    async def _hear(self, message: dict[str, Any]) -> None:
        if "error" in message:
            raise Refused(500, str(message["error"]), is_revoked=bool(message.get("revoked")))
        self.trusts.hear(message)
        for what, value in message.get("do", {}).items():
            if what in self.wishes:
                self.wishes[what](value)
        if "weight" in message:
            self._weight = int(message["weight"])
            self._health.touch()
        if "hosts" in message:
            self.outside, self._has_heard_of_hosts = said(message), True
        elif message.get("ready") and not self._has_heard_of_hosts:
            self.outside = Outside()
        async with self._heard:
            if message.get("registered"):
                self._unconfirmed -= 1
                self._tell_connected()
            # What is said of an earlier offer says nothing of this one.
            if message.get("ready") and self._is_confirmed and not self._is_ready:
                self._is_ready = True
                self._health.sidecar_has_its_door(True)
            if asked := self._asked.pop(str(message.get("resolved")), None):
                if problem := message.get("problem"):
                    asked.set_exception(ConnectionRefusedError(problem))
                    asked.exception()  # seen, even if nobody waits any more
                else:
                    asked.set_result(message.get("vip"))
            self._propagated = message.get("propagated", self._propagated)
            self._heard.notify_all()

    async def _restart(self, connection: http1.Connection, number: int, seconds: float) -> None:
        """Goes on when this session breaks; nobody is told of the outcome then."""
        problem = "it has none yet"
        try:
            if self.restart_envoy:
                await self.restart_envoy(seconds)
                problem = ""
        except RestartFailed as error:
            problem = str(error)
        if problem:
            self._console.warning(f"Envoy is not restarted: {problem}")
        else:
            self._console.info("a new Envoy has taken over from the old one")
        await _send(connection, {"restarted": number, "error": problem})

    @property
    def _is_confirmed(self) -> bool:
        return self._unconfirmed == 0 and self._offer is self._offered

    def _tell_connected(self) -> None:
        self.is_connected = True
        if self._trouble:
            self._console.info("the control plane is there again")
            self._trouble = ""

    def _tell_trouble(self, error: Exception) -> None:
        if isinstance(error, Refused):
            text = f"the control plane has ended this instance's session: {error}; opening it again"
        else:
            text = "the control plane has gone; the mesh works on with what it knows, waiting for it to come back"
        if text != self._trouble:
            self._console.warning(text)
            self._trouble = text


async def _send(connection: http1.Connection, message: dict[str, Any]) -> None:
    await connection.send_chunk(json.dumps(message).encode() + b"\n")
