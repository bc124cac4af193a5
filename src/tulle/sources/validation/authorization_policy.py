"""AuthorizationPolicy: its action, and its rules with what not every action takes.

Source: Istio, pkg/config/validation (ValidateAuthorizationPolicy).
"""

from __future__ import annotations

from tulle.model.resources.authorization_policy import AuthorizationAction, AuthorizationPolicy, Rule
from tulle.sources.at import At
from tulle.sources.validation import authorization_rule, conditions, policy_targets

_WITHOUT_RULES = "never does anything without `rules`: add an empty one, `- {}`, to have it for all requests"
# What a CUSTOM policy can't ask, as it comes before who the caller is.
_SOURCES = {
    "principals": "principals",
    "not_principals": "notPrincipals",
    "request_principals": "requestPrincipals",
    "not_request_principals": "notRequestPrincipals",
    "namespaces": "namespaces",
    "not_namespaces": "notNamespaces",
    "service_accounts": "serviceAccounts",
    "not_service_accounts": "notServiceAccounts",
}
_CUSTOM = "can't be asked by a CUSTOM policy: leave it out, or say it in an ALLOW or DENY policy beside"


def check(spec: AuthorizationPolicy, at: At) -> None:
    policy_targets.check(spec, at)
    _check_action(spec, at)
    for index, rule in enumerate(spec.rules):
        place = at.field("rules").item(index)
        authorization_rule.check(rule, place)
        for number, condition in enumerate(rule.when):
            conditions.check(condition, place.field("when").item(number))
        if spec.action is AuthorizationAction.CUSTOM:
            _check_custom(rule, place)
        elif spec.action is AuthorizationAction.DENY and authorization_rule.is_http_alone(rule):
            place.warning(
                "asks for things of HTTP alone, so at ports that carry TCP it denies everything: "
                "add `ports` to its operations"
            )


def _check_action(spec: AuthorizationPolicy, at: At) -> None:
    action = spec.action
    if not spec.rules and action in (AuthorizationAction.DENY, AuthorizationAction.CUSTOM):
        at.field("rules").error(f"{action} {_WITHOUT_RULES}")
    if action is not AuthorizationAction.CUSTOM:
        if spec.provider is not None:
            at.field("provider").error(f"is for `action: CUSTOM`, and this one is {action}: leave it out")
    elif spec.rules and not (spec.provider and spec.provider.name):
        at.field("provider").field("name").error("is needed: one of MeshConfig's `extensionProviders`, which decides")


def _check_custom(rule: Rule, at: At) -> None:
    for index, one in enumerate(rule.from_):
        for attribute, name in _SOURCES.items():
            if getattr(one.source, attribute, ()):
                at.field("from").item(index).field("source").field(name).error(_CUSTOM)
    for index, condition in enumerate(rule.when):
        if condition.key in conditions.OF_CALLERS or condition.key.startswith(conditions.OF_TOKENS):
            at.field("when").item(index).field("key").error(f"`{condition.key}` {_CUSTOM}")
