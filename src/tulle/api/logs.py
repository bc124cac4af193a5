"""The last lines of what the control plane and the agents say, and of which level these are from now on (`tulle logs`).

An agent is asked over its session, `{"do": {"log": {...}}}`, and answers by a report of its own with the same id.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.asking import Answer, Asking, NoAnswer, TooMany, Wish
from tulle.api.bodies import MALFORMED, body_of
from tulle.api.changes import changes_of
from tulle.api.doors import Force
from tulle.api.log_views import LogLineView, LogsView, shown
from tulle.api.own_log import OWN_LOG
from tulle.api.queries import number
from tulle.model.log_lines import LEVELS, LONGEST, MOST_LINES

_ANSWER_SECONDS = 5.0
_LONGEST_REPORT = 8 * 1024 * 1024


class _Wanted(Struct):
    level: str


class _Line(LogLineView, omit_defaults=True):
    """As an agent may tell it."""

    number: Annotated[int, Meta(ge=0, lt=2**53)]
    time: Annotated[str, Meta(max_length=40)]
    level: Literal["debug", "info", "warning", "error"]
    logger: Annotated[str, Meta(max_length=200)]
    message: Annotated[str, Meta(max_length=LONGEST + 1)]


class _Answer(Answer):
    """What an agent answers. problem: why its Envoy's level is not as it should be, if that is so."""

    level: Annotated[str, Meta(max_length=20)]
    lines: Annotated[list[_Line], Meta(max_length=MOST_LINES)] = msgspec.field(default_factory=list)
    problem: Annotated[str, Meta(max_length=1000)] = ""


_answers = msgspec.json.Decoder(_Answer)


class LogsApi:
    """wish: has an agent do something (AgentSessions.wish)."""

    def __init__(self, force: Force, wish: Wish) -> None:
        self._force = force
        self._asking: Asking[_Answer] = Asking(wish, "log")

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/v1/logs", self.own),
            Route("/v1/logs/level", self.set_own, methods=["PUT"]),
            Route("/v1/proxies/{name}/logs", self.of_proxy),
            Route("/v1/proxies/{name}/logs/level", self.set_proxy, methods=["PUT"]),
            Route("/v1/agents/{proxy}/logs", self.take, methods=["POST"]),
        ]

    async def own(self, request: Request) -> Response:
        after, level, since = _which(request)
        lines = OWN_LOG.ring.lines(after, level, since)
        return as_json(LogsView("", OWN_LOG.level, [shown(line) for line in lines]))

    async def set_own(self, request: Request) -> Response:
        level, before = await _level(request), OWN_LOG.level
        OWN_LOG.set_level(level)
        changes_of(request).add("the level of the control plane's log", {"level": before}, {"level": level})
        return as_json(LogsView("", level))

    async def of_proxy(self, request: Request) -> Response:
        after, level, since = _which(request)
        found = await self._ask(request.path_params["name"], {"after": after, "from": level, "since": since})
        return as_json(LogsView(request.path_params["name"], found.level, [*found.lines]))

    async def set_proxy(self, request: Request) -> Response:
        name, level = request.path_params["name"], await _level(request)
        # All lines are old to it: none is asked for.
        found = await self._ask(name, {"level": level, "after": 2**62})
        if found.problem:
            raise HTTPException(
                502, f"the agent of {name} tells {level} from now on, but its Envoy does not: {found.problem}"
            )
        changes_of(request).add(f"the level of the log of {name}", None, {"level": level})
        return as_json(LogsView(name, found.level))

    async def take(self, request: Request) -> Response:
        """An agent's answer. One that nobody waits for any more is dropped."""
        body = await body_of(request, _LONGEST_REPORT)
        if not self._asking.is_asked(request.path_params["proxy"]):
            return as_json({})  # it may be long, and is not even read
        try:
            answer = _answers.decode(body)
        except MALFORMED as error:
            raise HTTPException(400, f"this is no answer about logs: {error}") from error
        self._asking.answered(request.path_params["proxy"], answer)
        return as_json({})

    async def _ask(self, proxy: str, wanted: dict[str, Any]) -> _Answer:
        """Raises a refusal."""
        if proxy not in self._force.mesh().proxies:
            raise HTTPException(404, f"there is no proxy {proxy}")
        try:
            return await self._asking.ask(proxy, wanted, _ANSWER_SECONDS)
        except TooMany as error:
            raise HTTPException(429, str(error)) from error
        except NoAnswer as error:
            raise HTTPException(502, str(error)) from error


async def _level(request: Request) -> str:
    try:
        level = msgspec.json.decode(await body_of(request), type=_Wanted).level
    except MALFORMED as error:
        raise HTTPException(400, f"this names no level: {error}") from error
    return _known(level)


def _known(level: str) -> str:
    if level not in LEVELS:
        raise HTTPException(400, f"there is no level {level[:40]!r}; there are {', '.join(LEVELS)}")
    return level


def _which(request: Request) -> tuple[int, str, float]:
    """After which number, from which level on, since when."""
    after, since = number(request, "after", 0, 0, 2**53), number(request, "since", 0, 0, 1e11)
    return int(after), _known(request.query_params.get("level", LEVELS[0])), since
