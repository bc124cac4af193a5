"""Who decides on requests that CUSTOM policies fit: the provider that they name, as a backend of the workload.

Source: Istio, pilot/pkg/security/authz/builder (CUSTOM): one provider for a workload; if it is not there, what the rules fit is
denied.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from tulle.ir.access import Action, Policy, Test, Value
from tulle.ir.authorizers import Authorizer, Body
from tulle.ir.routes import BackendRef
from tulle.model.durations import nanoseconds
from tulle.model.names import Destination, service_of
from tulle.model.resources.mesh_config import ExtAuthzGrpcProvider, ExtAuthzHttpProvider, RequestBodyInCheck
from tulle.model.workload import Protocol, Workload
from tulle.resolve import backends
from tulle.resolve.callers import Caller, caller_of
from tulle.resolve.hosts import full
from tulle.resolve.mesh import Mesh


def authorizer(mesh: Mesh, workload: Workload, policies: Iterable[Policy]) -> Authorizer | None:
    """None if no CUSTOM policy is for the workload."""
    named = sorted({p.provider for p in policies if p.action is Action.CUSTOM and not p.dry_run})
    if not named:
        return None
    if len(named) > 1:
        return Authorizer("", f"policies of one workload name several providers: {', '.join(named)}")
    return provider(mesh, caller_of(workload), named[0])


def provider(mesh: Mesh, caller: Caller, name: str) -> Authorizer:
    """MeshConfig's of that name, as the caller reaches it."""
    config = mesh.declared.config
    found = next((one for one in config.extension_providers if one.name == name), None)
    spec = found and (found.envoy_ext_authz_http or found.envoy_ext_authz_grpc)
    if not spec:
        return Authorizer(name, f"MeshConfig has no extension provider {name}")
    namespace, _, host = spec.service.rpartition("/")
    service = service_of(full(host, namespace or mesh.declared.root_namespace))
    ref = BackendRef(Destination(service, spec.port))
    basis = backends.basis(mesh, caller, ref)
    problem = _problem(basis, namespace, spec)
    if basis is not None:
        ref = BackendRef(Destination(basis.service.name, spec.port))
    common = Authorizer(
        name,
        problem,
        service,
        None if problem else ref,
        isinstance(spec, ExtAuthzGrpcProvider),
        fail_open=spec.fail_open,
        status_on_error=int(spec.status_on_error or 0),
        clear_route_cache=spec.clear_route_cache,
        body=_body(spec.include_request_body_in_check),
    )
    return _with_more(common, spec)


def _problem(basis: backends.Basis | None, namespace: str, spec: ExtAuthzHttpProvider | ExtAuthzGrpcProvider) -> str:
    if basis is None:
        return f"the mesh has no service {spec.service} with a port {spec.port}"
    offered = basis.offer
    if namespace and not offered.of_mesh and offered.entry is not None and offered.entry.ref.namespace != namespace:
        return f"no ServiceEntry of the namespace {namespace} is for {spec.service}"
    carries = basis.protocol
    if carries in (Protocol.TCP, Protocol.TLS):
        return f"port {spec.port} of {spec.service} carries {carries}, not HTTP"
    if isinstance(spec, ExtAuthzGrpcProvider) and not (carries and carries.is_http2):
        return f"port {spec.port} of {spec.service} carries {carries}, not gRPC"
    return ""


def _with_more(common: Authorizer, spec: ExtAuthzHttpProvider | ExtAuthzGrpcProvider) -> Authorizer:
    timeout = nanoseconds(spec.timeout) if spec.timeout else None
    if timeout:
        common = replace(common, timeout=timeout)
    if isinstance(spec, ExtAuthzGrpcProvider):
        return common
    return replace(
        common,
        path_prefix=spec.path_prefix,
        request_headers=_names(spec.include_request_headers_in_check or spec.include_headers_in_check),
        headers=tuple(sorted(spec.include_additional_headers_in_check.items())),
        to_program=_names(spec.headers_to_upstream_on_allow),
        to_allowed=_names(spec.headers_to_downstream_on_allow),
        to_denied=_names(spec.headers_to_downstream_on_deny),
    )


def _names(headers: Iterable[str]) -> tuple[Value, ...]:
    """`x-*` and `*-x` stand for several."""
    return tuple(_name(header.lower()) for header in headers)


def _name(header: str) -> Value:
    if header.startswith("*"):
        return Value(Test.SUFFIX, header[1:])
    return Value(Test.PREFIX, header[:-1]) if header.endswith("*") else Value(Test.EXACT, header)


def _body(said: RequestBodyInCheck | None) -> Body | None:
    return Body(said.max_request_bytes, said.allow_partial_message, said.pack_as_bytes) if said else None
