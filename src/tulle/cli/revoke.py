"""`tulle revoke`: throws out of the mesh whose key was lost, within seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from tulle.api.identity_views import RevocationView, RevokedView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Mistakes
from tulle.cli.printing import print_json, print_table, printable

_WITHIN = 30.0


@click.command("revoke")
@click.argument("target", required=False)
@click.option("--reason", metavar="TEXT", default="", help="Why; its agent, the list and the audit log tell.")
@click.option("--undo", is_flag=True, help="Take it back.")
@click.option("--list", "listed", is_flag=True, help="Show who is revoked.")
@click.option("-n", "--namespace", metavar="NAME", help="Only if TARGET is in this namespace.  [default: any]")
@options.output
@options.data
def command(
    target: str | None, reason: str, undo: bool, listed: bool, namespace: str | None, output: str, data: Path
) -> None:
    """Throw a workload out of the mesh.

    TARGET is an instance by its id, or all instances that a SERVICE or SERVICE.NAMESPACE has now, or a service account,
    as ns/NAMESPACE/sa/NAME or as its SPIFFE id: all that are enrolled with it, and nobody enrols with it any more until
    that is undone. What they hold proves nothing from then on: the control plane ends their sessions, no certificate is
    renewed, new connections with theirs are refused, and requests on open ones are denied. Their agents end with their
    programs.

    A new instance of the service is welcome: it has new keys. `--undo` of an instance makes its certificates good again, that
    of a service account lets new instances enrol with it. A join token is not revoked by this: see `tulle token revoke`.

    \b
    Examples:
      tulle revoke service-b-3fa2c1 --reason "laptop stolen"
      tulle revoke service-b.shop
      tulle revoke ns/shop/sa/frontend
      tulle revoke --list
      tulle revoke --undo ns/shop/sa/frontend
    """
    if mistakes := _mistakes(target, reason, undo=undo, listed=listed, namespace=namespace):
        raise Mistakes(mistakes)
    control_plane = ControlPlane(data)
    if listed:
        _list(control_plane.get("/v1/revocations", list[RevocationView]), output)
        return
    wanted = msgspec.json.encode({"target": target, "namespace": namespace or "", "reason": reason})
    path = "/v1/revocations/undo" if undo else "/v1/revocations"
    done = control_plane.post(path, RevokedView, _WITHIN, wanted)
    if output == "json":
        print_json(done)
        return
    for one in done.changed:
        click.echo(f"{_named(one)} is {'revoked no more' if undo else 'revoked'}")
    for one in done.already:
        click.echo(f"{_named(one)} was revoked before")
    if not undo and not done.handshakes:
        click.echo(
            "an authority of this mesh may sign no list of revoked certificates (tulle ca status): new connections are not "
            "refused, HTTP requests on them are",
            err=True,
        )


def _mistakes(target: str | None, reason: str, *, undo: bool, listed: bool, namespace: str | None) -> list[str]:
    found = []
    if listed and (target or undo or reason or namespace):
        found.append("--list shows all that is revoked, and takes nothing else but -o and --data")
    if not listed and not target:
        found.append("say who: tulle revoke TARGET, or --list to see who is revoked")
    if undo and reason:
        found.append("--reason is for revoking, not for --undo")
    return found


def _list(revoked: Sequence[RevocationView], output: str) -> None:
    if output == "json":
        print_json(revoked)
        return
    rows = [
        (one.kind, one.name, one.namespace, one.service or "-", _moment(one.since), _until(one), one.by, one.reason)
        for one in revoked
    ]
    print_table(("KIND", "NAME", "NAMESPACE", "SERVICE", "SINCE", "CERTIFICATES END", "BY", "REASON"), rows)


def _named(one: RevocationView) -> str:
    whose = f" ({one.service}.{one.namespace})" if one.service else f" in namespace {one.namespace}"
    return printable(f"{one.kind} {one.name}{whose}")


def _until(one: RevocationView) -> str:
    return "-" if one.until is None else _moment(one.until)


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
