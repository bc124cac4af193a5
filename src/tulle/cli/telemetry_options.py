"""The options of `tulle run` that say what is told of a program's calls."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, TypeVar

import click

from tulle.model.addresses import LOOPBACK
from tulle.model.ip import port_of

F = TypeVar("F", bound=Callable[..., Any])

OFF = "off"
ANY_PORT = "0"
_SCRAPE = re.compile(r"(\d{1,5})?(/[!-~]*)")


def trace(command: F) -> F:
    return click.option(
        "--trace/--no-trace",
        help="Have a Python program pass on the context of the trace that it is called in; no change of it is needed.  "
        "[default: --no-trace; with `tulle dev` --trace]",
    )(command)


def metrics(command: F) -> F:
    """`--metrics` and `--scrape`, as texts; `agent_metrics` and `scraped` read them."""
    for option in (
        click.option(
            "--scrape",
            metavar="[PORT]/PATH",
            help="Serve the program's own metrics with the sidecar's; PORT is its first one by default.",
        ),
        click.option(
            "--metrics",
            metavar="[ADDRESS:]PORT|off",
            default=ANY_PORT,
            help="Where to serve /metrics for Prometheus.  [default: on loopback, any free port]",
        ),
    ):
        command = option(command)
    return command


def agent_metrics(text: str) -> str:
    """`host:port`, "" for off. Raises ValueError with a sentence for the user."""
    if text == OFF:
        return ""
    address, colon, port = text.rpartition(":")
    if not colon:
        address = LOOPBACK
    elif address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    elif ":" in address:
        raise ValueError(f"--metrics {text}: write an IPv6 address in brackets: [::1]:9464")
    number = 0 if port == ANY_PORT else port_of(port)
    if number is None:
        raise ValueError(f"--metrics {text}: write [ADDRESS:]PORT, with a port of 1 to 65535 or 0 for any, or {OFF}")
    try:
        host = ip_address(address)
    except ValueError:
        raise ValueError(f"--metrics {text}: {address!r} is no IP address") from None
    return f"[{host}]:{number}" if host.version == 6 else f"{host}:{number}"


def scraped(text: str) -> str:
    """The same, checked. Raises ValueError with a sentence for the user."""
    found = _SCRAPE.fullmatch(text)
    if found is None or not 1 <= int(found[1] or 1) <= 65535:
        raise ValueError(
            f"--scrape {text}: write a path, such as /metrics, with a port before it if need be: 9102/metrics"
        )
    return text
