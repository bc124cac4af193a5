"""What is decided at one port, as the sets of rules of which each is one filter's: those that deny, then those that allow.

Source: istio.io, Authorization Policy: a request that a DENY fits is denied; then, if there are ALLOW policies, one that none of
them fits. What a dry run would do is in shadow rules, of which Envoy tells and counts the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.ir.access import Access, Action
from tulle.translate.access.revoked import revoked
from tulle.translate.access.rules import rules

# In the names of what Envoy counts, and of what it tells, of shadow rules.
DRY_RUN_DENY, DRY_RUN_ALLOW, AUDIT = "dry_run_deny_", "dry_run_allow_", "audit_"


def denying(access: Access, subjects: tuple[str, ...], *, tcp: bool, first: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Settings of the filter that denies; empty if it lets everything pass.

    subjects: of revoked certificates. first: further rules, by name.
    """
    policies = [policy for policy in access.policies if policy.action is Action.DENY]
    enforced = {**revoked(subjects), **first, **rules((p for p in policies if not p.dry_run), access, tcp=tcp)}
    tried = rules((p for p in policies if p.dry_run), access, tcp=tcp)
    return {
        **({"rules": {"action": "DENY", "policies": enforced}} if enforced else {}),
        **_shadow("DENY", tried, DRY_RUN_DENY),
    }


def allowing(access: Access, *, tcp: bool) -> dict[str, Any]:
    """Settings of the filter that allows; empty if it lets everything pass.

    A dry run is of what would hold then: those that are enforced, and those that are tried.
    """
    policies = [policy for policy in access.policies if policy.action is Action.ALLOW]
    enforced = [policy for policy in policies if not policy.dry_run]
    made: dict[str, Any] = {}
    if enforced:
        made["rules"] = {"action": "ALLOW", "policies": rules(enforced, access, tcp=tcp)}
    if len(enforced) < len(policies):
        made |= _shadow("ALLOW", rules(policies, access, tcp=tcp), DRY_RUN_ALLOW, always=True)
    return made


def auditing(access: Access, *, tcp: bool) -> dict[str, Any]:
    """Settings of the filter that notes what is to be logged, and decides nothing; empty if there is nothing."""
    policies = [policy for policy in access.policies if policy.action is Action.AUDIT and not policy.dry_run]
    return _shadow("DENY", rules(policies, access, tcp=tcp), AUDIT)


def _shadow(action: str, policies: dict[str, Any], prefix: str, *, always: bool = False) -> dict[str, Any]:
    if not policies and not always:
        return {}
    return {"shadow_rules": {"action": action, "policies": policies}, "shadow_rules_stat_prefix": prefix}
