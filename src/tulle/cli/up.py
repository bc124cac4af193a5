"""`tulle up`: the control plane, until it is stopped."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import click

from tulle.cli import ca_files, options
from tulle.cli.durations import seconds
from tulle.config import MIN_CERT_TTL, LogFormat, Settings


@click.command("up")
@options.data
@click.option(
    "--xds-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="The loopback port on which sidecars get their configuration: the last one used, at first any free one.",
)
@click.option(
    "--cert-ttl",
    callback=lambda ctx, param, value: _cert_ttl(value),
    metavar="DURATION",
    envvar="TULLE_CERT_TTL",
    show_envvar=True,
    default="1h",
    show_default=True,
    help="How long a certificate lives; agents renew theirs before half of it has passed.",
)
@ca_files.ca_files
@options.log_format
def command(data: Path, xds_port: int | None, cert_ttl: float, log_format: str, **ca: Path | None) -> None:
    """Start the control plane.

    It runs until Ctrl-C or SIGTERM, and keeps what it must remember in the state folder. Stopping it stops no program
    and no call between services; start it again whenever you like.

    \b
    Examples:
      tulle up
      tulle up --data ./mesh --log-format json
      tulle up --ca-dir ./cacerts
    """
    from tulle.control_plane import main

    settings = Settings(
        data=data,
        xds_port=xds_port,
        log_format=cast(LogFormat, log_format),
        cert_ttl=cert_ttl,
        ca=ca_files.given(**ca),
    )
    sys.exit(main(settings))


def _cert_ttl(text: str) -> float:
    try:
        ttl = seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if ttl < MIN_CERT_TTL:
        raise click.BadParameter(f"{text} is too short: the least is {MIN_CERT_TTL:g}s")
    return ttl
