"""`tulle shift SERVICE v1=90 v2=10`: how a service's calls are divided among its versions.

It writes the documents that a user would: a VirtualService whose default route has the weights, a DestinationRule with a
subset for each version. What somebody wrote for another purpose is left alone, and what can't be told apart is refused.
"""

from __future__ import annotations

from difflib import get_close_matches, unified_diff
from pathlib import Path
from typing import Any

import click
import msgspec

from tulle.api.views import DeclaredView, ServiceView
from tulle.cli import options
from tulle.cli.apply import send
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Failed, Mistakes
from tulle.cli.resources.reading import selected
from tulle.cli.resources.yaml_text import api_of, document_of, to_yaml
from tulle.model.names import DEFAULT_NAMESPACE, ServiceName, destination_of, is_label
from tulle.sources.documents import Document, documents

_VIRTUAL_SERVICE, _DESTINATION_RULE, _SERVICE_ENTRY = "VirtualService", "DestinationRule", "ServiceEntry"


@click.command("shift")
@click.argument("service")
@click.argument("weights", nargs=-1, required=True, metavar="VERSION=WEIGHT...")
@options.in_namespace
@click.option("--force", is_flag=True, help="Also for a service that the mesh does not know yet.")
@options.dry_run
@options.wait
@options.data
def command(
    service: str,
    weights: tuple[str, ...],
    namespace: str | None,
    force: bool,
    dry_run: bool,
    wait: bool,
    timeout: float,
    data: Path,
) -> None:
    """Divide a service's calls among its versions.

    A VERSION is what tulle run --version says. The weights are percent, together 100; a version that is not named
    gets nothing. The default route of the service's VirtualService is rewritten, and its other routes are left alone.
    Where there is none it is made, as is the DestinationRule with the versions as subsets. A service that nobody has
    run is refused.

    \b
    Examples:
      tulle shift service-b v1=90 v2=10
      tulle shift service-b.shop v2=100 --dry-run
    """
    wanted = _weights(weights)
    name = _service(service, namespace)
    control_plane = ControlPlane(data)
    services = control_plane.get("/v1/services", list[ServiceView])
    stored = selected(control_plane, [_VIRTUAL_SERVICE, _DESTINATION_RULE, _SERVICE_ENTRY], None)
    if not force:
        _check_known(name, services, stored)
    rule, old_rule = _rule(name, list(wanted), stored)
    route, old_route = _route(name, wanted, stored)
    changed = [(new, old) for new, old in ((rule, old_rule), (route, old_route)) if old is None or new != _plain(old)]
    sent = [_sent(new) for new, _ in changed]
    if dry_run:
        for new, old in changed:
            _print_difference(new, old)
    if sent:
        revisions = [old.revision if old else 0 for _, old in changed]
        seconds = timeout if wait else None
        send(control_plane, sent, name.namespace, None, dry_run=dry_run, seconds=seconds, revisions=revisions)
    else:
        click.echo(f"{name} is divided like that already")
    _warn(services, name, wanted)


def _weights(texts: tuple[str, ...]) -> dict[str, int]:
    """Raises Mistakes."""
    found: dict[str, int] = {}
    mistakes = []
    for text in texts:
        version, equals, number = text.rpartition("=")
        if not equals or not is_label(version) or not (number.isascii() and number.isdigit() and len(number) < 4):
            mistakes.append(f"{text!r}: write VERSION=WEIGHT, such as v1=90")
        elif version in found:
            mistakes.append(f"{version} is given twice")
        else:
            found[version] = int(number)
    if not mistakes and sum(found.values()) != 100:
        mistakes.append(f"the weights are {sum(found.values())} together: they must be 100")
    if mistakes:
        raise Mistakes(mistakes)
    return found


def _service(text: str, namespace: str | None) -> ServiceName:
    """Raises Mistakes."""
    meant = destination_of(text, namespace or DEFAULT_NAMESPACE)
    if meant is None or ":" in text:
        raise Mistakes([f"{text!r} is no service: write NAME or NAME.NAMESPACE"])
    if namespace and meant.service.namespace != namespace:
        raise Mistakes([f"{text} is of the namespace {meant.service.namespace}, and --namespace says {namespace}"])
    return meant.service


def _check_known(service: ServiceName, services: list[ServiceView], stored: list[DeclaredView]) -> None:
    """Raises Failed. A service that has no instance now is known all the same, and so is one that a ServiceEntry declares."""
    if any(_is(host, service, one.namespace) for one in stored if one.kind == _SERVICE_ENTRY for host in _hosts(one)):
        return
    known = sorted(ServiceName(one.namespace, one.name) for one in services)
    if service in known:
        return
    alike = get_close_matches(service.name, [one.name for one in known], 1)
    near = [one for one in known if one.name in alike]
    near.sort(key=lambda one: one.namespace != service.namespace)
    hint = f"did you mean {near[0]}?" if near else "`tulle services` lists them"
    raise Failed(f"there is no service {service}; {hint} (--force writes the rules of one that is still to come)")


def _hosts(resource: DeclaredView) -> list[Any]:
    hosts: list[Any] = resource.spec.get("hosts", [])
    return hosts


def _is(host: object, service: ServiceName, namespace: str) -> bool:
    """Whether a host in a resource of a namespace means the service."""
    meant = destination_of(host, namespace) if isinstance(host, str) and "*" not in host else None
    return meant is not None and meant.service == service


