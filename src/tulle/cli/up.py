"""`tulle up`: the control plane, until it is stopped."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, cast

import click

from tulle.cli import ca_files, options
from tulle.cli.durations import seconds
from tulle.cli.exits import Mistakes
from tulle.config import DEFAULT_AGENT_PORT, MIN_CERT_TTL, OFF, JwtIssuer, LogFormat, Settings
from tulle.model.addresses import LOOPBACK
from tulle.model.ip import port_of
from tulle.model.names import label_problem


@click.command("up")
@options.data
@click.option(
    "--xds-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="The port on which sidecars get their configuration: the last one used, at first any free one.",
)
@click.option(
    "--web-port",
    callback=lambda ctx, param, value: None if value is None else _web_port(value),
    metavar="PORT|off",
    help="The port of the dashboard, on loopback: the last one used, at first any free one. With off there is none.",
)
@click.option(
    "--listen",
    callback=lambda ctx, param, value: None if value is None else _address(value),
    metavar="ADDRESS[:PORT]",
    help="Let agents on other machines enrol there, by join token or JWT.  [default: nothing listens beyond loopback; "
    f"PORT: {DEFAULT_AGENT_PORT}]",
)
@click.option("--jwt-issuer", metavar="URL", help="Let agents enrol by JWTs of this OIDC issuer.")
@click.option("--jwt-audience", metavar="TEXT", help="For whom such a JWT must be made out.")
@click.option(
    "--jwt-jwks",
    metavar="FILE|URL",
    help="Where the issuer's keys are.  [default: where its discovery document says]",
)
@click.option(
    "--jwt-ca", metavar="FILE", help="The roots of the issuer's own certificate.  [default: the system's roots]"
)
@click.option(
    "--jwt-map",
    "jwt_maps",
    multiple=True,
    metavar="SUBJECT=NAMESPACE/SERVICE[/ACCOUNT]",
    help="What a subject may enrol as; may be repeated.",
)
@click.option(
    "--cert-ttl",
    callback=lambda ctx, param, value: _duration(value, MIN_CERT_TTL),
    metavar="DURATION",
    envvar="TULLE_CERT_TTL",
    show_envvar=True,
    default="1h",
    show_default=True,
    help="How long a certificate lives; agents renew theirs before half of it has passed.",
)
@ca_files.ca_files
@click.option(
    "--jwks-allow",
    callback=lambda ctx, param, value: _jwks_allow(value),
    metavar="HOST|CIDR",
    multiple=True,
    help="Fetch keys of token issuers (RequestAuthentication) also from there; otherwise only from public addresses.",
)
@click.option(
    "--jwks-refresh",
    callback=lambda ctx, param, value: _duration(value, 1.0),
    metavar="DURATION",
    default="20m",
    show_default=True,
    help="After how long these keys are fetched again.",
)
@click.option(
    "--trace-sampling",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    default=1.0,
    show_default=True,
    help="Of the traces that begin in the mesh, how many are recorded, unless a Telemetry or MeshConfig says it.",
)
@click.option(
    "--trace-b3",
    is_flag=True,
    help="Have sidecars heed B3 headers (b3, x-b3-*) where no traceparent comes; it costs CPU in each call.",
)
@click.option(
    "--trace-forward",
    callback=lambda ctx, param, value: _endpoint(value),
    metavar="URL",
    help="Send all spans on to this OTLP endpoint as well, by HTTP; $OTEL_EXPORTER_OTLP_HEADERS goes with them.",
)
@click.option(
    "--otlp",
    callback=lambda ctx, param, value: None if value is None else _otlp(value),
    metavar="[ADDRESS:]PORT",
    help="Take spans of other programs there, by OTLP over gRPC; from whoever can reach it.  [default: nowhere; "
    "ADDRESS: 127.0.0.1]",
)
@options.log_format
def command(
    data: Path,
    xds_port: int | None,
    web_port: int | Literal["off"] | None,
    listen: tuple[str, int] | None,
    cert_ttl: float,
    jwks_allow: tuple[str, ...],
    jwks_refresh: float,
    trace_sampling: float,
    trace_b3: bool,
    trace_forward: str,
    otlp: tuple[str, int] | None,
    log_format: str,
    **given: Any,
) -> None:
    """Start the control plane.

    It runs until Ctrl-C or SIGTERM, and keeps what it must remember in the state folder. Stopping it stops no program
    and no call between services; start it again whenever you like.

    With --listen programs on other machines join the mesh: `tulle token create` makes what they need. Kubernetes' service
    account tokens do as well: system:serviceaccount:NS:SA enrols as service SA in namespace NS, unless --jwt-map says more.

    \b
    Examples:
      tulle up
      tulle up --data ./mesh --log-format json
      tulle up --ca-dir ./cacerts
      tulle up --listen 10.0.0.1
      tulle up --listen 10.0.0.1 --jwt-issuer https://oidc.example.com --jwt-audience tulle
    """
    gc.disable()  # what is imported stays: to look through it all the while takes an eighth of the start
    from tulle.control_plane import main

    gc.freeze()
    gc.enable()
    settings = Settings(
        data=data,
        xds_port=xds_port,
        web_port=web_port,
        log_format=cast(LogFormat, log_format),
        cert_ttl=cert_ttl,
        ca=ca_files.given(**{name: given.pop(name) for name in ca_files.NAMES}),
        listen=listen,
        jwt=issuer_of(listen=listen, **given),
        jwks_allow=jwks_allow,
        jwks_refresh=jwks_refresh,
        trace_sampling=trace_sampling,
        trace_b3=trace_b3,
        trace_forward=trace_forward,
        otlp=otlp,
    )
    sys.exit(main(settings))


def issuer_of(
    *,
    listen: tuple[str, int] | None,
    jwt_issuer: str | None,
    jwt_audience: str | None,
    jwt_jwks: str | None,
    jwt_ca: str | None,
    jwt_maps: Sequence[str],
) -> JwtIssuer | None:
    """Raises Mistakes with all that is wrong with these options."""
    if not any((jwt_issuer, jwt_audience, jwt_jwks, jwt_ca, jwt_maps)):
        return None
    from tulle.identity.issuer import url_problem

    mistakes: list[str] = []
    if not jwt_issuer or not jwt_audience:
        mistakes.append("JWTs need both: --jwt-issuer URL and --jwt-audience TEXT")
    if listen is None:
        mistakes.append(
            "--jwt-issuer needs --listen ADDRESS: agents of this machine enrol by the state folder's secret"
        )
    for option, value in (("--jwt-issuer", jwt_issuer), ("--jwt-jwks", jwt_jwks)):
        # An issuer's name is looked up only where nothing else says where its keys are.
        if (
            value
            and (jwt_jwks is None if option == "--jwt-issuer" else "://" in value)
            and (problem := url_problem(value))
        ):
            mistakes.append(f"{option} {value}: {problem}")
    for option, value in (("--jwt-jwks", jwt_jwks), ("--jwt-ca", jwt_ca)):
        if value and "://" not in value and not Path(value).is_file():
            mistakes.append(f"{option} {value}: there is no such file")
    mapping = {}
    for text in jwt_maps:
        try:
            subject, become = _mapped(text)
        except ValueError as error:
            mistakes.append(str(error))
            continue
        if subject in mapping:
            mistakes.append(f"--jwt-map {subject} is given twice")
        mapping[subject] = become
    if mistakes:
        raise Mistakes(mistakes)
    return JwtIssuer(
        jwt_issuer or "",
        jwt_audience or "",
        str(Path(jwt_jwks).absolute()) if jwt_jwks and "://" not in jwt_jwks else jwt_jwks or "",
        str(Path(jwt_ca).absolute()) if jwt_ca else "",
        tuple(mapping.items()),
    )


def _mapped(text: str) -> tuple[str, tuple[str, str, str]]:
    """Raises ValueError. A subject may have = in it, a name can't."""
    subject, equals, become = text.rpartition("=")
    names = become.split("/")
    if not (equals and subject and 2 <= len(names) <= 3):
        raise ValueError(f"--jwt-map {text}: write SUBJECT=NAMESPACE/SERVICE or SUBJECT=NAMESPACE/SERVICE/ACCOUNT")
    whole = (names[0], names[1], names[-1])
    for what, name in zip(("namespace", "service name", "service account"), whole, strict=True):
        if problem := label_problem(what, name):
            raise ValueError(f"--jwt-map {text}: {problem}")
    return subject, whole


