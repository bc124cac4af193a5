"""The documents by which a service's calls are divided among its versions.

They are those that a user would write: a VirtualService whose default route has the weights, a DestinationRule with a
subset for each version. What somebody wrote for another purpose is left alone, and what can't be told apart is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches, unified_diff
from typing import Any

import click
import msgspec

from tulle.api.views import DeclaredView, ServiceView
from tulle.cli.exits import Failed
from tulle.cli.resources.yaml_text import api_of, document_of, to_yaml
from tulle.cli.shifting.weights import Weights, whole
from tulle.model.names import ServiceName, destination_of
from tulle.model.workload import Health
from tulle.sources.documents import Document, documents

_VIRTUAL_SERVICE, _DESTINATION_RULE, _SERVICE_ENTRY = "VirtualService", "DestinationRule", "ServiceEntry"
KINDS = (_VIRTUAL_SERVICE, _DESTINATION_RULE, _SERVICE_ENTRY)


def check_known(service: ServiceName, services: list[ServiceView], stored: list[DeclaredView]) -> None:
    """Raises Failed. A service that has no instance now is known all the same, and so is one that a ServiceEntry declares."""
    if _is_declared(service, stored):
        return
    known = sorted(ServiceName(one.namespace, one.name) for one in services)
    if service in known:
        return
    alike = get_close_matches(service.name, [one.name for one in known], 1)
    near = [one for one in known if one.name in alike]
    near.sort(key=lambda one: one.namespace != service.namespace)
    hint = f"did you mean {near[0]}?" if near else "`tulle services` lists them"
    raise Failed(f"there is no service {service}; {hint} (--force writes the rules of one that is still to come)")


def _is_declared(service: ServiceName, stored: list[DeclaredView]) -> bool:
    entries = [one for one in stored if one.kind == _SERVICE_ENTRY]
    return any(_is(host, service, one.namespace) for one in entries for host in _hosts(one))


def _hosts(resource: DeclaredView) -> list[Any]:
    hosts: list[Any] = resource.spec.get("hosts", [])
    return hosts


def _is(host: object, service: ServiceName, namespace: str) -> bool:
    """Whether a host in a resource of a namespace means the service."""
    meant = destination_of(host, namespace) if isinstance(host, str) and "*" not in host else None
    return meant is not None and meant.service == service


def route_of(
    service: ServiceName, weights: dict[str, int], stored: list[DeclaredView]
) -> tuple[dict[str, Any], DeclaredView | None]:
    """The VirtualService, and what is stored of it. Raises Failed."""
    old = stored_route(service, stored)
    if old is None:
        _check_free(service, _VIRTUAL_SERVICE, stored)
        route = [_destination(service.name, version, weight) for version, weight in weights.items() if weight]
        return _document(service, _VIRTUAL_SERVICE, {"hosts": [service.name], "http": [{"route": route}]}), None
    new = plain(old)
    default = _default_route(service, new["spec"], old)
    default["route"] = _divided(default["route"], weights, old)
    return new, old


def stored_route(service: ServiceName, stored: Iterable[DeclaredView]) -> DeclaredView | None:
    """The service's VirtualService. Raises Failed if there are several."""
    found = [
        one
        for one in stored
        if one.kind == _VIRTUAL_SERVICE and any(_is(host, service, one.namespace) for host in _hosts(one))
    ]
    if len(found) > 1:
        raise Failed(
            f"{service} has several VirtualServices ({_names(found)}): change the one that is meant, tulle edit"
        )
    return found[0] if found else None


def weights_in(service: ServiceName, resource: DeclaredView) -> dict[str, int]:
    """How a VirtualService divides the calls, in percent by subset; "" for what names none. Raises Failed."""
    destinations = _default_route(service, resource.spec, resource)["route"]
    if len(destinations) == 1:
        return {destinations[0]["destination"].get("subset", ""): 100}
    shares: dict[str, float] = {}
    for one in destinations:
        subset = one["destination"].get("subset", "")
        shares[subset] = shares.get(subset, 0) + one.get("weight", 0)
    return whole(shares)


