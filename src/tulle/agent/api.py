"""What the agent asks of the control plane, over the API's Unix socket in the state folder.

The socket and the secret are looked up anew for each request: the control plane may have been restarted meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tulle.agent import http1

_ANSWER_SECONDS = 10.0


class Refused(Exception):
    """The control plane answered, and not with what was asked for. `str` is its text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_final(self) -> bool:
        """Whether asking again is of no use."""
        return 400 <= self.status < 500


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The control plane's answer to an enrolment: certificates as PEM, times in Unix seconds.

    crl: lists of revoked certificates, "" if there are none. trust: the version of bundle and crl. root: the id of the root that
    the certificates lead to.
    """

    identity: str
    proxy: str
    bundle: str
    not_before: float
    not_after: float
    bootstrap: dict[str, Any]
    crl: str
    trust: str
    root: str


class ControlPlane:
    """The control plane whose state folder is `data`. Every method raises OSError when it can't be reached."""

    def __init__(self, data: Path) -> None:
        self._data = data

    async def enrol(self, request: dict[str, str]) -> Enrolment:
        """Has the request's two CSRs signed. Raises Refused."""
        answer = await self._answer("POST", "/v1/enrol", request)
        try:
            return Enrolment(**{field: answer[field] for field in Enrolment.__slots__})
        except (KeyError, TypeError) as error:
            raise _senseless(error) from error

    async def jwt_svid(self, proxy: str, audience: list[str]) -> str:
        """A JWT-SVID of the proxy's workload. Raises Refused."""
        return str((await self._answer("POST", "/v1/jwt-svids", {"proxy": proxy, "audience": audience})).get("svid"))

    async def jwt_keys(self) -> str:
        """The JSON Web Key Set by which these are checked. Raises Refused."""
        return str((await self._answer("GET", "/v1/jwt-keys", None)).get("keys"))

    async def _answer(self, method: str, path: str, content: Any) -> dict[str, Any]:
        async with asyncio.timeout(_ANSWER_SECONDS), http1.over_unix(self._data / "api.sock") as connection:
            headers = self._headers("application/json")
            await connection.request(method, path, headers, b"" if content is None else json.dumps(content).encode())
            status = await connection.response()
            body = await connection.body()
        if status != 200:
            raise Refused(status, _error(status, body))
        try:
            answer: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise _senseless(error) from error
        return answer

    @asynccontextmanager
    async def session(self, proxy: str) -> AsyncIterator[http1.Connection]:
        """Opens the agent's session; what it carries, in lines of JSON both ways, is `session.py`'s affair."""
        async with http1.over_unix(self._data / "api.sock") as connection:
            await connection.request("POST", f"/v1/agents/{proxy}", self._headers("application/x-ndjson"), body=None)
            yield connection

    def _headers(self, content_type: str) -> dict[str, str]:
        try:
            secret = (self._data / "secret").read_text(errors="replace").strip()  # a damaged one is just wrong
        except FileNotFoundError:
            raise Refused(401, f"there is no secret in {self._data / 'secret'}: restart the control plane") from None
        return {"Authorization": f"Bearer {secret}", "Content-Type": content_type}


def _senseless(error: Exception) -> Refused:
    return Refused(500, f"the control plane's answer makes no sense ({error!r}); is it of another version?")


async def accepted(connection: http1.Connection) -> None:
    """Waits for the head of a session's response. Raises Refused."""
    async with asyncio.timeout(_ANSWER_SECONDS):
        status = await connection.response()
        if status != 200:
            raise Refused(status, _error(status, await connection.body()))


def _error(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {status}"
