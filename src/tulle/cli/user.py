"""`tulle user`: who may ask the control plane beside those who own its state folder."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from tulle.api.identity_views import MadeUserView, UserView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.durations import seconds
from tulle.cli.exits import Mistakes
from tulle.cli.printing import ago, print_json, print_table
from tulle.model.names import label_problem

_WITHIN = 10.0


@click.command("user")
@click.argument("action", type=click.Choice(["create", "list", "revoke"]))
@click.argument("name", required=False)
@click.option(
    "--role",
    type=click.Choice(["viewer", "admin"]),
    help="With create: viewer may see the mesh, admin may also change it, and see tokens and the audit log.  [required]",
)
@click.option(
    "--ttl",
    metavar="DURATION",
    default="720h",
    show_default=True,
    help="With create: how long the token is good, at most 8784h.",
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST:PORT",
    help="With create: where its owner reaches the control plane; may be repeated.  [default: where it listens]",
)
@options.output
@options.data
def command(
    action: str, name: str | None, role: str | None, ttl: str, addresses: tuple[str, ...], output: str, data: Path
) -> None:
    """Make, list or revoke tokens of people.

    `create` prints a token, which is kept nowhere. Whoever has it in the environment variable TULLE_API asks by it, in that
    role and under that name, which the audit log notes. Where the control plane listens for other machines (tulle up --listen),
    that works there too. `revoke` ends it at once.

    \b
    Examples:
      tulle user create dashboard --role viewer --ttl 8760h
      TULLE_API=$(cat token) tulle services
      tulle user list
      tulle user revoke dashboard
    """
    _check(action, name, role)
    control_plane = ControlPlane(data)
    if action == "create":
        _create(control_plane, str(name), str(role), ttl, addresses, output)
    elif action == "list":
        _list(control_plane.get("/v1/users", list[UserView]), output)
    else:
        done = control_plane.delete(f"/v1/users/{name}", dict[str, str])
        if output == "json":
            print_json(done)
        else:
            click.echo(f"the token of {done['revoked']} is worth nothing any more")


def _check(action: str, name: str | None, role: str | None) -> None:
    """Raises Mistakes."""
    mistakes = []
    if (action == "list") != (name is None):
        mistakes.append("list takes no NAME" if name else f"say whom: tulle user {action} NAME")
    elif name is not None and (problem := label_problem("user", name)):
        mistakes.append(problem)
    if (action == "create") != (role is not None):
        mistakes.append(f"{action} takes no --role" if role else "say what they may do: --role viewer, or --role admin")
    if mistakes:
        raise Mistakes(mistakes)


def _create(
    control_plane: ControlPlane, name: str, role: str, ttl: str, addresses: tuple[str, ...], output: str
) -> None:
    try:
        lifetime = seconds(ttl)
    except ValueError as error:
        raise Mistakes([f"--ttl: {error}"]) from error
    wanted = msgspec.json.encode({"name": name, "role": role, "ttl": lifetime, "addresses": addresses})
    made = control_plane.post("/v1/users", MadeUserView, _WITHIN, wanted)
    if output == "json":
        print_json(made)
        return
    click.echo(made.token)
    until = _moment(made.user.expires)
    click.echo(f"{made.user.role} {made.user.name}, until {until}; it is a secret, and shown only now", err=True)


def _list(users: list[UserView], output: str) -> None:
    if output == "json":
        print_json(users)
        return
    now = time.time()
    rows = [
        (
            user.name,
            user.role,
            ago(user.created),
            _moment(user.expires) + (" (expired)" if user.expires <= now else ""),
            ago(user.last_used),
        )
        for user in users
    ]
    print_table(("NAME", "ROLE", "AGE", "UNTIL", "USED"), rows)


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
