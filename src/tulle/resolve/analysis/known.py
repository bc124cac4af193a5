"""What there is in a mesh, looked up again and again while it is analysed: each thing is worked out once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

from msgspec.structs import replace

from tulle.model.names import ServiceName, service_of
from tulle.model.resources.destination_rule import DestinationRule
from tulle.model.resources.request_authentication import RequestAuthentication
from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.workload import Workload
from tulle.resolve.analysis.identities import Identities
from tulle.resolve.analysis.peers import Peers
from tulle.resolve.analysis.policed import Policed
from tulle.resolve.analysis.winners import losers, of_service_entry, of_virtual_service
from tulle.resolve.callers import Caller
from tulle.resolve.declared import Declared
from tulle.resolve.entries import known_ports
from tulle.resolve.hosts import full, wildcards
from tulle.resolve.labels import Labelled
from tulle.resolve.mesh import Mesh, Service
from tulle.resolve.rules import MESH_GATEWAY, Scope
from tulle.resolve.services import find, offer
from tulle.resolve.workload_entries import completed, group_of

_EVERYTHING = Scope()


class Known:
    """Lives as long as one analysis of a mesh."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.declared = mesh.declared
        self._offered: dict[tuple[str, str], bool] = {}
        self._subsets: dict[str, frozenset[str]] = {}
        self._losers: dict[tuple[str, str], Mapping[Ref, Resource]] = {}
        self._policed: dict[tuple[str, frozenset[tuple[str, str]]], Policed] = {}

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """Those in which there is somebody who may call."""
        return frozenset(self.workloads) | frozenset(self.mesh.namespaces)

    @cached_property
    def workloads(self) -> Mapping[str, list[Workload]]:
        """All that are alive, by namespace."""
        found: defaultdict[str, list[Workload]] = defaultdict(list)
        for proxy in self.mesh.proxies.values():
            for workload in proxy.workloads:
                found[workload.service.namespace].append(workload)
        return found

    def service(self, host: str) -> Service | None:
        """What has this fully qualified host; a wildcard's over it, if that is all there is."""
        return find(self.mesh, service_of(host))

    def is_offered(self, host: str, namespace: str) -> bool:
        """Whether callers of a namespace may see that service. host: fully qualified."""
        key = (host, namespace)
        if key not in self._offered:
            self._offered[key] = offer(self.mesh, Caller(namespace), _EVERYTHING, service_of(host)) is not None
        return self._offered[key]

    def is_covered(self, wildcard: str, namespace: str = "*") -> bool:
        """Whether a wildcard names a host of any service, or of one of a namespace."""
        return (namespace, wildcard) in self._covered

    @cached_property
    def _covered(self) -> frozenset[tuple[str, str]]:
        return frozenset(
            (space, pattern)
            for service in self.mesh.services.values()
            for pattern in (service.name.host, *wildcards(service.name.host))
            for space in ("*", *_spaces(service))
        )

    def numbers(self, service: Service) -> frozenset[int]:
        """Of its ports, whoever declares them."""
        declared = (port.number for entry in service.entries for port in known_ports(entry))
        return frozenset((*(port.number for port in service.ports), *declared))

    def subsets(self, host: str) -> frozenset[str]:
        """The names that DestinationRules give to subsets of a host."""
        if host not in self._subsets:
            rules = (r for key in (host, *wildcards(host)) for r in self.declared.destination_rules.get(key, ()))
            self._subsets[host] = frozenset(
                subset.name for rule in rules if isinstance(rule.spec, DestinationRule) for subset in rule.spec.subsets
            )
        return self._subsets[host]

    def lost_routes(self, host: str) -> Mapping[Ref, Resource]:
        """The VirtualServices of a host that route nobody's requests to it, and who does so instead."""
        return self._lost("VirtualService", host)

    def lost_entries(self, host: str) -> Mapping[Ref, Resource]:
        """The ServiceEntries of a host that count for nobody, and which one counts instead."""
        return self._lost("ServiceEntry", host)

    def _lost(self, kind: str, host: str) -> Mapping[Ref, Resource]:
        if (kind, host) not in self._losers:
            config = self.declared.config
            if kind == "VirtualService":
                routing = [r for r in self.declared.virtual_services.get(host, ()) if routes_sidecars(r)]
                claims = [of_virtual_service(r, config.default_virtual_service_export_to) for r in routing]
            else:
                entries = self.declared.service_entries.get(host, ())
                claims = [of_service_entry(r, config.default_service_export_to) for r in entries]
            self._losers[kind, host] = losers(claims) if len(claims) > 1 else {}
        return self._losers[kind, host]

    def policed(self, labels: Mapping[str, str], namespace: str) -> Policed:
        """For whom a policy of a namespace with this selector is."""
        key = (namespace, frozenset(labels.items()))
        if key not in self._policed:
            root = namespace == self.declared.root_namespace
            spaces = sorted(self._sidecars) if root else [namespace] if namespace in self._sidecars else []
            self._policed[key] = self.these(tuple(one for s in spaces for one in self._sidecars[s].having(labels)))
        return self._policed[key]

    def these(self, workloads: tuple[Workload, ...]) -> Policed:
        return Policed(workloads, self._issuers)

    @cached_property
    def _issuers(self) -> Declared:
        """RequestAuthentications alone, so that they are found quickly among many policies."""
        found = {
            space: tuple(one for one in policies if isinstance(one.spec, RequestAuthentication))
            for space, policies in self.declared.policies.items()
        }
        return replace(self.declared, policies={space: there for space, there in found.items() if there})

    @cached_property
    def identities(self) -> Identities:
        return Identities(self.mesh)

    @cached_property
    def peers(self) -> Peers:
        return Peers(self.declared, self._sidecars)

    @cached_property
    def _sidecars(self) -> Mapping[str, Labelled[Workload]]:
        return {space: Labelled((one.tags, one) for one in there) for space, there in self.workloads.items()}

    @cached_property
    def _labelled(self) -> Mapping[str, Labelled[None]]:
        """Workloads and WorkloadEntries, by namespace."""
        found: defaultdict[str, list[tuple[Mapping[str, str], None]]] = defaultdict(list)
        for space, there in self.workloads.items():
            found[space] += ((one.tags, None) for one in there)
        for space, entries in self.declared.workload_entries.items():
            found[space] += ((self.labels(entry), None) for entry in entries)
        return {space: Labelled(pairs) for space, pairs in found.items()}

    @cached_property
    def _selectors(self) -> Mapping[str, Mapping[tuple[str, str] | None, list[Mapping[str, str]]]]:
        """The labels by which ServiceEntries select, by namespace and by the first label of each; None: they select all."""
        found: defaultdict[str, defaultdict[tuple[str, str] | None, list[Mapping[str, str]]]]
        found = defaultdict(lambda: defaultdict(list))
        for namespace, entries in self.declared.selecting.items():
            for entry in entries:
                if isinstance(entry.spec, ServiceEntry) and entry.spec.workload_selector is not None:
                    labels = entry.spec.workload_selector.labels
                    found[namespace][next(iter(labels.items()), None)].append(labels)
        return found

    @cached_property
    def groups(self) -> frozenset[Ref]:
        """The WorkloadGroups to which a WorkloadEntry belongs, whether or not they are there."""
        entries = (entry for there in self.declared.workload_entries.values() for entry in there)
        return frozenset(group for entry in entries if (group := group_of(entry)))

    def labels(self, entry: Resource) -> Mapping[str, str]:
        """Of a WorkloadEntry, with those of its group."""
        return completed(entry, self.declared.resources).labels

    def is_selected(self, labels: Mapping[str, str], namespace: str) -> bool:
        """Whether some ServiceEntry of the namespace selects what has these labels."""
        there = self._selectors.get(namespace, {})
        return any(wanted.items() <= labels.items() for key in (None, *labels.items()) for wanted in there.get(key, ()))

    def selects(self, labels: Mapping[str, str], namespace: str) -> bool:
        """Whether a workload or a WorkloadEntry of the namespace has these labels."""
        return namespace in self._labelled and self._labelled[namespace].has(labels)

    def nobody(self, host: str, namespace: str) -> str:
        """That no service has a host in a document of a namespace, and which one may be meant."""
        whole = full(host, namespace)
        written = host if whole == host.lower() else f"{host} ({whole})"
        near = self.instead(host, namespace)
        return f"no service has the host {written}{f'; did you mean {near}?' if near else ''}"

    def instead(self, host: str, namespace: str) -> str:
        """The full host of the service that a user of short names may have meant: Istio takes `name.namespace` literally."""
        labels = host.lower().removesuffix(".svc").split(".")
        if len(labels) == 2 and (name := ServiceName(labels[1], labels[0])) in self.mesh.services:
            return name.host
        if len(labels) == 1:
            others = [space for space in self._named.get(labels[0], ()) if space != namespace]
            return ServiceName(others[0], labels[0]).host if len(others) == 1 else ""
        return ""

    @cached_property
    def _named(self) -> Mapping[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(self.mesh.services):
            if name.namespace:
                found[name.name].append(name.namespace)
        return found


def routes_sidecars(resource: Resource) -> bool:
    """Whether a VirtualService is for sidecars, and not for gateways alone."""
    gateways = getattr(resource.spec, "gateways", ())
    return not gateways or MESH_GATEWAY in gateways


def _spaces(service: Service) -> Iterator[str]:
    """The namespaces to which it belongs."""
    if service.name.namespace:
        yield service.name.namespace
    yield from {entry.ref.namespace for entry in service.entries}
