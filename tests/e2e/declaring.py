"""Documents that a story applies, and takes away when it is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from running import Caller, Mesh, wait_for

_NUMBERS = count()
_NETWORKING = "networking.istio.io/v1"

Document = dict[str, Any]


def virtual_service(
    name: str, *http: Document, hosts: tuple[str, ...] = (), namespace: str = "", **spec: Any
) -> Document:
    """Of the host of its name, if nothing else is said."""
    spec = {"hosts": list(hosts or (name,)), "http": list(http), **spec}
    return document("VirtualService", name, {k: v for k, v in spec.items() if v is not None}, namespace)


def destination_rule(host: str, namespace: str = "", **spec: Any) -> Document:
    return document("DestinationRule", host, {"host": host, **spec}, namespace)


def versions(host: str, *subsets: str) -> Document:
    """A DestinationRule with a subset for each version."""
    return destination_rule(host, subsets=[{"name": name, "labels": {"version": name}} for name in subsets])


def mesh_config(**spec: Any) -> Document:
    return {"apiVersion": "mesh.istio.io/v1alpha1", "kind": "MeshConfig", "spec": spec}


def telemetry(name: str, **spec: Any) -> Document:
    return {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": {"name": name}, "spec": spec}


def document(kind: str, name: str, spec: Document, namespace: str = "") -> Document:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": _NETWORKING, "kind": kind, "metadata": metadata, "spec": spec}


def to(host: str, subset: str = "", weight: int | None = None, **more: Any) -> Document:
    """A destination of a route."""
    destination = {"host": host, **({"subset": subset} if subset else {})}
    return {"destination": destination, **({} if weight is None else {"weight": weight}), **more}


def apply(mesh: Mesh, *documents: Document, options: Sequence[str] = ()) -> Path:
    """The file in which they are."""
    file = mesh.folder / f"documents-{next(_NUMBERS)}.yaml"
    file.write_text("\n---\n".join(json.dumps(each) for each in documents))
    done = mesh.tulle("apply", "-f", str(file), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return file


@contextmanager
def applied(mesh: Mesh, *documents: Document) -> Iterator[None]:
    """They hold for as long as this lasts, for those who wait until they see it."""
    file = apply(mesh, *documents)
    try:
        yield
    finally:
        done = mesh.tulle("delete", "-f", str(file))
        assert done.returncode == 0, done.stderr


def share(caller: Caller, url: str, calls: int = 100, **headers: str) -> Counter[str]:
    """Which instances answered so many calls; a status in their place, of those that failed."""
    found: Counter[str] = Counter()
    for _ in range(calls):
        answer = caller.call(url, headers=headers)
        found[answer.json()["instance"] if answer.status == 200 else str(answer.status)] += 1
    return found


def answered_by(caller: Caller, url: str, instance: str, **headers: str) -> None:
    """Waits until the instance alone answers."""
    wait_for(f"{url} is answered by {instance}", lambda: set(share(caller, url, 5, **headers)) == {instance})
