"""Single requests for people: each in a line, and each of its headers in one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import click
from msgspec import UNSET
from msgspec.structs import replace

from tulle.api.call_views import CalledView
from tulle.cli.printing import printable


def line(call: CalledView) -> str:
    """`06:26:56.123  shop/web -> shop/api  POST /charge  503 UF  38 ms  mTLS  trace=1de90b25`."""
    when = time.strftime("%H:%M:%S", time.localtime(call.time)) + f".{int(call.time * 1000) % 1000:03d}"
    said = [str(call.status or "no answer"), *(filter(None, (call.grpc and f"grpc {call.grpc}", call.flags)))]
    status = click.style(printable(" ".join(said)), fg=_colour(call))
    words = [
        when,
        printable(f"{_short(call.source)} -> {_short(call.destination)}"),
        printable(f"{call.method} {call.path}"),
        status,
        f"{call.duration_ms} ms",
        "mTLS" if call.mtls else "plain" if call.upstream or call.side == "destination" else "not sent",
    ]
    if call.attempts > 1:
        words.append(f"attempts={call.attempts}")
    for name, value in (("trace", call.trace[:16]), ("id", call.request_id)):
        if value:
            words.append(printable(f"{name}={value}"))
    return "  ".join(words)


def each_once(calls: Iterable[CalledView]) -> Iterator[CalledView]:
    """A request that has two ends in the mesh only as its server saw it."""
    lost = 0
    for call in calls:
        lost += call.lost
        if call.side == "destination" or not call.mtls:
            yield replace(call, lost=lost)
            lost = 0


def header_lines(call: CalledView) -> Iterator[str]:
    """`    > accept: */*`, of the answer and its trailers with `<`; none if they were not asked for."""
    for sign, headers in ((">", call.request_headers), ("<", call.response_headers), ("<", call.response_trailers)):
        for name, value in headers.items() if headers is not UNSET else ():
            yield f"    {click.style(sign, dim=True)} {printable(name)}: {printable(value)}"


def _short(name: str) -> str:
    return name.removeprefix("default/")


def _colour(call: CalledView) -> str | None:
    if call.status >= 500 or call.status == 0 or call.grpc not in ("", "0"):
        return "red"
    return "yellow" if call.status >= 400 else "green"
