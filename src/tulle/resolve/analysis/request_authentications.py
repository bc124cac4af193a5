"""RequestAuthentications: for nobody, or without a rule."""

from __future__ import annotations

from tulle.model.resources.request_authentication import RequestAuthentication
from tulle.resolve.analysis.findings import Findings
from tulle.resolve.analysis.known import Known
from tulle.resolve.analysis.whom import check_whom


def of_request_authentication(at: Findings, known: Known) -> None:
    spec = at.resource.spec
    if not isinstance(spec, RequestAuthentication):
        return
    policed = check_whom(at, known, spec)
    if not spec.jwt_rules:
        at.warning("spec.jwtRules", "it names no issuer, and so says nothing", not_in_force="it has no jwtRules")
    elif (one := policed.without_http) is not None and not policed.has_http:
        at.warning("spec.jwtRules", f"{one.service} carries no HTTP, and so no tokens: it does nothing there")
