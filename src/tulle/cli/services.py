"""`tulle services`: the services, or the instances of one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from tulle.api.views import PortView, ServiceView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Failed
from tulle.cli.printing import ago, print_json, print_table
from tulle.model.mutual_tls import MutualTls
from tulle.model.workload import Health


@click.command("services")
@click.argument("name", required=False)
@options.namespace
@options.output
@options.data
def command(name: str | None, namespace: str | None, output: str, data: Path) -> None:
    """List the services and their instances.

    With a NAME, every instance of that one is shown.

    \b
    Examples:
      tulle services
      tulle services service-b
      tulle services -n shop -o json
    """
    services = [
        service
        for service in ControlPlane(data).get("/v1/services", list[ServiceView])
        if namespace in (None, service.namespace)
        and name in (None, service.name, f"{service.name}.{service.namespace}")
    ]
    if name is not None and not services:
        raise Failed(
            f"there is no service {name}{f' in {namespace}' if namespace else ''}; `tulle services` lists them"
        )
    if output == "json":
        print_json(services)
    elif name is not None:
        _print_instances(services)
    else:
        _print_services(services)


def _print_services(services: list[ServiceView]) -> None:
    rows = [
        (
            service.name,
            service.namespace,
            ",".join(map(_port, service.ports)) or "-",
            _healthy(service),
            ",".join(sorted({instance.version for instance in service.instances if instance.version})) or "-",
        )
        for service in services
    ]
    print_table(("NAME", "NAMESPACE", "PORTS", "HEALTHY", "VERSIONS"), rows)


def _port(port: PortView) -> str:
    """`80/http`, and what it takes if that is more than the mesh's mutual TLS: `80/http permissive`."""
    taken = "+".join(port.mutual_tls) if set(port.mutual_tls) - {MutualTls.STRICT} else ""
    return f"{port.number}/{port.protocol} {taken}".rstrip()


def _healthy(service: ServiceView) -> str:
    """`1/3 (2 starting)`; `2 running` of programs that only call others, of which none is to be called."""
    others = Counter(str(i.health) for i in service.instances if i.health is not Health.HEALTHY)
    words = ", ".join(f"{count} {health}" for health, count in sorted(others.items()))
    if service.running == len(service.instances) > 0 and not service.ports:
        return words
    return f"{service.healthy}/{len(service.instances)}" + (f" ({words})" if words else "")


def _print_instances(services: list[ServiceView]) -> None:
    rows = [
        (
            instance.id,
            service.namespace,
            instance.health,
            ago(instance.since),
            f"{instance.address}:{instance.port}",
            instance.version or "-",
            str(instance.weight),
            instance.locality or "-",
            ",".join(f"{key}={value}" for key, value in sorted(instance.labels.items())) or "-",
        )
        for service in services
        for instance in service.instances
    ]
    columns = ("INSTANCE", "NAMESPACE", "HEALTH", "SINCE", "ADDRESS", "VERSION", "WEIGHT", "LOCALITY", "LABELS")
    print_table(columns, rows)
