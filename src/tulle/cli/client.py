"""The control plane as the commands see it: HTTP over the Unix socket in the data folder, or by TLS from elsewhere.

Who asks is told by the data folder's secret, or by a user's token in the environment, which comes first.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from tulle.aio.unix import short_path
from tulle.cli.exits import Failed, Mistakes, Unreachable
from tulle.cli.over_tls import TlsConnection
from tulle.cli.printing import harmless
from tulle.config import API_SOCKET, API_TOKEN, SECRET, data_folder
from tulle.model.api_token import ApiToken, NoApiToken, decode

_ANSWER_WITHIN = 10.0

T = TypeVar("T")
U = TypeVar("U")
Query = Sequence[tuple[str, str]]


class Refused(Failed):
    """The control plane answered, and not with what was asked for."""

    def __init__(self, message: str, status: int, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class ControlPlane:
    """The one whose data folder this is, or that a user's token names. Raises Unreachable, Refused.

    Each call is a connection of its own.
    """

    def __init__(self, data: Path, environ: Mapping[str, str] = os.environ) -> None:
        """Raises Mistakes."""
        self._data = data
        self._text = environ.get(API_TOKEN, "").strip()
        self._token = _token(self._text) if self._text else None

    def get(self, path: str, view: type[T], query: Query = ()) -> T:
        return self._ask("GET", _with(path, query), view)

    def delete(self, path: str, view: type[T], query: Query = ()) -> T:
        return self._ask("DELETE", _with(path, query), view)

    def post(self, path: str, view: type[T], within: float, body: bytes = b"", query: Query = ()) -> T:
        """within: how many seconds it may take until there is an answer."""
        return self._ask("POST", _with(path, query), view, within + _ANSWER_WITHIN, body)

    def put(self, path: str, view: type[T], body: bytes) -> T:
        return self._ask("PUT", path, view, body=body)

    def follow(self, path: str, view: type[T], query: Query = ()) -> Iterator[T]:
        """The lines of an answer that has no end; it ends when the control plane ends it."""
        with self._asked("GET", _with(path, query), _ANSWER_WITHIN, has_end=False) as response:
            for line in self._lines(response, _ANSWER_WITHIN):
                yield _decoded(line, view)

    @contextmanager
    def post_and_follow(
        self, path: str, view: type[T], then: type[U], within: float, body: bytes = b"", query: Query = ()
    ) -> Iterator[tuple[T, Iterator[U]]]:
        """An answer, and the lines that come after it. within: how many seconds each may take."""
        within += _ANSWER_WITHIN
        with self._asked("POST", _with(path, query), within, body) as response:
            lines = self._lines(response, within)
            first = _decoded(next(lines, b""), view)
            yield first, (_decoded(line, then) for line in lines)

    def _ask(self, method: str, path: str, view: type[T], within: float = _ANSWER_WITHIN, body: bytes = b"") -> T:
        with self._asked(method, path, within, body) as response, self._reaching(within):
            content = response.read()
        return _decoded(content, view)

    def _lines(self, response: HTTPResponse, within: float) -> Iterator[bytes]:
        while True:
            with self._reaching(within):
                line = response.readline()
            if not line:
                return
            yield line

    @contextmanager
    def _asked(
        self, method: str, path: str, within: float, body: bytes = b"", *, has_end: bool = True
    ) -> Iterator[HTTPResponse]:
        connection = self._connection(within)
        try:
            with self._reaching(within):
                connection.connect()
                proof = self._text or self._secret()
                # Who is refused by the head is answered before the body is read, and that answer counts.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, path, body or None, headers={"Authorization": f"Bearer {proof}"})
                response = connection.getresponse()
                if response.status != 200:
                    content = response.read()
                    raise Refused(_error(response.status, content), response.status, content)
            if not has_end and connection.sock:
                connection.sock.settimeout(None)
            yield response
        finally:
            connection.close()

    @contextmanager
    def _reaching(self, within: float) -> Iterator[None]:
        """Around what is done with the connection, and nothing else. Raises Unreachable."""
        try:
            yield
        except (FileNotFoundError, ConnectionRefusedError) as error:
            start = f". Start it with: {self._start}" if self.is_here else f"; {API_TOKEN} names that"
            raise Unreachable(f"no control plane runs {self._where}{start}") from error
        except PermissionError as error:
            raise Unreachable(f"{error.filename or self._data} belongs to another user; see --data") from error
        except TimeoutError as error:
            message = f"the control plane {self._where} has not answered for {within:.0f} s; is it stopped?"
            raise Unreachable(message) from error
        except (OSError, HTTPException) as error:
            message = f"the control plane {self._where} broke off ({error or type(error).__name__}); try again"
            raise Unreachable(message) from error

    def _connection(self, within: float) -> HTTPConnection:
        if self._token is None or not self._token.addresses:
            return _UnixConnection(self._data / API_SOCKET, within)
        return TlsConnection(self._token, within)

    @property
    def is_here(self) -> bool:
        """Whether it is one of this machine, as far as is known."""
        return self._token is None or not self._token.addresses

    @property
    def _where(self) -> str:
        return f"on {self._data}" if self._token is None or self.is_here else f"at {self._token.addresses[0]}"

    def _secret(self) -> str:
        try:
            return (self._data / SECRET).read_text(encoding="ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError) as error:
            message = f"{self._data / SECRET} is missing or damaged; restart the control plane"
            raise Failed(message) from error

    @property
    def _start(self) -> str:
        return "tulle up" if self._data == data_folder() else f"tulle up --data {shlex.quote(str(self._data))}"


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path, within: float) -> None:
        super().__init__("localhost", timeout=within)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with short_path(self._path) as path:
            self.sock.connect(path)


def _token(text: str) -> ApiToken:
    """Raises Mistakes."""
    try:
        return decode(text)
    except NoApiToken as error:
        raise Mistakes([f"{API_TOKEN}: {error}; `tulle user create` prints one"]) from error


def _decoded(content: bytes, view: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=view)
    except msgspec.MsgspecError as error:
        raise Failed(f"the control plane is of another version of tulle; restart it ({error})") from error


def _with(path: str, query: Query) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _error(status: int, body: bytes) -> str:
    try:
        return harmless(str(json.loads(body)["error"]))  # which agents may have a word in
    except (ValueError, KeyError, TypeError):
        return f"the control plane answered with HTTP status {status}"
