"""Access rules for HTTP. The filters are always the same; their rules come with the routes.

A listener that changes leaves connections that are open as they are; routes that change count for their next request. So what
may change while callers are connected is in the route configuration, by the names of the filters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.envoy_api.messages import message, pack
from tulle.ir.access import Access, Action
from tulle.ir.authorizers import Authorizer
from tulle.translate.access import custom, rule_sets

_AUDIT, _DENY, _ALLOW = "tulle.audit", "tulle.deny", "tulle.allow"
_RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"
_PER_ROUTE = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute"
# Counters are named by the filter, not by the routes: `http.inbound.rbac.deny_.denied`, and one for each rule by which it is.
_BY_RULE = {"track_per_rule_stats": True}
_STATS: dict[str, dict[str, Any]] = {
    custom.CUSTOM: {"shadow_rules_stat_prefix": custom.PREFIX, **_BY_RULE},
    custom.TRIED: {"shadow_rules_stat_prefix": custom.DRY_RUN, **_BY_RULE},
    _AUDIT: {"shadow_rules_stat_prefix": rule_sets.AUDIT, **_BY_RULE},
    _DENY: {"rules_stat_prefix": "deny_", "shadow_rules_stat_prefix": rule_sets.DRY_RUN_DENY, **_BY_RULE},
    # What it denies no rule fits, and to count by which it has allowed costs as much as to decide it.
    _ALLOW: {"rules_stat_prefix": "allow_", "shadow_rules_stat_prefix": rule_sets.DRY_RUN_ALLOW},
}


def access_filters(access: Access, authorizer: Authorizer | None = None) -> list[dict[str, Any]]:
    """In their order. Those for AUDIT and CUSTOM only where there is such a policy."""
    tried = [custom.TRIED] if custom.fits(access, tcp=False, dry_run=True) else []
    audit = [_AUDIT] if _audits(access) else []
    asks = custom.http_custom_filters(authorizer)
    before = [_named(name) for name in (*tried, *([custom.CUSTOM] if asks else []))]
    return [*before, *asks, *(_named(name) for name in (*audit, _DENY, _ALLOW))]


def access_by_route(access: Access, revoked: tuple[str, ...], authorizer: Authorizer | None = None) -> dict[str, Any]:
    """The rules of these filters, as a route configuration's `typed_per_filter_config`."""
    asked = custom.fits(access, tcp=False) if custom.http_custom_filters(authorizer) else {}
    tried = custom.fits(access, tcp=False, dry_run=True)
    sets = {
        custom.TRIED: custom.shadow(tried, custom.DRY_RUN) if tried else {},
        custom.CUSTOM: custom.shadow(asked, custom.PREFIX) if asked else {},
        _AUDIT: rule_sets.auditing(access, tcp=False) if _audits(access) else {},
        _DENY: rule_sets.denying(access, revoked, tcp=False, first=custom.unasked(access, authorizer)),
        _ALLOW: rule_sets.allowing(access, tcp=False),
    }
    return {
        name: pack(message(_PER_ROUTE)(rbac=_filter(name, settings))) for name, settings in sets.items() if settings
    }


def _named(name: str) -> dict[str, Any]:
    return {"name": name, "typed_config": pack(_filter(name))}


def _filter(name: str, settings: Mapping[str, Any] = {}) -> Any:
    return message(_RBAC)(**{**settings, **_STATS[name]})


def _audits(access: Access) -> bool:
    return any(policy.action is Action.AUDIT for policy in access.policies)
