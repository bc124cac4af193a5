"""What there is to see of a running mesh: the API's `Mesh`, read from the hub at the moment of asking."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import tulle
from tulle.api.views import (
    CollectorView,
    ConfigView,
    InstanceView,
    MistakeView,
    PortView,
    ProxyView,
    RejectedView,
    ResourceView,
    ServiceView,
    StatusView,
)
from tulle.control_plane.timeline import Timeline
from tulle.envoy_api.messages import ANY, message, to_dict
from tulle.model.mutual_tls import MutualTls
from tulle.model.workload import Health, Proxy
from tulle.pipeline.hub import Hub
from tulle.pipeline.view import View
from tulle.resolve.access.mutual_tls import modes, port_modes
from tulle.resolve.mesh import Instance, Service
from tulle.xds.resources import CDS, EDS, LDS, RDS, VHDS, Resource


class Inspection:
    """data: the state folder, xds_port: where Envoys connect, started_at: Unix time, envoy: the version spoken to.

    web_port: where the dashboard is; None: nowhere. traces: says why none are kept now, or "".
    collectors: those that did not take something lately, and how many deliveries.
    """

    def __init__(
        self,
        hub: Hub,
        timeline: Timeline,
        data: str,
        xds_port: int,
        started_at: float,
        envoy: str,
        web_port: int | None,
        traces: Callable[[], str],
        collectors: Callable[[], Mapping[str, int]],
    ) -> None:
        self._web_port, self._traces, self._collectors = web_port, traces, collectors
        self._hub = hub
        self._timeline = timeline
        self._data, self._xds_port, self._started_at, self._envoy = data, xds_port, started_at, envoy

    def status(self) -> StatusView:
        services = self._hub.mesh.services.values()
        views = [view for proxy in self._hub.mesh.proxies if (view := self._newest(proxy))]
        return StatusView(
            version=tulle.__version__,
            envoy=self._envoy,
            data=self._data,
            pid=os.getpid(),
            started_at=self._started_at,
            xds_port=self._xds_port,
            services=len(services),
            instances=sum(len(s.instances) for s in services),
            healthy=sum(_count(s, Health.HEALTHY) for s in services),
            running=sum(_count(s, Health.RUNNING) for s in services),
            proxies=len(self._hub.mesh.proxies),
            connected=len(views),
            in_sync=sum(view.ready for view in views),
            refused=sum(view.allowance.refused for view in views),
            problems=[MistakeView(part, why) for part, why in self._hub.problems],
            web_port=self._web_port,
            traces=self._traces(),
            collectors=[CollectorView(name, failed) for name, failed in self._collectors().items()],
        )

    def services(self) -> list[ServiceView]:
        services = self._hub.mesh.services
        return [self._service(services[name]) for name in sorted(services, key=lambda n: (n.name, n.namespace))]

    def proxies(self) -> list[ProxyView]:
        proxies = self._hub.mesh.proxies
        return [self._proxy(proxies[name]) for name in sorted(proxies)]

    def proxy(self, name: str) -> ProxyView | None:
        found = self._hub.mesh.proxies.get(name)
        return self._proxy(found) if found else None

    def identity(self, name: str) -> str | None:
        found = self._hub.mesh.proxies.get(name)
        return found.workloads[0].identity if found else None

    def config(self, name: str) -> ConfigView | None:
        if name not in self._hub.mesh.proxies:
            return None
        view = self._newest(name)
        wanted = sorted(view.session.wanted, key=lambda r: r.name) if view else []

        def of(*types: str) -> list[ResourceView]:
            return [_resource(view, r) for r in wanted if view and r.type_url in types and r.body]

        return ConfigView(listeners=of(LDS), routes=of(RDS, VHDS), clusters=of(CDS), endpoints=of(EDS))

    def _service(self, service: Service) -> ServiceView:
        return ServiceView(
            name=service.name.name,
            namespace=service.name.namespace,
            host=service.name.host,
            ports=[
                PortView(port.number, port.protocol, port.name, self._taken(service, port.number))
                for port in service.ports
            ],
            instances=[self._instance(instance) for instance in service.instances],
            healthy=_count(service, Health.HEALTHY),
            running=_count(service, Health.RUNNING),
            vip=service.vip,
        )

    def _taken(self, service: Service, number: int) -> list[MutualTls]:
        """What instances take at a port."""
        declared = self._hub.mesh.declared
        modes_by_port = [port_modes(modes(declared, i.workload), i.workload) for i in service.instances]
        return sorted({by_port[number] for by_port in modes_by_port if number in by_port})

    def _instance(self, instance: Instance) -> InstanceView:
        workload = instance.workload
        return InstanceView(
            id=workload.id,
            health=workload.health,
            address=instance.address,
            port=instance.port,
            version=workload.version,
            labels=dict(workload.labels),
            since=self._timeline.health_since(instance.proxy, workload.id),
            weight=workload.weight,
            locality=workload.locality,
        )

    def _proxy(self, proxy: Proxy) -> ProxyView:
        workload, view = proxy.workloads[0], self._newest(proxy.id)
        sync = self._timeline.sync(view) if view else None
        return ProxyView(
            id=proxy.id,
            service=workload.service.name,
            namespace=workload.service.namespace,
            health=workload.health,
            address=proxy.address,
            inbound_port=proxy.inbound_port,
            outbound_port=proxy.outbound_port,
            connected=view is not None,
            in_sync=view is not None and view.ready,
            connected_since=sync.connected_since if sync else None,
            since=sync.since if sync else None,
            names=view.destinations if view else 0,
            strangers=view.strangers if view else 0,
            refused=view.allowance.refused if view else 0,
            rejected=_rejected(view) if view else [],
            capture=proxy.capture,
            problems=[MistakeView(part, why) for part, why in view.mistakes] if view else [],
            metrics=proxy.metrics,
        )

    def _newest(self, proxy: str) -> View | None:
        views = self._hub.views.get(proxy)
        return views[-1] if views else None


def _count(service: Service, health: Health) -> int:
    return sum(i.workload.health is health for i in service.instances)


def _rejected(view: View) -> list[RejectedView]:
    return [
        RejectedView(f"{event.type_url.rpartition('.')[2]} {event.name}", event.message) for event in view.rejections
    ]


def _resource(view: View, resource: Resource) -> ResourceView:
    return ResourceView(
        name=resource.name,
        version=resource.version,
        state=view.session.progress(resource.type_url, resource.name),
        resource={k: v for k, v in to_dict(message(ANY).FromString(resource.body)).items() if k != "@type"},
    )