def _route(
    service: ServiceName, weights: dict[str, int], stored: list[DeclaredView]
) -> tuple[dict[str, Any], DeclaredView | None]:
    """The VirtualService, and what is stored of it. Raises Failed."""
    found = [
        one
        for one in stored
        if one.kind == _VIRTUAL_SERVICE and any(_is(host, service, one.namespace) for host in _hosts(one))
    ]
    if not found:
        _check_free(service, _VIRTUAL_SERVICE, stored)
        route = [_destination(service.name, version, weight) for version, weight in weights.items() if weight]
        return _document(service, _VIRTUAL_SERVICE, {"hosts": [service.name], "http": [{"route": route}]}), None
    if len(found) > 1:
        raise Failed(
            f"{service} has several VirtualServices ({_names(found)}): change the one that is meant, tulle edit"
        )
    (old,) = found
    new = _plain(old)
    defaults = [route for route in new["spec"].get("http", ()) if not route.get("match")]
    if not defaults:
        raise Failed(f"{_names(found)} has no default route, one without match, for HTTP: add one with tulle edit")
    route = defaults[0]
    if not route.get("route") or any(not _is(_host(one), service, old.namespace) for one in route["route"]):
        raise Failed(
            f"the default route of {_names(found)} does not lead to {service} alone: change it with tulle edit"
        )
    route["route"] = _divided(route["route"], weights, old)
    return new, old


def _divided(destinations: list[dict[str, Any]], weights: dict[str, int], old: DeclaredView) -> list[dict[str, Any]]:
    """The destinations with new weights. Those of a version keep all else; a new one is like those that are there."""
    subsets = [one["destination"].get("subset", "") for one in destinations]
    if len(set(subsets)) < len(subsets):
        raise Failed(f"the default route of VirtualService {old.namespace}/{old.name} names a subset twice: tulle edit")
    known = dict(zip(subsets, destinations, strict=True))
    ports = {msgspec.json.encode(one["destination"].get("port")) for one in destinations}
    if len(ports) > 1:
        raise Failed(
            f"the default route of VirtualService {old.namespace}/{old.name} leads to several ports: tulle edit"
        )
    like = {key: value for key, value in destinations[0]["destination"].items() if key != "subset"}
    divided = []
    for version, weight in weights.items():
        if weight:
            new = {**known.get(version, {"destination": {**like, "subset": version}})}
            divided.append({**new, "weight": weight})
    return divided


def _rule(
    service: ServiceName, versions: list[str], stored: list[DeclaredView]
) -> tuple[dict[str, Any], DeclaredView | None]:
    """The DestinationRule with a subset for each version, and what is stored of it. Raises Failed."""
    found = [
        one
        for one in stored
        if one.kind == _DESTINATION_RULE
        and _is(one.spec.get("host"), service, one.namespace)
        and not one.spec.get("workloadSelector")
    ]
    if not found:
        _check_free(service, _DESTINATION_RULE, stored)
        subsets = [_subset(version) for version in versions]
        return _document(service, _DESTINATION_RULE, {"host": service.name, "subsets": subsets}), None
    if len(found) > 1:
        raise Failed(f"{service} has several DestinationRules ({_names(found)}): leave one of them")
    (old,) = found
    new = _plain(old)
    there = new["spec"].get("subsets", [])
    missing = [version for version in versions if version not in {one["name"] for one in there}]
    if missing:
        new["spec"]["subsets"] = [*there, *(_subset(version) for version in missing)]
    return new, old


def _check_free(service: ServiceName, kind: str, stored: list[DeclaredView]) -> None:
    """Raises Failed if the name that would be given is taken by what is for another host."""
    if any((one.kind, one.namespace, one.name) == (kind, service.namespace, service.name) for one in stored):
        raise Failed(
            f"there is a {kind} {service.namespace}/{service.name}, and it is not for {service}: rename it first"
        )


def _subset(version: str) -> dict[str, Any]:
    return {"name": version, "labels": {"version": version}}


def _destination(host: str, version: str, weight: int) -> dict[str, Any]:
    return {"destination": {"host": host, "subset": version}, "weight": weight}


def _document(service: ServiceName, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": service.name, "namespace": service.namespace}
    return {"apiVersion": api_of(kind), "kind": kind, "metadata": metadata, "spec": spec}


def _plain(resource: DeclaredView) -> dict[str, Any]:
    """Its document, a copy that may be changed."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document_of(resource, is_plain=True)))
    return copy


def _host(destination: dict[str, Any]) -> object:
    return destination.get("destination", {}).get("host")


def _names(resources: list[DeclaredView]) -> str:
    return ", ".join(f"{one.kind} {one.namespace}/{one.name}" for one in resources)


def _sent(document: dict[str, Any]) -> Document:
    (read,) = documents(msgspec.json.encode(document), "tulle shift")
    return read


def _print_difference(new: dict[str, Any], old: DeclaredView | None) -> None:
    name = f"{new['kind'].lower()}/{new['metadata']['namespace']}/{new['metadata']['name']}"
    before = to_yaml(_plain(old)).splitlines() if old else []
    for line in unified_diff(before, to_yaml(new).splitlines(), f"stored/{name}", f"new/{name}", lineterm=""):
        click.echo(line)


def _warn(services: list[ServiceView], service: ServiceName, weights: dict[str, int]) -> None:
    """Calls that go to a version which nobody runs fail."""
    running = {
        instance.version or instance.labels.get("version", "")
        for one in services
        if (one.namespace, one.name) == (service.namespace, service.name)
        for instance in one.instances
    }
    for version in [version for version, weight in weights.items() if weight and version not in running]:
        click.echo(f"warning: no instance of {service} has the version {version} now", err=True)
