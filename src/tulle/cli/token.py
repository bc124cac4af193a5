"""`tulle token`: what lets programs on other machines join the mesh."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from tulle.api.identity_views import MadeTokenView, TokenView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.durations import seconds
from tulle.cli.exits import Mistakes
from tulle.cli.printing import print_json, print_table
from tulle.model.names import label_problem

_WITHIN = 10.0


@click.command("token")
@click.argument("action", type=click.Choice(["create", "list", "revoke"]))
@click.argument("id", required=False)
@click.option("--service", metavar="NAME", help="With create: the service that its holder may enrol as.")
@click.option(
    "-n",
    "--namespace",
    metavar="NAME",
    default="default",
    show_default=True,
    help="With create: that service's namespace.",
)
@click.option(
    "--service-account", metavar="NAME", help="With create: whom certificates name.  [default: the service's name]"
)
@click.option(
    "--ttl",
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="With create: how long it may be used to enrol. Who has enrolled stays.",
)
@click.option(
    "--uses",
    type=click.IntRange(1, 1_000_000),
    default=1,
    show_default=True,
    help="With create: how many agents may enrol by it; each start of `tulle run` is one.",
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="With create: where agents reach the control plane; may be repeated.  [default: where it listens]",
)
@click.option(
    "--jwt",
    is_flag=True,
    help="With create: only where the control plane is and its fingerprint, no secret; agents prove themselves by a JWT.",
)
@options.output
@options.data
def command(action: str, id: str | None, output: str, data: Path, **wanted: Any) -> None:
    """Make, list or revoke join tokens.

    By these programs on other machines join the mesh. `create` prints the token, which is kept nowhere: give it to
    `tulle run --join-file FILE`, or in the environment variable TULLE_JOIN. It holds the control plane's address, the
    fingerprint of its root certificate, and a secret. `revoke` keeps others from enrolling by it; whoever has enrolled
    stays in the mesh.

    \b
    Examples:
      tulle token create --service service-b
      tulle token create --service web -n shop --ttl 24h --uses 10
      tulle token list
      tulle token revoke 3fa2c19b07
    """
    control_plane = ControlPlane(data)
    if (action == "revoke") != (id is not None):
        raise Mistakes(["say which token: tulle token revoke ID" if action == "revoke" else f"{action} takes no ID"])
    _refuse_unused(action)
    if action == "create":
        _create(control_plane, output, **wanted)
    elif action == "list":
        _list(control_plane.get("/v1/tokens", list[TokenView]), output)
    else:
        done = control_plane.delete(f"/v1/tokens/{_id(str(id))}", dict[str, str])
        if output == "json":
            print_json(done)
        else:
            click.echo(f"revoked {done['revoked']}; who has enrolled by it stays in the mesh")


def _refuse_unused(action: str) -> None:
    """Raises Mistakes: an option of `create` would be ignored elsewhere."""
    context = click.get_current_context()
    given = [
        parameter.opts[-1]
        for parameter in context.command.params
        if str(parameter.name) not in ("action", "id", "output", "data")
        and context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    if given and action != "create":
        raise Mistakes([f"{', '.join(given)}: {action} takes none of the options of create"])


def _create(
    control_plane: ControlPlane,
    output: str,
    *,
    service: str | None,
    namespace: str,
    service_account: str | None,
    ttl: str,
    uses: int,
    addresses: Sequence[str],
    jwt: bool,
) -> None:
    if not service and not jwt:
        raise Mistakes(["say what its holder may become: --service NAME"])
    if jwt and (service or service_account):
        raise Mistakes(["--jwt and --service contradict each other: what an agent may become, its JWT says"])
    names = (("service name", service), ("namespace", namespace), ("service account", service_account))
    mistakes = [problem for what, name in names if name is not None and (problem := label_problem(what, name))]
    try:
        lifetime = seconds(ttl)
    except ValueError as error:
        mistakes.append(f"--ttl: {error}")
    if mistakes:
        raise Mistakes(mistakes)
    wanted = {
        "namespace": namespace,
        "service": service or "",
        "service_account": service_account or "",
        "ttl": lifetime,
        "uses": uses,
        "addresses": list(addresses),
        "jwt": jwt,
    }
    made = control_plane.post("/v1/tokens", MadeTokenView, _WITHIN, msgspec.json.encode(wanted))
    if output == "json":
        print_json(made)
        return
    click.echo(made.token)
    if made.about:
        about = made.about
        click.echo(
            f"token {about.id}: {about.uses} enrolment{'s' if about.uses > 1 else ''} as {about.service}.{about.namespace}, "
            f"until {_moment(about.expires)}; it is a secret, and shown only now",
            err=True,
        )


def _list(tokens: list[TokenView], output: str) -> None:
    if output == "json":
        print_json(tokens)
        return
    rows = [
        (
            token.id,
            token.service,
            token.namespace,
            token.service_account,
            f"{token.used}/{token.uses}",
            _moment(token.expires) + (" (expired)" if token.expires <= time.time() else ""),
        )
        for token in tokens
    ]
    print_table(("ID", "SERVICE", "NAMESPACE", "ACCOUNT", "USED", "UNTIL"), rows)


def _id(text: str) -> str:
    if not (text.isascii() and text.isalnum()):
        raise Mistakes([f"{text!r} is no token's id; `tulle token list` shows them"])
    return text


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
