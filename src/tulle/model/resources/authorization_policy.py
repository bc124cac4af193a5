"""AuthorizationPolicy. Source: istio.io, Reference, Authorization Policy; Authorization Policy Conditions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import field

from tulle.model.resources.common import Message
from tulle.model.resources.policy_targets import PolicySelector, PolicyTargetReference

DRY_RUN_ANNOTATION = "istio.io/dry-run"


class AuthorizationAction(StrEnum):
    ALLOW = "ALLOW"
    DENY = "DENY"
    AUDIT = "AUDIT"
    CUSTOM = "CUSTOM"


class AuthorizationProvider(Message, frozen=True):
    """AuthorizationPolicy.ExtensionProvider: one of MeshConfig's `extensionProviders`, by name."""

    name: str = ""


class Source(Message, frozen=True):
    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    not_service_accounts: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()
    not_trust_domains: tuple[str, ...] = ()


class Operation(Message, frozen=True):
    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


class Condition(Message, frozen=True):
    key: str = ""
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


class From(Message, frozen=True):
    source: Source | None = None


class To(Message, frozen=True):
    operation: Operation | None = None


class Rule(Message, frozen=True):
    from_: tuple[From, ...] = field(default=(), name="from")
    to: tuple[To, ...] = ()
    when: tuple[Condition, ...] = ()


class AuthorizationPolicy(Message, frozen=True):
    selector: PolicySelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    rules: tuple[Rule, ...] = ()
    action: AuthorizationAction = AuthorizationAction.ALLOW
    provider: AuthorizationProvider | None = None


# As Go's strconv.ParseBool has them.
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


def dry_run(annotations: Mapping[str, str]) -> bool | None:
    """Whether a policy with these annotations only counts what it would do; None if it can't be told."""
    text = annotations.get(DRY_RUN_ANNOTATION, "false")
    return text in _TRUE if text in _TRUE | _FALSE else None
