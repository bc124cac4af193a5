"""`tulle weight`: how large a share of the calls an instance gets, changed while it runs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from tulle.api.registration import MOST_WEIGHT
from tulle.api.views import ServiceView, WeightView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Failed

_WITHIN = 10.0


@click.command("weight")
@click.argument("name", metavar="INSTANCE|SERVICE")
@click.argument("weight", type=click.IntRange(1, MOST_WEIGHT))
@options.namespace
@options.data
def command(name: str, weight: int, namespace: str | None, data: Path) -> None:
    """Give an instance another share of the calls.

    With a SERVICE, each of its instances. An instance of weight 2 gets twice as many calls as one of weight 1, which
    all have at first (tulle run --weight). It holds until the instance ends.

    \b
    Examples:
      tulle weight service-b-3fa2c1 5
      tulle weight service-b 1
    """
    control_plane = ControlPlane(data)
    services = control_plane.get("/v1/services", list[ServiceView])
    found = _instances(services, name, namespace)
    for instance in found:
        path = f"/v1/proxies/{quote(instance, safe='')}/weight"
        done = control_plane.post(path, WeightView, _WITHIN, query=[("weight", str(weight))])
        click.echo(f"{done.proxy} has the weight {done.weight}")


def _instances(services: list[ServiceView], name: str, namespace: str | None) -> list[str]:
    """Raises Failed if there is none, or if several namespaces have such a service."""
    here = [one for one in services if namespace in (None, one.namespace)]
    if exact := [instance.id for one in here for instance in one.instances if instance.id == name]:
        return exact
    meant = [one for one in here if name in (one.name, f"{one.name}.{one.namespace}") and one.instances]
    if len(meant) > 1:
        names = ", ".join(f"{one.name}.{one.namespace}" for one in meant)
        raise Failed(f"{name} is several services: name one of {names}")
    if not meant:
        raise Failed(f"there is no instance or live service {name}; `tulle services NAME` lists instances")
    return [instance.id for instance in meant[0].instances]
