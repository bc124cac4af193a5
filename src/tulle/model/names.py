"""Names of services and how a host in a URL names one.

The forms are Kubernetes' and Istio's: `service-b`, `service-b.default`, `service-b.default.svc` and
`service-b.default.svc.cluster.local`, each with or without `:port`. A bare form without a port means port 80.
"""

from __future__ import annotations

import re

from msgspec import Struct

from tulle.model.domain import MESH_DOMAIN

DEFAULT_NAMESPACE = "default"
DEFAULT_PORT = 80

# RFC 1123: a label is 1 to 63 lower-case letters, digits and hyphens, and starts and ends with no hyphen.
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_HOST = 253


class ServiceName(Struct, frozen=True, order=True):
    """A service's name within the mesh: two RFC 1123 labels.

    Of a host that is declared (`api.example.com`, `*.example.com`) it is the name, and the namespace is empty: a host means
    the same to all, but for who declared what of it.
    """

    namespace: str
    name: str

    @property
    def host(self) -> str:
        """The fully qualified host, `service-b.default.svc.cluster.local`."""
        return f"{self.name}.{self.namespace}.svc.{MESH_DOMAIN}" if self.namespace else self.name

    def __str__(self) -> str:
        return f"{self.name}.{self.namespace}" if self.namespace else self.name


def service_of(host: str) -> ServiceName:
    """The name of what has this fully qualified host; the inverse of `ServiceName.host`."""
    labels = host.removesuffix(f".svc.{MESH_DOMAIN}").split(".") if host.endswith(f".svc.{MESH_DOMAIN}") else []
    return (
        ServiceName(labels[1], labels[0]) if len(labels) == 2 and all(map(is_label, labels)) else ServiceName("", host)
    )


class Destination(Struct, frozen=True, order=True):
    """One port of one service: what a caller's host and port name, and what one virtual host serves."""

    service: ServiceName
    port: int

    def __str__(self) -> str:
        return f"{self.service.host}:{self.port}"


def is_host(text: str) -> bool:
    """Whether `text` is a name of DNS in lower case: labels, the last of which is no number, in at most 253 characters."""
    labels = text.split(".")
    return (
        len(text) <= _LONGEST_HOST
        and all(_HOST_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
    )


def is_label(text: str) -> bool:
    """Whether `text` is an RFC 1123 label, as every service and namespace name must be."""
    return _LABEL.fullmatch(text) is not None


def label_problem(what: str, text: str) -> str | None:
    """Why `text` can't be the `what` ("service name", "namespace") of something; None if it can."""
    if is_label(text):
        return None
    return (
        f"{what} {text!r} is no DNS label: use 1 to 63 lower-case letters, digits and hyphens, "
        "with a letter or digit at both ends"
    )


def destination_of(authority: str, namespace: str) -> Destination | None:
    """Which destination a caller in `namespace` means by `authority` (`host` or `host:port`, any case).

    None if the authority has no form that a mesh name can have: other labels than a mesh name, an address, a bad port.
    Says nothing about whether there is such a service, or such a namespace.
    """
    found = split_authority(authority)
    if found is None:
        return None
    host, port = found
    labels = host.split(".")
    if labels[2:] in ([], ["svc"], ["svc", *MESH_DOMAIN.split(".")]):
        name, space = labels[0], labels[1] if len(labels) > 1 else namespace
        if is_label(name) and is_label(space):
            return Destination(ServiceName(space, name), port)
    return None


def split_authority(authority: str) -> tuple[str, int] | None:
    """Host, in lower case and without a final dot, and port of `host` or `host:port`; None if the port is none."""
    host, _, port_text = authority.lower().partition(":")
    host, port = host.removesuffix("."), DEFAULT_PORT
    if port_text or authority.endswith(":"):
        if not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5):
            return None
        port = int(port_text)
    return (host, port) if 1 <= port <= 65535 else None


def destination_from(text: str) -> Destination | None:
    """The inverse of `str(destination)`; None if `text` is nothing of the kind."""
    host, _, port = text.rpartition(":")
    found = split_authority(f"{host.removeprefix('*.')}:{port}") if port.isdigit() else None
    return Destination(service_of(host), found[1]) if found and "." in host and is_host(found[0]) else None


def authorities(destination: Destination, namespace: str) -> tuple[str, ...]:
    """Every way in which a caller in `namespace` can write the destination, most specific last.

    The bare name is there only for callers of the same namespace, forms without a port only for port 80.
    """
    service = destination.service
    hosts = [f"{service}", f"{service}.svc", service.host] if service.namespace else [service.host]
    if service.namespace and service.namespace == namespace:
        hosts.insert(0, service.name)
    with_port = [f"{host}:{destination.port}" for host in hosts]
    return (*hosts, *with_port) if destination.port == DEFAULT_PORT else tuple(with_port)
