"""`tulle authz check FROM TO [METHOD PATH]`: whether a call would be allowed, by which rule, and what was compared."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from tulle.api.access_views import AnswerView, CallView, CheckView
from tulle.cli import options
from tulle.cli.access.printing import judged, placed, policy_head, verdict_word
from tulle.cli.client import ControlPlane, Refused
from tulle.cli.exits import FAILED, Mistakes
from tulle.cli.printing import print_json, printable
from tulle.model.ip import is_address, port_of
from tulle.model.names import DEFAULT_NAMESPACE

_WITHIN = 10.0
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@click.command("check")
@click.argument("caller", metavar="FROM")
@click.argument("service", metavar="TO")
@click.argument("method", default="GET")
@click.argument("path", default="/")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header of the call; may be repeated."
)
@click.option("--port", type=click.IntRange(1, 65535), help="The service's port.  [default: 80, or the only one]")
@click.option("--host", metavar="HOST", default="", help="The call's Host.  [default: the service's name]")
@click.option("--claims", metavar="JSON", help="What the call's token claims; the token is taken for good.")
@click.option("--token", metavar="JWT", help="The same from a token, of which neither signature nor times are checked.")
@click.option(
    "--source-ip", metavar="ADDRESS", default="", help="Where the call comes from.  [default: the caller's own]"
)
@options.in_namespace
@options.output
@options.data
def command(
    caller: str,
    service: str,
    method: str,
    path: str,
    headers: tuple[str, ...],
    port: int | None,
    host: str,
    claims: str | None,
    token: str | None,
    source_ip: str,
    namespace: str | None,
    output: str,
    data: Path,
) -> None:
    """Say whether a call would be allowed, and why.

    FROM is a service, a SPIFFE id, or - for a caller without mutual TLS; TO is a service, with or without a port. The answer
    comes from the configuration in force: by which document and rule, and what each rule compared. The exit code is 0 for
    allowed, 1 for denied, and 2 if there is no such service.

    \b
    Examples:
      tulle authz check web reviews
      tulle authz check shop/web reviews:9080 POST /orders -H 'x-role: admin'
      tulle authz check - reviews
      tulle authz check web reviews GET /me --claims '{"iss": "https://issuer.example", "sub": "alice"}'
    """
    to, number = with_port(service, port)
    call = CallView(
        caller=caller,
        service=to,
        namespace=namespace or DEFAULT_NAMESPACE,
        port=number or 0,
        method=_method(method),
        path=_path(path),
        host=host,
        headers=[header(text) for text in headers],
        claims=_claims(claims, token),
        source_ip=_address(source_ip),
    )
    body = msgspec.json.encode(call)
    try:
        checked = ControlPlane(data).post("/v1/authz/check", CheckView, _WITHIN, body)
    except Refused as error:
        if error.status in (400, 404):
            raise Mistakes([error.message]) from error
        raise
    if output == "json":
        print_json(checked)
    else:
        _print(call, checked)
    if not checked.allowed:
        sys.exit(FAILED)


def _print(call: CallView, checked: CheckView) -> None:
    by = checked.principal or "a caller without mutual TLS"
    for number, answer in enumerate(checked.answers):
        if number:
            click.echo()
        asked = f"{call.method} {call.path} of {checked.service}:{checked.port} by {by}"
        click.echo(f"{verdict_word(answer.allowed)}: {printable(asked)}")
        for line in _facts(answer, several=len(checked.answers) > 1):
            click.echo(f"  {line}")
        for policy in answer.policies:
            click.echo(policy_head(policy))
            for rule in policy.rules:
                for line in judged(rule):
                    click.echo(line)
            if not policy.rules:
                click.echo("  it has no rules, so that it fits nothing")


def _facts(answer: AnswerView, *, several: bool) -> list[str]:
    facts = [f"by {placed(answer.by)}" if answer.by else printable(answer.reason)]
    if several:
        facts.append(printable(f"at {', '.join(answer.proxies)}"))
    facts.append(f"mutual TLS: {answer.mutual_tls}")
    facts += [printable(f"also asks {provider}, which may refuse it") for provider in answer.asks]
    if answer.would_deny:
        facts.append(f"{click.style('the dry runs would deny it', fg='yellow')}: {placed(answer.would_deny)}")
    facts += [printable(note) for note in answer.notes]
    if answer.pending:
        warning = printable(f"not in force yet on {', '.join(answer.pending)}")
        facts.append(click.style(warning, fg="yellow"))
    return facts


def with_port(text: str, port: int | None) -> tuple[str, int | None]:
    """A service, and the port that is written with it."""
    name, colon, written = text.rpartition(":")
    if not colon:
        return text, port
    number = port_of(written)
    if number is None:
        raise Mistakes([f"{text!r}: ports go from 1 to 65535"])
    if port is not None and port != number:
        raise Mistakes([f"--port {port} contradicts {text}"])
    return name, number


def _method(text: str) -> str:
    if text not in _METHODS:
        hint = f"; did you mean {text.upper()}?" if text.upper() in _METHODS else ""
        raise Mistakes([f"{text!r} is none of the methods {', '.join(_METHODS)}{hint}"])
    return text


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise Mistakes([f"the path {text!r} does not begin with /"])
    return text


def header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name or name != name.strip():
        raise Mistakes([f"-H {text!r}: write NAME:VALUE"])
    return name, value.strip()


def _address(text: str) -> str:
    if text and not is_address(text):
        raise Mistakes([f"--source-ip {text!r} is no IP address"])
    return text


def _claims(claims: str | None, token: str | None) -> dict[str, Any] | None:
    """A token itself is sent to nobody."""
    if claims is not None and token is not None:
        raise Mistakes(["--claims and --token contradict each other"])
    if claims is not None:
        return _object("--claims", claims)
    if token is None:
        return None
    parts = token.split(".")
    try:
        payload = base64.urlsafe_b64decode(f"{parts[1]}{'=' * (-len(parts[1]) % 4)}").decode()
    except (IndexError, ValueError) as error:
        raise Mistakes(["--token: this is no JWT"]) from error
    return _object("--token", payload)


def _object(option: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Mistakes([f"{option}: this is no JSON: {error}"]) from error
    if not isinstance(found, dict):
        raise Mistakes([f"{option}: claims are an object of JSON"])
    return found
