"""`extensionProviders` of MeshConfig: services that policies ask, by name.

Source: Istio, pkg/config/validation/agent (validateExtensionProvider). Istio only logs what is wrong with one, and the
policies that name it fail later; here it is refused.
"""

from __future__ import annotations

import re

from tulle.model.resources.mesh_config import (
    ExtAuthzGrpcProvider,
    ExtAuthzHttpProvider,
    ExtensionProvider,
)
from tulle.sources.at import At
from tulle.sources.validation.amounts import check_one_of, check_time
from tulle.sources.validation.basics import check_port, fqdn_problem, is_address
from tulle.sources.validation.names import check_namespaced_host

# Envoy: type.v3.StatusCode.
STATUSES = frozenset(
    {0, 100, *range(200, 209), 226, *range(300, 306), 307, 308, *range(400, 418), *range(421, 425), 426, 428, 429}
    | {431, *range(500, 509), 510, 511}
)
_PROVIDERS = (
    "envoy_ext_authz_http",
    "envoy_ext_authz_grpc",
    "zipkin",
    "lightstep",
    "datadog",
    "stackdriver",
    "opencensus",
    "skywalking",
    "opentelemetry",
    "prometheus",
    "envoy_file_access_log",
    "envoy_http_als",
    "envoy_tcp_als",
    "envoy_otel_als",
    "sds",
)
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


def check(providers: tuple[ExtensionProvider, ...], at: At) -> None:
    names: set[str] = set()
    for index, provider in enumerate(providers):
        place = at.item(index)
        if not provider.name:
            place.field("name").error("the provider needs a name, by which policies name it")
        elif provider.name in names:
            place.field("name").error(f"there is a provider `{provider.name}` already: give each a name of its own")
        names.add(provider.name)
        given = check_one_of(provider, place, **{name: _camel(name) for name in _PROVIDERS})
        if not given:
            place.error("says nothing of what it is: give `envoyExtAuthzHttp` or `envoyExtAuthzGrpc`")
        _check_http(provider.envoy_ext_authz_http, place.field("envoyExtAuthzHttp"))
        if provider.envoy_ext_authz_grpc is not None:
            _check_common(provider.envoy_ext_authz_grpc, place.field("envoyExtAuthzGrpc"))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _check_http(provider: ExtAuthzHttpProvider | None, at: At) -> None:
    if provider is None:
        return
    _check_common(provider, at)
    prefix, place = provider.path_prefix, at.field("pathPrefix")
    if prefix and not prefix.startswith("/"):
        place.error(f"`{prefix}` must begin with `/`: `/{prefix}`")
    if _BAD_ESCAPE.search(prefix) or not prefix.isprintable():
        place.error(f"{prefix!r} is no path: write a `%` as `%25`, and nothing that can't be printed")


def _check_common(provider: ExtAuthzHttpProvider | ExtAuthzGrpcProvider, at: At) -> None:
    check_port(provider.port, at.field("port"))
    check_service(provider.service, at.field("service"))
    check_time(provider.timeout, at.field("timeout"))
    status = provider.status_on_error
    if status and not (re.fullmatch(r"[+-]?[0-9]{1,9}", status) and int(status) in STATUSES):
        at.field("statusOnError").error(f"`{status}` is no HTTP status that Envoy answers with: write `403` or `503`")


def check_service(service: str, at: At) -> None:
    """A DNS name, an IP address, or namespace/name."""
    if not service:
        at.error("is needed: the service that is asked, such as `authorizer.default.svc.cluster.local`")
    elif "/" in service:
        check_namespaced_host(service, at)
    elif not is_address(service) and (problem := fqdn_problem(service)):
        at.error(
            f"{problem}; the port has a field of its own" if ":" in service else f"{problem}; or write an IP address"
        )
