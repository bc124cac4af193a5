"""The agent on the other end of stdin and stdout: it knows the control plane, which signs JWT-SVIDs.

Lines of JSON. To the agent: {"ready": true} once, and {"ask": N, "what": "jwt_svid"|"jwt_keys", "audience": [...]}. From it:
{"answer": N, "value": ...} or {"answer": N, "error": TEXT}. The end of its lines is the end of this process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count
from typing import Any

_ANSWER_SECONDS = 10.0
_MOST_ASKED = 256


class Unanswered(Exception):
    """The agent could not get what was asked for. The message says why."""


class Agent:
    def __init__(self) -> None:
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}

    async def listen(self) -> None:
        """Until the agent is gone."""
        reader = asyncio.StreamReader(limit=1 << 20)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            said = json.loads(line)
            waiting = self._asked.pop(said.get("answer"), None)
            if waiting is None or waiting.done():
                continue
            if "error" in said:
                waiting.set_exception(Unanswered(str(said["error"])))
            else:
                waiting.set_result(said["value"])

    def ready(self) -> None:
        _say({"ready": True})

    async def ask(self, what: str, **more: Any) -> Any:
        """Raises Unanswered."""
        if len(self._asked) >= _MOST_ASKED:
            raise Unanswered("too many questions at once")
        number = next(self._numbers)
        waiting = self._asked[number] = asyncio.get_running_loop().create_future()
        _say({"ask": number, "what": what, **more})
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await waiting
        except TimeoutError as error:
            raise Unanswered("the control plane has not answered in time") from error
        finally:
            self._asked.pop(number, None)


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
