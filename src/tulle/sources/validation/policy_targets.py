"""Which workloads a policy of `security.istio.io`, or a Telemetry, is for: `selector`, `targetRef`, `targetRefs`.

Source: Istio, pkg/config/validation (validateOneOfSelectorType, validateWorkloadSelector, validatePolicyTargetReference).
"""

from __future__ import annotations

from tulle.model.resources.authorization_policy import AuthorizationPolicy
from tulle.model.resources.policy_targets import PolicySelector, PolicyTargetReference
from tulle.model.resources.request_authentication import RequestAuthentication
from tulle.model.resources.telemetry import Telemetry
from tulle.sources.at import At
from tulle.sources.validation.amounts import check_count
from tulle.sources.validation.names import check_selector

_MOST = 16  # of targetRefs, by their CRDs
_GATEWAYS = "gateway.networking.k8s.io"
# Those that Istio takes, and why tulle takes only some of them.
_KINDS = {
    ("core", "Service"): "",
    (_GATEWAYS, "Gateway"): "",
    (_GATEWAYS, "GatewayClass"): "tulle has no gateways: name a Service, or select workloads by `selector`",
    (
        "networking.istio.io",
        "ServiceEntry",
    ): "a policy holds where a workload has a sidecar, and those of a ServiceEntry "
    "have none: name a Service, or select workloads by `selector`",
}


def check(spec: AuthorizationPolicy | RequestAuthentication | Telemetry, at: At) -> None:
    given = [
        *(["selector"] if spec.selector is not None else []),
        *(["targetRef"] if spec.target_ref is not None else []),
        *(["targetRefs"] if spec.target_refs else []),
    ]
    if len(given) > 1:
        at.field(given[1]).error(f"only one of {', '.join(f'`{name}`' for name in given)} may be given: keep one")
    check_policy_selector(spec.selector, at)
    if spec.target_ref is not None:
        _check_reference(spec.target_ref, at.field("targetRef"))
    check_count(spec.target_refs, at.field("targetRefs"), _MOST)
    for index, reference in enumerate(spec.target_refs):
        _check_reference(reference, at.field("targetRefs").item(index))


def check_policy_selector(selector: PolicySelector | None, at: At) -> None:
    """at: of the spec."""
    if selector is not None:
        check_selector(selector.match_labels, at.field("selector").field("matchLabels"))


def _check_reference(reference: PolicyTargetReference, at: At) -> None:
    if not reference.name:
        at.field("name").error("is needed: which one the policy is for")
    if reference.namespace:
        at.field("namespace").error("what a policy is for is in its own namespace: leave it out, and move the policy")
    reason = _KINDS.get((reference.group or "core", reference.kind))
    if reason is None:
        at.field("kind").error(
            f"`{reference.group or 'core'}/{reference.kind}` is nothing that a policy can be for: "
            'write `kind: Service` with `group: ""`'
        )
    elif reason:
        at.field("kind").unsupported(reason)
