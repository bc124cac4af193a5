"""Which workloads a policy of `security.istio.io` is for. Source: istio.io, Reference, Workload Selector, Policy Targets."""

from __future__ import annotations

from collections.abc import Mapping

from tulle.model.resources.common import Message


class PolicySelector(Message, frozen=True):
    """type.v1beta1.WorkloadSelector: workloads of the policy's namespace (all, in the root namespace) with these labels."""

    match_labels: Mapping[str, str] = {}


class PolicyTargetReference(Message, frozen=True):
    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
