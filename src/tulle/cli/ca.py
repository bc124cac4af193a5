"""`tulle ca`: the certificate authority of the mesh, and how to go over to another root without a lost call."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from tulle.api.identity_views import CaPhase, CaProxyView, CaView
from tulle.cli import ca_files, options
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Failed, Mistakes
from tulle.cli.printing import print_facts, print_json, print_table, yes
from tulle.identity.brought import read_brought
from tulle.identity.private import StateUnusable

_WITHIN = 30.0
_PHASES: dict[CaPhase, str] = {
    "steady": "no rotation is under way",
    "distributing": "rotation: waiting until all proxies trust both roots",
    "renewing": "rotation: waiting until all proxies have certificates of the new root",
    "ready": "rotation: all proxies have certificates of the new root; end it with `tulle ca finish`",
}


@click.command("ca")
@click.argument("action", type=click.Choice(["status", "rotate", "finish"]))
@ca_files.ca_files
@click.option(
    "--force", is_flag=True, help="With finish: go to the next step although proxies are cut off that are not ready."
)
@options.output
@options.data
def command(action: str, force: bool, output: str, data: Path, **ca: Path | None) -> None:
    """Show the certificate authority, or rotate its root.

    `status` shows the trusted roots, who signs, and what each proxy has. `rotate` begins to go over to a new root, or to an
    authority that is brought along: from then on both roots are trusted, and when all proxies have heard of both, certificates
    are renewed with the new one. `finish` ends that: the old root is trusted no more. It is refused while a proxy needs it.

    \b
    Examples:
      tulle ca status
      tulle ca rotate
      tulle ca rotate --ca-dir ./cacerts
      tulle ca finish
    """
    if any(ca.values()) and action != "rotate":
        raise Mistakes([f"an authority can be brought along to `tulle ca rotate`, not to {action}"])
    if force and action != "finish":
        raise Mistakes([f"--force is for `tulle ca finish`, not for {action}"])
    files, control_plane = ca_files.given(**ca), ControlPlane(data)
    if action == "status":
        view = control_plane.get("/v1/ca", CaView)
    elif action == "rotate":
        try:
            body = msgspec.json.encode(read_brought(files)) if files else b""
        except StateUnusable as error:
            raise Failed(str(error)) from error
        view = control_plane.post("/v1/ca/rotate", CaView, _WITHIN, body)
    else:
        view = control_plane.post("/v1/ca/finish", CaView, _WITHIN, query=[("force", "1")] if force else [])
    if output == "json":
        print_json(view)
    else:
        _show(view)


def _show(view: CaView) -> None:
    print_facts(
        [
            ("state", _PHASES[view.phase]),
            ("proxies", f"{len(view.proxies)}, {view.trusting} trust all roots, {view.renewed} renewed"),
            (
                "revocation",
                "handshakes are refused" if view.revokes else "by policy only: an authority may sign no CRL",
            ),
        ]
    )
    click.echo()
    roots = [(root.id, root.subject, _day(root.ends), yes(root.signs)) for root in view.roots]
    print_table(("ROOT", "SUBJECT", "ENDS", "SIGNS"), roots)
    click.echo()
    print_table(("AUTHORITY", "ROOT", "ENDS", "STATE"), [(i.id, i.root, _day(i.ends), i.state) for i in view.issuers])
    late = [proxy for proxy in view.proxies if _is_late(view, proxy)]
    if late:
        click.echo()
        print_table(("WAITING FOR", "TRUSTS ALL", "ROOT"), [(p.id, yes(p.trusts), p.root or "not known") for p in late])


def _is_late(view: CaView, proxy: CaProxyView) -> bool:
    return not proxy.trusts or proxy.root != view.roots[-1].id


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment))
