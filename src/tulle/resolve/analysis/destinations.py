"""Where a route leads: a host that no service has, a port that it has not, a subset that nobody defines."""

from __future__ import annotations

from collections.abc import Iterator

from tulle.model.resources.common import Destination
from tulle.model.resources.virtual_service import VirtualService
from tulle.resolve.analysis.findings import NOT_FOUND, Findings
from tulle.resolve.analysis.known import Known
from tulle.resolve.hosts import full


def check_destinations(at: Findings, known: Known, spec: VirtualService) -> None:
    for path, destination in _destinations(spec):
        _check(at, known, path, destination)


def _check(at: Findings, known: Known, path: str, destination: Destination) -> None:
    namespace = at.resource.ref.namespace
    host = full(destination.host, namespace)
    service = known.service(host)
    if service is None:
        at.error(f"{path}.host", known.nobody(destination.host, namespace), NOT_FOUND)
        return
    if service.entries and not known.is_offered(host, namespace):
        message = (
            f"{destination.host} is not exported to the namespace {namespace} (exportTo of {service.entries[0].ref})"
        )
        at.error(f"{path}.host", message, NOT_FOUND)
    numbers = known.numbers(service)
    if destination.port and numbers and destination.port.number not in numbers:
        there = ", ".join(map(str, sorted(numbers)[:20]))
        at.error(f"{path}.port", f"{service.name} has no port {destination.port.number}; its ports: {there}", NOT_FOUND)
    if destination.subset and destination.subset not in (defined := known.subsets(service.name.host)):
        named = f"; there are: {', '.join(sorted(defined)[:20])}" if defined else ""
        message = f"no DestinationRule of {service.name} defines the subset {destination.subset!r}{named}"
        at.error(f"{path}.subset", message, NOT_FOUND)


def _destinations(spec: VirtualService) -> Iterator[tuple[str, Destination]]:
    for index, route in enumerate(spec.http):
        path = f"spec.http[{index}]"
        for number, one in enumerate(route.route):
            if one.destination:
                yield f"{path}.route[{number}].destination", one.destination
        if route.mirror:
            yield f"{path}.mirror", route.mirror
        for number, mirror in enumerate(route.mirrors):
            if mirror.destination:
                yield f"{path}.mirrors[{number}].destination", mirror.destination
    l4_routes = [
        *((f"spec.tls[{index}]", tls.route) for index, tls in enumerate(spec.tls)),
        *((f"spec.tcp[{index}]", tcp.route) for index, tcp in enumerate(spec.tcp)),
    ]
    for path, destinations in l4_routes:
        for number, there in enumerate(destinations):
            if there.destination:
                yield f"{path}.route[{number}].destination", there.destination
