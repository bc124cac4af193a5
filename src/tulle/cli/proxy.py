"""`tulle proxy NAME`: one sidecar, what its Envoy has been sent, and how to give it a new Envoy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from tulle.api.views import ConfigView, ProxyView, ResourceView, RestartView
from tulle.cli import options
from tulle.cli.client import ControlPlane
from tulle.cli.durations import seconds
from tulle.cli.exits import Failed, Mistakes
from tulle.cli.printing import ago, print_facts, print_json, print_table, yes
from tulle.cli.proxies import print_rejected

PARTS = ("listeners", "routes", "clusters", "endpoints")
_LONGEST = 3600.0


@click.command("proxy")
@click.argument("name")
@click.argument("part", required=False, type=click.Choice(["config", *PARTS, "restart"]))
@click.option(
    "--timeout",
    metavar="DURATION",
    default="60s",
    show_default=True,
    callback=lambda ctx, param, value: _timeout(value),
    help="With restart: how long the new Envoy may take to take over.",
)
@options.namespace
@options.output
@options.data
def command(name: str, part: str | None, timeout: float, namespace: str | None, output: str, data: Path) -> None:
    """Show one sidecar and its configuration, or restart it.

    NAME is a sidecar's id, or a service that has exactly one. `config` lists all resources; with -o json a resource is
    shown whole, as Envoy has it. `restart` has a new Envoy take over from the old one, without a failed call; the program
    is left alone.

    \b
    Examples:
      tulle proxy service-a
      tulle proxy service-b-3fa2c1 endpoints
      tulle proxy service-b-3fa2c1 config -o json
      tulle proxy service-b-3fa2c1 restart
    """
    control_plane = ControlPlane(data)
    proxy = _find(control_plane.get("/v1/proxies", list[ProxyView]), name, namespace)
    if part is None:
        _show_proxy(proxy, output)
        return
    if part == "restart":
        _restart(control_plane, proxy, timeout, output)
        return
    config = control_plane.get(f"/v1/proxies/{proxy.id}/config", ConfigView)
    if output == "json":
        print_json(config if part == "config" else getattr(config, part))
    elif part == "config":
        rows = [(each, *_common(resource)) for each in PARTS for resource in getattr(config, each)]
        print_table(("PART", "NAME", "STATE", "VERSION"), rows)
    else:
        headers, rows_of = _TABLES[part]
        resources: list[ResourceView] = getattr(config, part)
        print_table(headers, [row for resource in resources for row in rows_of(resource)])


def _find(proxies: list[ProxyView], name: str, namespace: str | None) -> ProxyView:
    """Raises Failed if there is no such proxy, or if the name is a service's that has several."""
    found = [
        proxy
        for proxy in proxies
        if namespace in (None, proxy.namespace)
        and name in (proxy.id, proxy.service, f"{proxy.service}.{proxy.namespace}")
    ]
    exact = [proxy for proxy in found if proxy.id == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise Failed(f"there is no sidecar {name}{f' in {namespace}' if namespace else ''}; `tulle proxies` lists them")
    raise Failed(f"{name} has several sidecars; name one of: {', '.join(proxy.id for proxy in found)}")


def _timeout(text: str) -> float:
    try:
        wanted = seconds(text)
    except ValueError as error:
        raise Mistakes([f"--timeout: {error}"]) from error
    if not 0 < wanted <= _LONGEST:
        raise Mistakes([f"--timeout {text}: give more than 0 and at most {_LONGEST:g} seconds"])
    return wanted


def _restart(control_plane: ControlPlane, proxy: ProxyView, timeout: float, output: str) -> None:
    """What happens goes to stderr, so that stdout is for programs."""
    click.echo(f"a new Envoy is to take over at {proxy.id} ...", err=True)
    done = control_plane.post(f"/v1/proxies/{proxy.id}/restart?within={timeout:g}", RestartView, timeout)
    if output == "json":
        print_json(done)
    else:
        click.echo(f"done after {done.seconds:.1f} s; the old one ends after its last call", err=True)


def _show_proxy(proxy: ProxyView, output: str) -> None:
    if output == "json":
        print_json(proxy)
        return
    connected = f"for {ago(proxy.connected_since)}" if proxy.connected_since is not None else ""
    in_sync = f"for {ago(proxy.since)}" if proxy.since is not None else ""
    print_facts(
        [
            ("sidecar", proxy.id),
            ("service", f"{proxy.service}.{proxy.namespace}"),
            ("health", proxy.health),
            (
                "listens on",
                f"{proxy.address}:{proxy.inbound_port} for the mesh, port {proxy.outbound_port} for its program",
            ),
            ("capture", proxy.capture),
            ("metrics", f"http://{proxy.metrics}/metrics" if proxy.metrics else "off"),
            ("connected", f"{yes(proxy.connected)} {connected}"),
            ("in sync", f"{yes(proxy.in_sync)} {in_sync}"),
            ("asked for", f"{proxy.names} names{_strangers(proxy)}"),
        ]
    )
    print_rejected(proxy)


def _strangers(proxy: ProxyView) -> str:
    known = f", holds {proxy.strangers} that are no service" if proxy.strangers else ""
    return f"{known}, was refused {proxy.refused}: too many unknown ones at once" if proxy.refused else known


def _common(resource: ResourceView) -> tuple[str, str, str]:
    return resource.name, resource.state, resource.version


def _listener(resource: ResourceView) -> Iterator[Sequence[str]]:
    name, state, version = _common(resource)
    yield name, _address(resource.resource.get("address", {})), state, version


def _route(resource: ResourceView) -> Iterator[Sequence[str]]:
    """A virtual host that was asked for by name, or a whole route configuration with its own."""
    name, state, version = _common(resource)
    hosts = resource.resource.get("virtual_hosts", [resource.resource])
    for host in hosts:
        first, *more = host.get("domains", []) or ["-"]
        yield name, f"{first} +{len(more)}" if more else first, state, version


def _cluster(resource: ResourceView) -> Iterator[Sequence[str]]:
    name, state, version = _common(resource)
    kind = str(resource.resource.get("type", resource.resource.get("cluster_type", {}).get("name", "STATIC")))
    yield name, kind, str(resource.resource.get("lb_policy", "ROUND_ROBIN")), state, version


def _endpoint(resource: ResourceView) -> Iterator[Sequence[str]]:
    name, state, version = _common(resource)
    hosts = [host for group in resource.resource.get("endpoints", []) for host in group.get("lb_endpoints", [])]
    for host in hosts:
        yield name, _address(host.get("endpoint", {}).get("address", {})), _health(host), state, version
    if not hosts:
        yield name, "-", "-", state, version


def _health(host: dict[str, Any]) -> str:
    # Envoy takes a host of unknown health, which is the default, for a healthy one.
    health = str(host.get("health_status", "HEALTHY")).lower()
    return "healthy" if health == "unknown" else health


def _address(address: dict[str, Any]) -> str:
    socket = address.get("socket_address", {})
    return f"{socket.get('address', '')}:{socket.get('port_value', 0)}" if socket else "-"


_TABLES: dict[str, tuple[Sequence[str], Callable[[ResourceView], Iterator[Sequence[str]]]]] = {
    "listeners": (("LISTENER", "ADDRESS", "STATE", "VERSION"), _listener),
    "routes": (("ROUTES", "DOMAINS", "STATE", "VERSION"), _route),
    "clusters": (("CLUSTER", "TYPE", "LOAD BALANCING", "STATE", "VERSION"), _cluster),
    "endpoints": (("CLUSTER", "ADDRESS", "HEALTH", "STATE", "VERSION"), _endpoint),
}
