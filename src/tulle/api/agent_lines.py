"""The lines of an agent's session: one request whose body and answer are both streams of JSON, open while the agent lives.

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
answer (`AgentSessions.wish`). `{"weight": N}` has the agent register again with that weight.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from msgspec import Struct
from starlette.types import Send

from tulle.aio.changes import Changes
from tulle.api.bodies import MALFORMED
from tulle.api.decisions import Decisions, Heard
from tulle.api.lines import MAX_LINE, LineTooLong
from tulle.api.registration import proxy_problems, unreachable
from tulle.api.restarts import Restarts
from tulle.identity.trust import Holding
from tulle.model.workload import Health, Proxy

_FIRST_LINE_WITHIN = 10.0


class _Registration(Struct):
    proxy: Proxy


class Report(Struct):
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
REPORT = msgspec.json.Decoder(Report)


class BadLine(Exception):
    """The agent sent what it must not. The message is for the agent's user."""


async def registered_proxy(proxy_id: str, lines: AsyncGenerator[bytes], peer: str) -> Proxy:
    """What the first line says. peer: the address of its machine, "" for this one. Raises BadLine."""
    try:
        async with asyncio.timeout(_FIRST_LINE_WITHIN):
            proxy = _registration.decode(await anext(lines, b"")).proxy
    except TimeoutError as error:
        raise BadLine(f"no registration came within {_FIRST_LINE_WITHIN:.0f} s") from error
    except LineTooLong as error:
        raise BadLine(f"the registration is longer than {MAX_LINE} bytes") from error
    except MALFORMED as error:
        raise BadLine(f"the first line must be a registration: {error}") from error
    check(proxy, proxy_id, peer)
    return proxy


def check(proxy: Proxy, proxy_id: str, peer: str) -> None:
    """Raises BadLine."""
    if proxy.id != proxy_id:
        raise BadLine(f"the proxy {proxy.id!r} can't register as {proxy_id!r}")
    if problems := list(proxy_problems(proxy)):
        raise BadLine("; ".join(problems))
    if peer and (problem := unreachable(proxy, peer)):
        raise BadLine(problem)


class Answer:
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