def _address(text: str) -> tuple[str, int]:
    """`10.0.0.1`, `10.0.0.1:7443`, `::1`, `[::1]:7443`."""
    host, port = text, str(DEFAULT_AGENT_PORT)
    if text.startswith("[") and "]" in text:
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") if rest.startswith(":") else rest or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        found = ip_address(host)
    except ValueError as error:
        raise click.BadParameter(f"{host!r} is no IP address of this machine") from error
    number = port_of(port)
    if number is None:
        raise click.BadParameter(f"{port!r} is no port: use 1 to 65535")
    if found.is_multicast or "%" in host:
        raise click.BadParameter(f"{host} is no address that can be listened on")
    return str(found), number


def _web_port(text: str) -> int | Literal["off"]:
    if text == OFF:
        return OFF
    number = port_of(text)
    if number is None:
        raise click.BadParameter(f"{text!r} is no port: use 1 to 65535, or off")
    return number


def _otlp(text: str) -> tuple[str, int]:
    """`4317`, `10.0.0.1:4317`, `[::1]:4317`."""
    address, colon, port = text.rpartition(":")
    return _address(f"{address if colon else LOOPBACK}:{port}")


def _endpoint(url: str | None) -> str:
    if url:
        from tulle.telemetry.traces.onward import BadEndpoint, Endpoint

        try:
            Endpoint(url)
        except BadEndpoint as error:
            raise click.BadParameter(str(error)) from error
    return url or ""


def _duration(text: str, least: float) -> float:
    try:
        duration = seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if duration < least:
        raise click.BadParameter(f"{text} is too short: the least is {least:g}s")
    return duration


def _jwks_allow(words: tuple[str, ...]) -> tuple[str, ...]:
    if words:
        from tulle.control_plane.key_sets.addresses import allowed

        try:
            allowed(words)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return words
