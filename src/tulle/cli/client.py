"""The control plane as the commands see it: HTTP over the Unix socket in the data folder."""

from __future__ import annotations

import json
import shlex
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TypeVar

import msgspec

from tulle.aio.unix import short_path
from tulle.cli.exits import Failed, Unreachable
from tulle.config import API_SOCKET, SECRET, data_folder

_ANSWER_WITHIN = 10.0

T = TypeVar("T")


class Refused(Failed):
    """The control plane answered, and not with what was asked for."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ControlPlane:
    """The one whose data folder this is. Each call is a connection of its own. Raises Unreachable, Refused."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def get(self, path: str, view: type[T]) -> T:
        return self._ask("GET", path, view)

    def delete(self, path: str, view: type[T]) -> T:
        return self._ask("DELETE", path, view)

    def post(self, path: str, view: type[T], within: float) -> T:
        """within: how many seconds it may take until there is an answer."""
        return self._ask("POST", path, view, within + _ANSWER_WITHIN)

    def _ask(self, method: str, path: str, view: type[T], within: float = _ANSWER_WITHIN) -> T:
        connection = _UnixConnection(self._data / API_SOCKET, within)
        try:
            connection.connect()
            connection.request(method, path, headers={"Authorization": f"Bearer {self._secret()}"})
            response = connection.getresponse()
            status, body = response.status, response.read()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise Unreachable(f"no control plane runs on {self._data}. Start it with: {self._start}") from error
        except PermissionError as error:
            raise Unreachable(f"{error.filename or self._data} belongs to another user; see --data") from error
        except TimeoutError as error:
            message = f"the control plane on {self._data} has not answered for {within:.0f} s; is it stopped?"
            raise Unreachable(message) from error
        except (OSError, HTTPException) as error:
            message = f"the control plane on {self._data} broke off ({error or type(error).__name__}); try again"
            raise Unreachable(message) from error
        finally:
            connection.close()
        if status != 200:
            raise Refused(_error(status, body), status)
        try:
            return msgspec.json.decode(body, type=view)
        except msgspec.MsgspecError as error:
            raise Failed(f"the control plane is of another version of tulle; restart it ({error})") from error

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


def _error(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the control plane answered with HTTP status {status}"
