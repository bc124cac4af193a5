"""The doors at which a call to a service may come in: the ports of its instances, those that judge alike together.

It is the picture that translation reads. Labels may tell instances of one service apart, and so policies may.
"""

from __future__ import annotations

from difflib import get_close_matches

from msgspec import Struct

from tulle.ir.tokens import Issuer
from tulle.ir.types import Inbound, InboundPort
from tulle.model.names import DEFAULT_NAMESPACE, DEFAULT_PORT, ServiceName, is_label
from tulle.resolve.access.mutual_tls import only_plain
from tulle.resolve.inbound import inbound
from tulle.resolve.mesh import Mesh, Service


class Unknown(LookupError):
    """There is no such service, port or instance. Its text is for people."""


class Door(Struct, frozen=True):
    """proxies: the ids of those that have it, sorted. only_plain: whether sidecars come in plain text as well."""

    inbound: Inbound
    port: InboundPort
    proxies: tuple[str, ...]
    only_plain: bool = False


def service(mesh: Mesh, text: str, namespace: str = DEFAULT_NAMESPACE) -> Service:
    """By `name`, `name.namespace`, `namespace/name` or its whole host. Raises Unknown."""
    found = mesh.services.get(name := _name(text, namespace))
    if found is None:
        raise Unknown(f"there is no service {name}{_hint(mesh, name)}")
    return found


def doors(mesh: Mesh, name: ServiceName, number: int | None) -> tuple[Door, ...]:
    """number: of the service port; else 80, or the only one. Raises Unknown."""
    there = mesh.services[name]
    if not there.instances:
        raise Unknown(f"no instance of {name} runs; whom it lets in depends on the labels of its instances")
    number = _port(there, number)
    alike: dict[tuple[InboundPort, tuple[Issuer, ...], bool], tuple[Inbound, list[str]]] = {}
    for instance in there.instances:
        made = inbound(mesh, mesh.proxies[instance.proxy], instance.workload)
        port = next((one for one in made.ports if one.destination.port == number), None) if made else None
        if made and port:
            plain = only_plain(mesh.declared, instance.workload) is not None
            # Where each listens makes no difference.
            key = InboundPort(port.destination, 0, port.protocol, "", mutual_tls=port.mutual_tls, access=port.access)
            alike.setdefault((key, made.issuers, plain), (made, []))[1].append(instance.proxy)
    if not alike:
        raise Unknown(f"no instance of {name} has the port {number} now")
    return tuple(Door(made, key, tuple(sorted(proxies)), plain) for (key, _, plain), (made, proxies) in alike.items())


def _name(text: str, namespace: str) -> ServiceName:
    space, slash, name = text.rpartition("/")
    labels = name.lower().removesuffix(".").split(".")
    if not slash and len(labels) > 1 and labels[2:] in ([], ["svc"], ["svc", "cluster", "local"]):
        space, name = labels[1], labels[0]
    found = ServiceName(space or namespace, name.lower())
    if not (is_label(found.name) and is_label(found.namespace)):
        raise Unknown(f"{text!r} names no service of the mesh: write NAME, NAME.NAMESPACE or NAMESPACE/NAME")
    return found


def _port(there: Service, number: int | None) -> int:
    numbers = [port.number for port in there.ports]
    if number is None:
        if DEFAULT_PORT in numbers or len(numbers) == 1:
            return DEFAULT_PORT if DEFAULT_PORT in numbers else numbers[0]
        raise Unknown(f"{there.name} has several ports: {_listed(numbers)}; say which")
    if number not in numbers:
        raise Unknown(f"{there.name} has no port {number}; it has {_listed(numbers)}")
    return number


def _hint(mesh: Mesh, name: ServiceName) -> str:
    by_text = {str(one): one for one in mesh.services if one.namespace}
    same = [text for text, one in by_text.items() if one.name == name.name]
    near = same or get_close_matches(str(name), by_text, 1)
    return f"; did you mean {near[0]}?" if near else "; `tulle services` lists them"


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"
