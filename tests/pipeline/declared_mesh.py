"""A mesh made of documents as users write them, and of instances."""

from __future__ import annotations

from textwrap import dedent

from msgspec.structs import replace

from tulle.model.names import ServiceName
from tulle.model.resources.resource import APIS, Resource
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Protocol, Proxy, ServicePort, Workload
from tulle.resolve.index import apply
from tulle.resolve.mesh import Mesh
from tulle.sources.codec import read


def resources(*documents: str, namespace: str = "default") -> list[Resource]:
    """Each text is one document without its apiVersion, which may begin with its kind and name: `VirtualService a`.

    Each is older than the next.
    """
    found = []
    for age, text in enumerate(documents):
        head, _, spec = dedent(text).strip().partition("\n")
        kind, name = head.split()
        space, _, short = name.rpartition("/")
        lines = "\n".join(f"  {line}" for line in spec.splitlines())
        document = (
            f"apiVersion: {APIS[kind]}\nkind: {kind}\n"
            f"metadata: {{name: {short}, namespace: {space or namespace}}}\nspec:\n{lines}\n"
        )
        (checked,) = read(document.encode(), f"{short}.yaml", namespace)
        assert checked.resource is not None, checked.problems
        found.append(replace(checked.resource, created=1000.0 + age))
    return found


def instance(
    name: str,
    namespace: str = "default",
    version: str = "v1",
    number: int = 0,
    port: int = 80,
    protocol: Protocol = Protocol.HTTP,
) -> Proxy:
    service = ServiceName(namespace, name)
    id = f"{name}-{namespace}-{version}-{number}"
    ports = (ServicePort(port, 8080, protocol),)
    workload = Workload(id, service, name, version, ports=ports, health=Health.HEALTHY)
    return Proxy(id, "127.0.0.1", 20000, 30000, (workload,))


def mesh(*documents: str, there: tuple[Proxy, ...] = ()) -> Mesh:
    declared = {resource.ref: resource for resource in resources(*documents)}
    return apply(Mesh(), Snapshot(1, {proxy.id: proxy for proxy in there}, resources=declared))[0]
