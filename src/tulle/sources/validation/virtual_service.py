"""VirtualService: what it is for, and which part of it is checked where.

Source: istio/istio, pkg/config/validation (ValidateVirtualService, virtualservice.go) and the rules of its CRD.
"""

from __future__ import annotations

from tulle.model.resources.virtual_service import VirtualService
from tulle.sources.at import At
from tulle.sources.validation import export_to, gateway_names, http_route, l4_routes, unreachable_rules, virtual_hosts


def check(spec: VirtualService, at: At) -> None:
    _check_delegate(spec, at)
    gateway_names.check(spec.gateways, at.field("gateways"))
    virtual_hosts.check(spec, at.field("hosts"))
    if not (spec.http or spec.tcp or spec.tls):
        at.error("routes nothing: give `http`, `tls` or `tcp`")
    for index, route in enumerate(spec.http):
        http_route.check(route, at.field("http").item(index), spec)
    for index, tls in enumerate(spec.tls):
        l4_routes.check_tls(tls, at.field("tls").item(index), spec)
    for index, tcp in enumerate(spec.tcp):
        l4_routes.check_tcp(tcp, at.field("tcp").item(index))
    export_to.check(spec.export_to, at.field("exportTo"))
    unreachable_rules.check(spec, at)


def _check_delegate(spec: VirtualService, at: At) -> None:
    """Without hosts it only lends its HTTP routes to another."""
    if spec.hosts:
        return
    for field, given in (("gateways", spec.gateways), ("tls", spec.tls), ("tcp", spec.tcp)):
        if given:
            at.field(field).error(
                f"a VirtualService without `hosts` is a delegate, which has no `{field}`: take it out, or give `hosts`"
            )
