"""`extensionProviders` of MeshConfig: services that policies ask, by name.

Source: Istio, pkg/config/validation/agent (validateExtensionProvider). Istio takes a MeshConfig whose providers are wrong,
logs it, and the policies that name them fail later: what is wrong is unsupported here, so that it is told at apply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tulle.model.ip import is_address
from tulle.model.resources.mesh_config import (
    ExtAuthzGrpcProvider,
    ExtAuthzHttpProvider,
    ExtensionProvider,
)
from tulle.model.resources.telemetry_providers import EnvoyOtelLogProvider, OpenTelemetryProvider
from tulle.sources.at import At
from tulle.sources.validation import telemetry_providers
from tulle.sources.validation.amounts import check_loose_time, check_one_of
from tulle.sources.validation.basics import check_one_line, fqdn_problem
from tulle.sources.validation.names import namespaced_host_problem

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
            place.field("name").unsupported("the provider needs a name, by which policies name it")
        elif provider.name in names:
            place.field("name").unsupported(
                f"there is a provider `{provider.name}` already: give each a name of its own"
            )
        names.add(provider.name)
        given = check_one_of(provider, place, **{name: _camel(name) for name in _PROVIDERS})
        if not given:
            place.unsupported("says nothing of what it is: give `envoyExtAuthzHttp`, `envoyFileAccessLog` or another")
        telemetry_providers.check_file(provider.envoy_file_access_log, place.field("envoyFileAccessLog"))
        for kind in ("envoy_otel_als", "opentelemetry"):
            if (collector := getattr(provider, kind)) is not None:
                _check_service(collector, place.field(_camel(kind)))
        telemetry_providers.check_logs(provider.envoy_otel_als, place.field("envoyOtelAls"))
        telemetry_providers.check_spans(provider.opentelemetry, place.field("opentelemetry"))
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
    for name in ("include_headers_in_check", "include_request_headers_in_check", "headers_to_upstream_on_allow"):
        _check_lines(getattr(provider, name), at.field(_camel(name)))
    for name in ("headers_to_downstream_on_deny", "headers_to_downstream_on_allow"):
        _check_lines(getattr(provider, name), at.field(_camel(name)))
    for header, value in provider.include_additional_headers_in_check.items():
        _check_lines((header, value), at.field("includeAdditionalHeadersInCheck"))
    prefix, place = provider.path_prefix, at.field("pathPrefix")
    if prefix and not prefix.startswith("/"):
        place.unsupported(f"`{prefix}` must begin with `/`: `/{prefix}`")
    if _BAD_ESCAPE.search(prefix) or not prefix.isprintable():
        place.unsupported(f"{prefix!r} is no path: write a `%` as `%25`, and nothing that can't be printed")


def _check_service(
    provider: ExtAuthzHttpProvider | ExtAuthzGrpcProvider | EnvoyOtelLogProvider | OpenTelemetryProvider, at: At
) -> None:
    if not 1 <= provider.port <= 65535:
        at.field("port").unsupported(f"is {provider.port}: use a port from 1 to 65535")
    if problem := service_problem(provider.service):
        at.field("service").unsupported(problem)


def _check_common(provider: ExtAuthzHttpProvider | ExtAuthzGrpcProvider, at: At) -> None:
    _check_service(provider, at)
    check_loose_time(provider.timeout, at.field("timeout"))
    body = provider.include_request_body_in_check
    if body is not None and not body.max_request_bytes:
        place = at.field("includeRequestBodyInCheck").field("maxRequestBytes")
        place.unsupported("is needed, at least 1: how much of the body Envoy holds back until there is an answer")
    status = provider.status_on_error
    if status and not (re.fullmatch(r"[+-]?[0-9]{1,9}", status) and int(status) in STATUSES - {0}):
        at.field("statusOnError").unsupported(
            f"`{status}` is no HTTP status that Envoy answers with: write `403` or `503`"
        )


def _check_lines(texts: Sequence[str], at: At) -> None:
    for text in texts:
        check_one_line(text, at)


def service_problem(service: str) -> str | None:
    """Why this is no DNS name, no IP address and no namespace/name."""
    if not service:
        return "is needed: a service, such as `authorizer.default.svc.cluster.local`"
    if "/" in service:
        return namespaced_host_problem(service)
    if is_address(service) or not (problem := fqdn_problem(service)):
        return None
    return f"{problem}; the port has a field of its own" if ":" in service else f"{problem}; or write an IP address"
