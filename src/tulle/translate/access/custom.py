"""CUSTOM policies: a service decides on what their rules fit. Shadow rules tell which requests that are, and only about these
it is asked.

Source: Envoy, External Authorization (`filter_enabled_metadata`), RBAC (shadow rules, dynamic metadata). What comes with the
listener is there on new connections alone. So that no request passes unasked on an older one, the rules that deny, which come
with the routes, deny what a CUSTOM rule fits and the filter behind the service's has not marked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tulle.envoy_api.messages import from_dict, message, pack
from tulle.ir.access import Access, Action, Policy, Value
from tulle.ir.authorizers import Authorizer, Body
from tulle.translate import names
from tulle.translate.access.rules import rules
from tulle.translate.durations import duration

CUSTOM, TRIED = "tulle.custom", "tulle.custom.dry_run"
PREFIX, DRY_RUN = "custom_", "dry_run_custom_"
_HTTP, _TCP = "envoy.filters.http.rbac", "envoy.filters.network.rbac"
# Where the mark is.
_NAMESPACE, _ASKED = "tulle", "asked"
_RBAC = "envoy.extensions.filters.network.rbac.v3.RBAC"


def fits(access: Access, *, tcp: bool, dry_run: bool = False) -> dict[str, Any]:
    """The rules of CUSTOM policies, by name."""
    return rules((p for p in _custom(access) if p.dry_run == dry_run), access, tcp=tcp)


def unasked(access: Access, authorizer: Authorizer | None) -> dict[str, Any]:
    """Rules that deny what nobody could be asked about, or has not been asked about."""
    found = fits(access, tcp=False)
    if not found or authorizer is None or authorizer.problem:
        return found
    value = {"string_match": {"exact": authorizer.provider}}
    asked = {"metadata": {"filter": _NAMESPACE, "path": [{"key": _ASKED}], "value": value}}
    return {
        f"{name}, not asked": {
            **rule,
            "principals": [{"and_ids": {"ids": [one, {"not_id": asked}]}} for one in rule["principals"]],
        }
        for name, rule in found.items()
    }


def http_custom_filters(authorizer: Authorizer | None) -> list[dict[str, Any]]:
    """Behind the filter of the shadow rules: the one that asks, and the one that marks what has been asked about."""
    if authorizer is None or authorizer.problem:
        return []
    settings = message("envoy.extensions.filters.http.ext_authz.v3.ExtAuthz")(
        transport_api_version="V3",
        failure_mode_allow=authorizer.fail_open,
        clear_route_cache=authorizer.clear_route_cache,
        filter_enabled_metadata=_enabled(_HTTP),
        stat_prefix="custom",
        **_service(authorizer),
        **({"status_on_error": {"code": authorizer.status_on_error}} if authorizer.status_on_error else {}),
        **({"with_request_body": _body(authorizer.body)} if authorizer.body else {}),
        **({"allowed_headers": _list(authorizer.request_headers)} if authorizer.request_headers else {}),
    )
    marks = from_dict("google.protobuf.Struct", {_ASKED: authorizer.provider})
    mark = message("envoy.extensions.filters.http.set_metadata.v3.Config")(
        metadata=[{"metadata_namespace": _NAMESPACE, "value": marks, "allow_overwrite": True}]
    )
    return [
        {"name": "envoy.filters.http.ext_authz", "typed_config": pack(settings)},
        {"name": "envoy.filters.http.set_metadata", "typed_config": pack(mark)},
    ]


def tcp_custom_filters(access: Access, authorizer: Authorizer | None) -> list[dict[str, Any]]:
    """Only over gRPC can a service decide on connections. With a provider over HTTP these policies say nothing of a port that
    carries TCP. Where a port may carry HTTP they deny, as a caller may only say that this is none.
    """
    found, tried = fits(access, tcp=True), fits(access, tcp=True, dry_run=True)
    made = [_rbac(TRIED, **shadow(tried, DRY_RUN))] if tried else []
    if not found:
        return made
    if authorizer is None or authorizer.problem or not authorizer.grpc:
        is_silent = authorizer is not None and not authorizer.problem and access.tcp
        return made if is_silent else [*made, _rbac(CUSTOM, rules={"action": "DENY", "policies": found})]
    settings = message("envoy.extensions.filters.network.ext_authz.v3.ExtAuthz")(
        stat_prefix="custom",
        transport_api_version="V3",
        failure_mode_allow=authorizer.fail_open,
        filter_enabled_metadata=_enabled(_TCP),
        **_service(authorizer),
    )
    asks = {"name": "envoy.filters.network.ext_authz", "typed_config": pack(settings)}
    return [*made, _rbac(CUSTOM, **shadow(found, PREFIX)), asks]


def shadow(policies: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Settings of a filter that only tells what these rules fit."""
    return {"shadow_rules": {"action": "DENY", "policies": policies}, "shadow_rules_stat_prefix": prefix}


def _rbac(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": pack(message(_RBAC)(stat_prefix="inbound.", **settings))}


def _custom(access: Access) -> Iterable[Policy]:
    return (policy for policy in access.policies if policy.action is Action.CUSTOM)


def _enabled(namespace: str) -> dict[str, Any]:
    path = [{"key": f"{PREFIX}shadow_effective_policy_id"}]
    return {"filter": namespace, "path": path, "value": {"present_match": True}}


def _service(authorizer: Authorizer) -> dict[str, Any]:
    assert authorizer.backend is not None
    destination, cluster = authorizer.backend.destination, names.backend(authorizer.backend)
    timeout = duration(authorizer.timeout)
    if authorizer.grpc:
        # The name of the cluster, which Envoy would take, is no host.
        target = {"cluster_name": cluster, "authority": str(destination)}
        return {"grpc_service": {"envoy_grpc": target, "timeout": timeout}}
    answer = {
        "allowed_upstream_headers": _list(authorizer.to_program),
        "allowed_client_headers": _list(authorizer.to_denied),
        "allowed_client_headers_on_success": _list(authorizer.to_allowed),
    }
    more = [{"key": name, "value": value} for name, value in authorizer.headers]
    http = {
        "server_uri": {"uri": f"http://{destination}", "cluster": cluster, "timeout": timeout},
        "path_prefix": authorizer.path_prefix,
        "authorization_request": {"headers_to_add": more},
        "authorization_response": {name: value for name, value in answer.items() if value["patterns"]},
    }
    return {"http_service": http}


def _body(body: Body) -> dict[str, Any]:
    return {"max_request_bytes": body.most, "allow_partial_message": body.partial, "pack_as_bytes": body.as_bytes}


def _list(headers: Iterable[Value]) -> dict[str, Any]:
    return {"patterns": [{header.test.value: header.text, "ignore_case": True} for header in headers]}
