"""Golden cases: each folder of tests/golden is a story, with every stage of it in a file.

mesh.yaml is written by hand: who is registered, what is declared (documents as users write them), and what one proxy asks
for. ir.yaml and envoy.yaml are what resolve and
translate make of it; `pytest --update-golden` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from envoy_like import EnvoyLike
from tulle.envoy_api.messages import message, to_dict
from tulle.model.names import ServiceName, service_of
from tulle.model.resources.resource import SPECS, Ref
from tulle.model.resources.resource import Resource as Declared
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.snapshot import KnownPort, KnownService, Snapshot
from tulle.model.vips import candidates
from tulle.model.workload import Proxy
from tulle.pipeline.hub import Hub
from tulle.pipeline.picture import doors
from tulle.resolve import backends, outbound
from tulle.resolve.callers import caller_of
from tulle.resolve.index import apply
from tulle.resolve.meanings import meant
from tulle.resolve.mesh import Mesh
from tulle.xds.requests import Request
from tulle.xds.resources import VHDS, Resource

CASES = Path(__file__).parent.parent / "golden"


class Case:
    """One story, read from its mesh.yaml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        story = yaml.safe_load((folder / "mesh.yaml").read_text())
        self.asks: list[str] = story["asks"]
        self.proxies = msgspec.convert(story["proxies"], list[Proxy])
        self.declared = declared_in(story.get("resources", ()))
        self.gone = set(story.get("gone", ()))
        self.proxy = next(p for p in self.proxies if p.id == story["proxy"])

    def snapshots(self, proxies: list[Proxy] | None = None) -> list[Snapshot]:
        """All are registered; then those that are `gone` leave, and their services stay known."""
        proxies = self.proxies if proxies is None else proxies
        known = known_services(proxies) | {host: _host(host) for host in declared_hosts(self.declared)}
        snapshots = [Snapshot(1, {p.id: p for p in proxies}, known, resources=self.declared)]
        if self.gone:
            snapshots.append(Snapshot(2, dict.fromkeys(self.gone)))
        return snapshots

    def mesh(self) -> Mesh:
        mesh = Mesh()
        for snapshot in self.snapshots():
            mesh, _ = apply(mesh, snapshot)
        return mesh

    def ir(self) -> list[Any]:
        """The picture in mesh words: the proxy's doors, then what it asked for, in order."""
        mesh, workload = self.mesh(), self.proxy.workloads[0]
        picture: list[Any] = list(doors(mesh, self.proxy))
        for ask in self.asks:
            destination = meant(mesh, ask, workload.service.namespace)
            if destination is None:
                continue
            reached = outbound.virtual_host(mesh, workload, destination, self.proxy.capture)
            picture.append(reached.host)
            for ref in reached.backends:
                if (basis := backends.basis(mesh, caller_of(workload), ref)) is not None:
                    picture += [backends.backend(basis), backends.endpoints(basis)]
            if self.proxy.capture.is_transparent and (
                tcp := outbound.tcp_service(mesh, self.proxy, workload, destination)
            ):
                picture.append(tcp)
        return picture

    def resources(self, proxies: list[Proxy] | None = None) -> list[Resource]:
        """What the proxy should hold once it has asked, by type and name."""
        hub = Hub()
        for snapshot in self.snapshots(proxies):
            hub.apply(snapshot)
        if hub.mesh.opening:  # who is called in plain text has acknowledged its door long ago
            for proxy, _ in hub.mesh.opening:
                EnvoyLike(hub, proxy).settle()
            hub.beat()
            hub.beat()
        view = hub.connect(self.proxy.id)
        config = outbound.route_config(self.proxy.workloads[0])
        request = Request(VHDS, subscribe=tuple(f"{config}/{ask}" for ask in self.asks))
        hub.receive(view, request)
        return sorted(view.session.wanted, key=lambda r: (r.type_url, r.name))


def known_services(proxies: list[Proxy]) -> dict[ServiceName, KnownService | None]:
    """What the registry would remember of these registrations."""
    known: dict[ServiceName, KnownService | None] = {}
    for service in {w.service for p in proxies for w in p.workloads}:
        workloads = [w for p in proxies for w in p.workloads if w.service == service]
        ports = {p.number: KnownPort(p.number, p.protocol, p.name) for w in workloads for p in w.ports}
        identities = tuple(sorted({w.identity for w in workloads}))
        known[service] = KnownService(
            service, tuple(ports[n] for n in sorted(ports)), identities, next(candidates(service))
        )
    return known


def declared_in(documents: Sequence[dict[str, Any]]) -> dict[Ref, Declared | None]:
    """Documents as Istio writes them, the first one the oldest."""
    found: dict[Ref, Declared | None] = {}
    for age, document in enumerate(documents):
        metadata = document["metadata"]
        ref = Ref(document["kind"], metadata.get("namespace", "default"), metadata["name"])
        spec = msgspec.convert(document.get("spec", {}), SPECS[ref.kind])
        found[ref] = Declared(ref, spec, metadata.get("labels", {}), metadata.get("annotations", {}), float(age))
    return found


def declared_hosts(resources: Mapping[Ref, Declared | None]) -> list[ServiceName]:
    """The hosts of ServiceEntries that are no names of the mesh: as if somebody had looked them up."""
    specs = [resource.spec for resource in resources.values() if resource is not None]
    hosts = [service_of(host) for spec in specs if isinstance(spec, ServiceEntry) for host in spec.hosts]
    return [host for host in hosts if not host.namespace]


def _host(service: ServiceName) -> KnownService:
    return KnownService(service, (), (), next(candidates(service)))


def ir_yaml(picture: list[Any]) -> str:
    rows = [{type(part).__name__: msgspec.to_builtins(part, str_keys=True)} for part in picture]
    return _yaml(rows)


def envoy_yaml(resources: list[Resource]) -> str:
    rows = []
    for resource in resources:
        row: dict[str, Any] = {"name": resource.name}
        if resource.aliases:
            row["aliases"] = list(resource.aliases)
        if resource.requires:
            row["requires"] = [f"{type_url.rpartition('.')[2]} {name}" for type_url, name in resource.requires]
        row["resource"] = _folded(decoded(resource)) if resource.body else None
        rows.append(row)
    return _yaml(rows)


def decoded(resource: Resource) -> dict[str, Any]:
    packed = message("google.protobuf.Any").FromString(resource.body)
    as_dict: dict[str, Any] = to_dict(packed)
    return as_dict


def _folded(value: Any) -> Any:
    """Of figures and of the logs for the agent only names: every chain of filters has the same (tests/translate)."""
    if isinstance(value, list):
        return [_folded(each) for each in value]
    if not isinstance(value, dict):
        return value
    settings = value.get("typed_config", {})
    if settings.get("@type", "").endswith("access_loggers.stats.v3.Config"):
        kinds = (settings.get("counters", ()), settings.get("histograms", ()))
        return f"{value['name']}: {', '.join(stat['stat']['name'] for stats in kinds for stat in stats)}"
    if value.get("name") in ("calls", "calls with headers", "open connections") and "filter" in value:
        return value["name"]
    return {key: _folded(each) for key, each in value.items()}


def _yaml(value: Any) -> str:
    # Sorted, as protobuf shows maps in an order of its own in each process.
    return yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=True, width=120, allow_unicode=True)