def _default_route(service: ServiceName, spec: Any, resource: DeclaredView) -> dict[str, Any]:
    """Raises Failed."""
    name = _names([resource])
    defaults = [route for route in spec.get("http", ()) if not route.get("match")]
    if not defaults:
        raise Failed(f"{name} has no default route, one without match, for HTTP: add one with tulle edit")
    found: dict[str, Any] = defaults[0]
    if not found.get("route") or any(not _is(_host(one), service, resource.namespace) for one in found["route"]):
        raise Failed(f"the default route of {name} does not lead to {service} alone: change it with tulle edit")
    return found


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


def rule_of(
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
    new = plain(old)
    there = new["spec"].get("subsets", [])
    missing = [version for version in versions if version not in {one["name"] for one in there}]
    if missing:
        new["spec"]["subsets"] = [*there, *(_subset(version) for version in missing)]
    return new, old


def told_apart(version: str, rule: dict[str, Any]) -> str:
    """The label `version` of a subset's instances, by which figures tell them apart. Raises Failed."""
    (labels,) = (one.get("labels", {}) for one in rule["spec"]["subsets"] if one["name"] == version)
    if not (found := labels.get("version")):
        name = f"{rule['metadata']['namespace']}/{rule['metadata']['name']}"
        raise Failed(
            f"figures can't tell the calls of {version} from others, as its subset in DestinationRule {name} does not "
            "name the label version"
        )
    return str(found)


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


def plain(resource: DeclaredView) -> dict[str, Any]:
    """Its document, a copy that may be changed."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document_of(resource, is_plain=True)))
    return copy


def _host(destination: dict[str, Any]) -> object:
    return destination.get("destination", {}).get("host")


def _names(resources: list[DeclaredView]) -> str:
    return ", ".join(f"{one.kind} {one.namespace}/{one.name}" for one in resources)


def sent(document: dict[str, Any]) -> Document:
    (read,) = documents(msgspec.json.encode(document), "tulle shift")
    return read


def print_difference(new: dict[str, Any], old: DeclaredView | None) -> None:
    name = f"{new['kind'].lower()}/{new['metadata']['namespace']}/{new['metadata']['name']}"
    before = to_yaml(plain(old)).splitlines() if old else []
    for line in unified_diff(before, to_yaml(new).splitlines(), f"stored/{name}", f"new/{name}", lineterm=""):
        click.echo(line)


def unserved(
    services: list[ServiceView],
    service: ServiceName,
    weights: Weights,
    stored: list[DeclaredView],
    rule: dict[str, Any],
) -> str:
    """Which version gets more calls than it has, while no instance is of it, and which there are; "" if none does.

    Nothing is known of the instances of a ServiceEntry.
    """
    if _is_declared(service, stored):
        return ""
    old = stored_route(service, stored)
    now = weights_in(service, old) if old else {}
    there = [
        {"app": one.name, "version": instance.version, **instance.labels}
        for one in services
        if (one.namespace, one.name) == (service.namespace, service.name)
        for instance in one.instances
    ]
    subsets = {one["name"]: one.get("labels", {}) for one in rule["spec"]["subsets"]}
    for version, weight in weights.items():
        if weight > now.get(version, 0) and not any(subsets[version].items() <= tags.items() for tags in there):
            versions = ", ".join(sorted({tags["version"] for tags in there} - {""}))
            has = f"it has {versions}" if versions else "its instances name none" if there else "none runs"
            return f"no instance of {service} has the version {version} now; {has}"
    return ""


def healthy(services: list[ServiceView], service: ServiceName, version: str) -> int:
    """How many instances of a version take calls."""
    return sum(
        1
        for one in services
        if (one.namespace, one.name) == (service.namespace, service.name)
        for instance in one.instances
        if instance.health is Health.HEALTHY and (instance.version or instance.labels.get("version", "")) == version
    )
