"""What agents report, and what they wait for: the API's `Agents` over the registry and the hub."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from msgspec.structs import replace

from tulle.api import doors
from tulle.control_plane.mesh import LiveMesh
from tulle.identity.enrolled import Enrolled
from tulle.identity.enrolled_records import EnrolledRecords
from tulle.identity.revocations import Revocations
from tulle.model.names import ServiceName
from tulle.model.workload import Health, Proxy, Workload
from tulle.pipeline.connecting import tcp_destinations
from tulle.pipeline.view import View
from tulle.registry import errors
from tulle.registry.registry import Registry
from tulle.resolve import rules
from tulle.resolve.callers import caller_of
from tulle.resolve.entries import also_served
from tulle.resolve.meanings import asked_hosts, meant
from tulle.resolve.services import Offer, offer

_NOTHING = doors.Outside()


class AgentReports:
    """records: by which an agent may register as what it has enrolled as, and as nothing else."""

    def __init__(self, registry: Registry, mesh: LiveMesh, records: EnrolledRecords, revocations: Revocations) -> None:
        self._revocations = revocations
        self._registry = registry
        self._records = records
        self._mesh = mesh
        self._hub = mesh.hub
        self._changes = mesh.changes

    async def register(self, proxy: Proxy) -> None:
        await self._check(proxy.id)
        if problem := mismatch(proxy, (await self._records.find(proxy.id)).record):
            raise doors.RegistrationRefused(problem)
        try:
            await self._registry.register(proxy)
        except errors.RegistrationRefused as error:
            raise doors.RegistrationRefused(str(error)) from error
        try:
            await self._check(proxy.id)
        except doors.ProxyRevoked:  # meanwhile, and who removes registrations may have seen none
            await self._registry.leave(proxy.id)
            raise

    async def _check(self, proxy: str) -> None:
        """Raises ProxyRevoked."""
        if why := await self._revocations.why(proxy):
            raise doors.ProxyRevoked(why)

    async def keep_alive(self, proxy: str) -> None:
        if not await self._registry.keep_alive(proxy):
            raise doors.NotRegistered(proxy)

    async def set_health(self, proxy: str, workload: str, health: Health) -> None:
        try:
            await self._registry.set_health(proxy, workload, health)
        except errors.NotRegistered as error:
            raise doors.NotRegistered(str(error)) from error

    async def leave(self, proxy: str) -> None:
        await self._registry.leave(proxy)

    async def abandon(self, proxy: str) -> None:
        await self._registry.abandon(proxy)

    async def forget(self, service: ServiceName) -> None:
        if service not in self._hub.mesh.services:
            raise doors.UnknownService(str(service))
        try:
            await self._registry.forget(service)
        except errors.StillAlive as error:
            raise doors.ServiceInUse(str(error)) from error

    async def ready(self, proxy: Proxy) -> None:
        def ready() -> bool:
            known = self._hub.mesh.proxies.get(proxy.id)
            return _same_offer(known, proxy) and any(view.ready for view in self._hub.views.get(proxy.id, ()))

        await self._changes.until(proxy.id, ready)

    async def resolve(self, proxy: str, name: str) -> str | None:
        registered = self._hub.mesh.proxies.get(proxy)
        workload = registered.workloads[0] if registered else None
        if registered is None or workload is None:
            return None
        found = self._called(workload, name)
        if found is None:
            return None
        service = found.service.name
        if not (vip := found.service.vip):
            vip = await self._given(service)
        if registered.capture.is_transparent:
            self._mesh.connects_to(proxy, service)
            await self._changes.until(
                proxy,
                lambda: self._takes(proxy, workload, service) or self._refuses(proxy, workload, service),
            )
            if self._refuses(proxy, workload, service):
                raise doors.Unreachable(
                    f"the sidecar rejected the configuration of {service}, or it can't be made: see `tulle proxies`"
                )
        return vip

    def _called(self, workload: Workload, name: str) -> Offer | None:
        """What a workload means by a name, if it may see that and it has an address, or can have one."""
        mesh, caller = self._hub.mesh, caller_of(workload)
        try:
            destination = meant(mesh, name, workload.service.namespace)
            found = (
                offer(mesh, caller, rules.scope(mesh.declared, caller), destination.service) if destination else None
            )
        except Exception as error:  # one bad name must not end the agent's session
            raise doors.Unreachable(f"tulle's own mistake with {name}: {error!r}") from error
        return found if found and (found.service.vip or found.entry) else None

    async def _given(self, service: ServiceName) -> str:
        """The address of a declared host, for good from now on; once the mesh knows it."""
        try:
            vip = await self._registry.address_of(service)
        except errors.RegistryError as error:
            raise doors.Unreachable(str(error)) from error

        def known() -> bool:
            found = self._hub.mesh.services.get(service)
            return found is None or bool(found.vip)

        await self._changes.until(service, known)
        return vip

    def outside(self, proxy: str, before: doors.Outside = _NOTHING) -> doors.Outside:
        mesh = self._hub.mesh
        registered = mesh.proxies.get(proxy)
        if registered is None:
            return doors.Outside()
        try:
            scope = rules.scope(mesh.declared, caller_of(registered.workloads[0]))
            return doors.Outside(asked_hosts(mesh), rules.passes_others(mesh.declared, scope))
        except Exception:  # which is a problem of its sidecar's routes as well, and told there
            return before

    async def outside_after(self, proxy: str, before: doors.Outside) -> doors.Outside:
        await self._changes.until(proxy, lambda: self.outside(proxy, before) != before)
        return self.outside(proxy, before)

    def idles(self, proxy: str, clusters: Collection[str]) -> None:
        self._mesh.idles(proxy, clusters)

    def _takes(self, proxy: str, workload: Workload, service: ServiceName) -> bool:
        """Every Envoy of the proxy, as two of them may share its port for a while."""
        views, mesh = self._hub.views.get(proxy, ()), self._hub.mesh
        try:
            needs_none = not tcp_destinations(mesh, workload, service)
        except Exception:
            return False
        return needs_none or (bool(views) and all(view.connecting.takes(mesh, workload, service) for view in views))

    def _refuses(self, proxy: str, workload: Workload, service: ServiceName) -> bool:
        """Or its ports can't be told, which the views have noted."""
        try:
            return any(
                view.connecting.refuses(self._hub.mesh, workload, service) for view in self._hub.views.get(proxy, ())
            )
        except Exception:
            return True

    async def settled(self, proxy: str) -> None:
        await self._changes.until(proxy, lambda: any(view.ready for view in self._hub.views.get(proxy, ())[-1:]))

    async def propagated(self, proxy: str, health: Health) -> None:
        await self._changes.until(proxy, lambda: self._has(proxy, health))
        registered = self._hub.mesh.proxies.get(proxy)
        for service in self._served(registered) if registered else ():
            for caller in self._away(service):
                await self._changes.until(caller, partial(self._is_back, caller))
            for view in self._hub.holders(service):
                await self._acknowledged(view, service)

    def _served(self, proxy: Proxy) -> set[ServiceName]:
        """Its services, and the hosts of the ServiceEntries that select its workloads."""
        own = {workload.service for workload in proxy.workloads}
        return own.union(*({d.service for d in also_served(self._hub.mesh, w)} for w in proxy.workloads))

    def _away(self, service: ServiceName) -> list[str]:
        """Registered callers of the service whose Envoys have no stream now, and so may hold something older.

        So it is for all of them for a moment after the control plane has started.
        """
        mesh = self._hub.mesh
        callers = (mesh.services.get(name) for name in mesh.callers.get(service, ()))
        proxies = {instance.proxy for caller in callers if caller for instance in caller.instances}
        return [proxy for proxy in proxies if not self._is_back(proxy)]

    def _is_back(self, proxy: str) -> bool:
        return proxy in self._hub.views or proxy not in self._hub.mesh.proxies

    async def _acknowledged(self, view: View, service: ServiceName) -> None:
        def done() -> bool:
            return view not in self._hub.views.get(view.proxy_id, ()) or view.acknowledged(service)

        await self._changes.until(view.proxy_id, done)

    def _has(self, proxy: str, health: Health) -> bool:
        registered = self._hub.mesh.proxies.get(proxy)
        return registered is not None and all(w.health is health for w in registered.workloads)


def mismatch(proxy: Proxy, record: Enrolled | None) -> str:
    """Why a proxy may not register as it wants to; "" if it may."""
    if record is None:
        return f"proxy {proxy.id} is not enrolled, or its certificates have ended: it must enrol first"
    enrolled = (record.namespace, record.service, record.service_account)
    for one in proxy.workloads:
        if (one.service.namespace, one.service.name, one.service_account) != enrolled:
            return (
                f"proxy {proxy.id} is enrolled as {record.service}.{record.namespace} with service account "
                f"{record.service_account}, and can't register as {one.service} with {one.service_account}"
            )
    return ""


def _same_offer(known: Proxy | None, proxy: Proxy) -> bool:
    """Whether a proxy is known as given, healths aside."""
    return known is not None and _without_health(known) == _without_health(proxy)


def _without_health(proxy: Proxy) -> Proxy:
    return replace(proxy, workloads=tuple(replace(one, health=Health.STARTING) for one in proxy.workloads))
