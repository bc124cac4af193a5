"""Tries the way into the mesh before the program goes it: from the libc's resolver to the sidecar's own answer.

Runs in a child that the reaper has forked, with the launch hook of the mode behind it, in the program's environment.
Forked is enough: glibc reads resolv.conf and nsswitch.conf at a process's first question, and the reaper never asks
one. What a program does that brings its own resolver is not seen here.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from tulle.model.addresses import CANARY_HOST, CANARY_VIP, LOOPBACK

_PORT = 80
_ENOUGH = 65536


def sing(plan: str, seconds: float, report: int, enter: Callable[[], None]) -> None:
    """Writes to the pipe `report`: a line for each step that it begins, and at last `ok` or what is wrong.

    plan: JSON; "proxy", the sidecar's id, is what it must answer, and in the mode "proxy" it is asked at the port
    "outbound". enter: the hook of the mode. The process ends here, after so many seconds by SIGALRM, wherever it is:
    getaddrinfo(3) has no time-out.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)

    def say(text: str) -> None:
        os.write(report, text.encode() + b"\n")

    try:
        say("the start of the check")
        enter()
        values = json.loads(plan)
        result = (_through_proxy if values["mode"] == "proxy" else _captured)(values, say)
    except OSError as error:
        result = f"the check can't be done: {error}"
    say(result.replace("\n", " "))
    os._exit(0)


def _captured(plan: dict[str, Any], say: Callable[[str], None]) -> str:
    say(f"the look-up of {CANARY_HOST}")
    try:
        found = socket.getaddrinfo(CANARY_HOST.encode(), _PORT, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return f"{CANARY_HOST} is not found: {error.strerror}"
    addresses = sorted({str(entry[4][0]) for entry in found})
    if addresses != [CANARY_VIP]:
        return f"{CANARY_HOST} is {', '.join(addresses)} to the program, not {CANARY_VIP}"
    return _get((CANARY_VIP, _PORT), "/", plan["proxy"], say)


def _through_proxy(plan: dict[str, Any], say: Callable[[str], None]) -> str:
    return _get((LOOPBACK, plan["outbound"]), f"http://{CANARY_HOST}/", plan["proxy"], say)


def _get(address: tuple[str, int], target: str, expected: str, say: Callable[[str], None]) -> str:
    """`ok` if the sidecar itself answers."""
    place = f"{address[0]}:{address[1]}"
    say(f"the connection to {place}")
    try:
        with socket.create_connection(address) as connection:
            say(f"the request to {place}")
            request = f"GET {target} HTTP/1.1\r\nHost: {CANARY_HOST}\r\nUser-Agent: tulle\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            answer = b""
            # Not until it is closed: for that Envoy waits a second for us (delayed_close_timeout).
            while len(answer) < _ENOUGH and not _is_whole(answer) and (part := connection.recv(4096)):
                answer += part
    except OSError as error:
        return f"{place} does not answer: {error.strerror or error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0].decode(errors="replace")
    if status.split(" ")[1:2] != ["200"]:
        return f"{place} answers {status!r}, not 200"
    if body.strip() != expected.encode():
        return f"{place} is answered by {body[:80].decode(errors='replace').strip()!r}, not by {expected}"
    return "ok"


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0].strip()
    return bool(end) and length.isdigit() and len(body) >= int(length)
