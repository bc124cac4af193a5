"""Which endpoints a caller's own sidecar leaves out: it is asked, as nobody else knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.asking import Answer, Asking, NoAnswer, Wish
from tulle.api.bodies import MALFORMED, body_of
from tulle.resolve.explaining.left_out import Left

_ANSWER_SECONDS = 2.0
_Text = Annotated[str, Meta(max_length=300)]

# By cluster and address (`10.0.0.3:80`).
LeftOut = Mapping[str, Mapping[str, Left]]


class _Answer(Answer):
    """problem: why nothing is told."""

    left_out: dict[_Text, dict[_Text, Left]]
    problem: _Text = ""


_answers = msgspec.json.Decoder(_Answer)


class EndpointsApi:
    def __init__(self, wish: Wish) -> None:
        self._asking: Asking[_Answer] = Asking(wish, "endpoints")

    @property
    def routes(self) -> list[Route]:
        return [Route("/v1/agents/{proxy}/endpoints", self.take, methods=["POST"])]

    async def take(self, request: Request) -> Response:
        """An agent's answer."""
        try:
            answer = _answers.decode(await body_of(request))
        except MALFORMED as error:
            raise HTTPException(400, f"this is no answer about endpoints: {error}") from error
        self._asking.answered(request.path_params["proxy"], answer)
        return as_json({})

    async def left_out(self, proxy: str, clusters: Sequence[str]) -> LeftOut:
        """Raises NoAnswer."""
        answer = await self._asking.ask(proxy, {"clusters": list(clusters)}, _ANSWER_SECONDS)
        if answer.problem:
            raise NoAnswer(answer.problem)
        return answer.left_out
