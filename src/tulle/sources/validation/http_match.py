"""Which requests an HTTP rule is for."""

from __future__ import annotations

from collections.abc import Mapping

from tulle.model.resources.common import StringMatch
from tulle.model.resources.virtual_service import HTTPMatchRequest, VirtualService
from tulle.sources.at import At
from tulle.sources.validation import gateway_names, string_match
from tulle.sources.validation.basics import check_labels, check_port, is_dns_label
from tulle.sources.validation.gateway_names import only_gateways
from tulle.sources.validation.header_names import check_matched_name, is_claim

# Of `withoutHeaders`: Istio takes it for "whatever it is", though it is no regular expression.
_ANY = "*"


def check(match: HTTPMatchRequest, at: At, spec: VirtualService) -> None:
    string_match.check(match.uri, at.field("uri"), empty_prefix=True)
    string_match.check(match.scheme, at.field("scheme"))
    string_match.check(match.method, at.field("method"))
    string_match.check(match.authority, at.field("authority"))
    _check_headers(match.headers, at.field("headers"), spec)
    _check_headers(match.without_headers, at.field("withoutHeaders"), spec, any_regex=True)
    for name, value in match.query_params.items():
        place = at.field("queryParams").key(name)
        if not name:
            place.unsupported("is a parameter without a name, which Envoy can't match: name it")
        string_match.check(value, place)
    if match.port:
        check_port(match.port, at.field("port"))
    check_labels(match.source_labels, at.field("sourceLabels"))
    gateway_names.check(match.gateways, at.field("gateways"))
    if match.source_namespace and not is_dns_label(match.source_namespace):
        at.field("sourceNamespace").error(f"`{match.source_namespace}` can be no namespace: write its name")


def _check_headers(
    headers: Mapping[str, StringMatch], at: At, spec: VirtualService, *, any_regex: bool = False
) -> None:
    for name, value in headers.items():
        place = at.key(name)
        check_matched_name(name, place)
        if is_claim(name) and not only_gateways(spec):
            place.error(
                f"`{name}`: claims of a JWT are known at gateways only, not in the mesh; match a header instead"
            )
        if not (any_regex and value.regex == _ANY):
            string_match.check(value, place)
