"""Hosts as Istio's documents write them: short names, wildcards, and which covers which.

Source: Istio, Virtual Service, `hosts`, and Destination Rule, `host`: a name without a dot is short, and belongs to the
namespace of the document that has it.
"""

from __future__ import annotations

from collections.abc import Iterator

from tulle.model.domain import MESH_DOMAIN


def full(host: str, namespace: str) -> str:
    """The fully qualified form of a host in a document of `namespace`, in lower case."""
    host = host.lower()
    return host if "." in host or host == "*" else f"{host}.{namespace}.svc.{MESH_DOMAIN}"


def wildcards(host: str) -> Iterator[str]:
    """The wildcards that cover a host, the most specific first: `*.b.c`, `*.c`, `*`. A wildcard is covered by wider ones."""
    labels = host.split(".")
    for start in range(1, len(labels)):
        yield ".".join(["*", *labels[start:]])
    if host != "*":
        yield "*"


def covers(pattern: str, host: str) -> bool:
    """Whether a host or a wildcard names `host`, or all that `host`, a wildcard itself, names."""
    if pattern == host or pattern == "*":
        return True
    return pattern.startswith("*.") and host.removeprefix("*").endswith(pattern[1:]) and host != pattern[2:]
