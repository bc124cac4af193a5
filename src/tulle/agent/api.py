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
from tulle.agent.exits import AgentError
from tulle.config import data_folder

_ANSWER_SECONDS = 10.0
_PASSING = (408, 429)  # Request Timeout, Too Many Requests


class Refused(Exception):
    """The control plane answered, and not with what was asked for. `str` is its text.

    is_revoked: this proxy is thrown out of the mesh.
    """

    def __init__(self, status: int, message: str, *, is_revoked: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.is_revoked = is_revoked

    @property
    def is_final(self) -> bool:
        """Whether asking again is of no use."""
        return 400 <= self.status < 500 and self.status not in _PASSING


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

    async def enrol(self, request: dict[str, Any]) -> Enrolment:
        """Has the request's two CSRs signed. Raises Refused."""
        return enrolment_in(await self._answer("POST", "/v1/enrol", request))

    async def jwt_svid(self, proxy: str, audience: list[str]) -> str:
        """A JWT-SVID of the proxy's workload. Raises Refused."""
        return str((await self._answer("POST", "/v1/jwt-svids", {"proxy": proxy, "audience": audience})).get("svid"))

    async def jwt_keys(self) -> str:
        """The JSON Web Key Set by which these are checked. Raises Refused."""
        return str((await self._answer("GET", "/v1/jwt-keys", None)).get("keys"))

    async def _answer(self, method: str, path: str, content: Any) -> Any:
        async with asyncio.timeout(_ANSWER_SECONDS), http1.over_unix(self._data / "api.sock") as connection:
            return await asked(connection, method, path, self._headers("application/json"), content)

    @asynccontextmanager
    async def session(self, proxy: str) -> AsyncIterator[http1.Connection]:
        """Opens the agent's session; what it carries, in lines of JSON both ways, is `session.py`'s affair."""
        async with http1.over_unix(self._data / "api.sock") as connection:
            await connection.request("POST", f"/v1/agents/{proxy}", self._headers("application/x-ndjson"), body=None)
            yield connection

    @asynccontextmanager
    async def reporting(self, content_type: str) -> AsyncIterator[tuple[http1.Connection, dict[str, str]]]:
        """A connection for reports, and the headers of each (reports.py)."""
        async with http1.over_unix(self._data / "api.sock") as connection:
            yield connection, self._headers(content_type)

    def enrolled(self, key: str, given: Enrolment) -> None:
        """The proxy has this private key, PEM, and these certificates now; on this machine nobody asks for them."""

    def trust(self, bundle: str) -> None:
        """From now on the control plane may be of these roots, PEM, as it has said itself; on this machine nobody asks."""

    def trouble(self, error: OSError) -> str:
        """What keeps an enrolment waiting, for the user. Raises AgentError if waiting is of no use."""
        if isinstance(error, PermissionError):
            raise AgentError(
                f"the control plane of {self._data} belongs to another user: {error.strerror}; "
                "run `tulle run` as the user who runs `tulle up`, or give another state folder with --data"
            ) from error
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            start = "tulle up" if self._data == data_folder() else f"tulle up --data {self._data}"
            return (
                f"no control plane is running for {self._data}; start one in another terminal with\n"
                f"    {start}\nwaiting for it"
            )
        return f"the control plane does not answer ({error_text(error)}); trying on"

    def refusal(self, refused: Refused) -> str:
        """Why an enrolment is refused for good, for the user."""
        if refused.status == 401:
            return (
                f"the control plane does not accept the secret in {self._data}/secret: {refused}; "
                "it may be an older control plane's: restart `tulle up`, with the same --data as here"
            )
        return f"the control plane refuses this instance: {refused}"

    def _headers(self, content_type: str) -> dict[str, str]:
        try:
            secret = (self._data / "secret").read_text(errors="replace").strip()  # a damaged one is just wrong
        except FileNotFoundError:
            raise Refused(401, f"there is no secret in {self._data / 'secret'}: restart the control plane") from None
        return {"Authorization": f"Bearer {secret}", "Content-Type": content_type}


def enrolment_in(answer: Any) -> Enrolment:
    """Raises Refused."""
    try:
        return Enrolment(**{field: answer[field] for field in Enrolment.__slots__})
    except (KeyError, TypeError) as error:
        raise Refused(
            500, f"the control plane's answer makes no sense ({error!r}); is it of another version?"
        ) from error


async def asked(
    connection: http1.Connection, method: str, path: str, headers: dict[str, str], content: Any = None
) -> Any:
    """Sends JSON, or nothing; the JSON of the answer. Raises Refused."""
    await connection.request(method, path, headers, b"" if content is None else json.dumps(content).encode())
    status = await connection.response()
    body = await connection.body()
    return answered(status, body)


def answered(status: int, body: bytes) -> Any:
    """The JSON of an answer. Raises Refused."""
    if status != 200:
        raise _refused(status, body)
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refused(500, "the control plane's answer is no JSON; is it of another version?") from error


def error_text(error: Exception) -> str:
    return str(error) or type(error).__name__


async def accepted(connection: http1.Connection) -> None:
    """Waits for the head of a session's response. Raises Refused."""
    async with asyncio.timeout(_ANSWER_SECONDS):
        status = await connection.response()
        if status != 200:
            raise _refused(status, await connection.body())


def _refused(status: int, body: bytes) -> Refused:
    try:
        told = json.loads(body)
        return Refused(status, str(told["error"]), is_revoked=bool(told.get("revoked")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refused(status, f"HTTP status {status}")
