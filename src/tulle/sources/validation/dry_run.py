"""The annotation `istio.io/dry-run`. Source: Istio, pkg/config/validation (checkDryRunAnnotation)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.resources.authorization_policy import (
    DRY_RUN_ANNOTATION,
    AuthorizationAction,
    AuthorizationPolicy,
    dry_run,
)
from tulle.sources.at import At


def check(annotations: Mapping[str, str], spec: Any, at: At) -> None:
    """at: of the annotations."""
    text = annotations.get(DRY_RUN_ANNOTATION)
    if text is None:
        return
    place = at.key(DRY_RUN_ANNOTATION)
    if not isinstance(spec, AuthorizationPolicy):
        place.error("is for AuthorizationPolicies alone: remove it")
    elif spec.action not in (AuthorizationAction.ALLOW, AuthorizationAction.DENY):
        place.error(f"is for the actions ALLOW and DENY alone, and this one is {spec.action}: remove it")
    elif dry_run(annotations) is None:
        place.error(f'{text!r} is neither "true" nor "false": write one of them')
