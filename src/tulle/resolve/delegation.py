"""`delegate`: the routes of other VirtualServices in the place of a root's route.

Source: Istio, Virtual Service, `delegate`, and its merge (pilot/pkg/model/virtualservice.go): a delegate's match must lie
within one of the root's; a route of which one does not is left out. What the delegate's route does not say, the root's
says for it. Delegates do not delegate further.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from tulle.model.names import ServiceName
from tulle.model.resources.common import Destination, StringMatch
from tulle.model.resources.resource import Ref
from tulle.model.resources.virtual_service import HTTPMatchRequest, HTTPRoute, VirtualService
from tulle.resolve.callers import Delegates


class Routed(Struct, frozen=True):
    """A route, and the document that made it: short names of hosts are relative to that one's namespace. place: where in it."""

    route: HTTPRoute
    ref: Ref
    place: str


def routed(spec: VirtualService, ref: Ref, delegates: Delegates) -> Iterator[Routed]:
    """A VirtualService's routes in order, its delegates' in their places. A delegate that does not exist gives none."""
    for index, route in enumerate(spec.http):
        if route.delegate is None:
            yield Routed(route, ref, f"spec.http[{index}]")
            continue
        namespace = route.delegate.namespace or ref.namespace
        found = delegates.delegate(namespace, route.delegate.name, ref.namespace)
        if found is None or not isinstance(found.spec, VirtualService) or found.spec.hosts:
            continue
        root = _with_full_names(route, ref.namespace)
        for place, part in enumerate(found.spec.http):
            merged = None if part.delegate else merge(root, part)
            if merged is not None:
                yield Routed(merged, found.ref, f"spec.http[{place}]")


def merge(root: HTTPRoute, part: HTTPRoute) -> HTTPRoute | None:
    """The delegate's route as the root lets it be; None if their matches conflict."""
    matches = _matches(root.match, part.match)
    if matches is None:
        return None
    return replace(
        part,
        match=matches,
        name=_joined(root.name, part.name),
        rewrite=part.rewrite or root.rewrite,
        direct_response=part.direct_response or root.direct_response,
        timeout=root.timeout if part.timeout is None else part.timeout,
        retries=part.retries or root.retries,
        fault=part.fault or root.fault,
        mirror=part.mirror or root.mirror,
        mirror_percent=root.mirror_percent if part.mirror_percent is None else part.mirror_percent,
        mirror_percentage=part.mirror_percentage or root.mirror_percentage,
        mirrors=part.mirrors or root.mirrors,
        cors_policy=part.cors_policy or root.cors_policy,
        headers=part.headers or root.headers,
    )


def _with_full_names(route: HTTPRoute, namespace: str) -> HTTPRoute:
    """What a delegate's route may take over names hosts as the root's namespace means them."""

    def written(destination: Destination | None) -> Destination | None:
        if destination is None or "." in destination.host:
            return destination
        return replace(destination, host=ServiceName(namespace, destination.host).host)

    mirrors = tuple(replace(mirror, destination=written(mirror.destination)) for mirror in route.mirrors)
    return replace(route, mirror=written(route.mirror), mirrors=mirrors)


def _matches(
    roots: tuple[HTTPMatchRequest, ...], parts: tuple[HTTPMatchRequest, ...]
) -> tuple[HTTPMatchRequest, ...] | None:
    if not roots or not parts:
        return roots or parts
    merged: list[HTTPMatchRequest] = []
    for part in parts:
        within = [_merged(root, part) for root in roots if not _conflict(root, part)]
        if not within:
            return None
        merged.extend(within)
    return tuple(merged)


def _merged(root: HTTPMatchRequest, part: HTTPMatchRequest) -> HTTPMatchRequest:
    return replace(
        part,
        name=_joined(root.name, part.name),
        uri=part.uri or root.uri,
        scheme=part.scheme or root.scheme,
        method=part.method or root.method,
        authority=part.authority or root.authority,
        headers={**root.headers, **part.headers},
        without_headers={**root.without_headers, **part.without_headers},
        query_params={**root.query_params, **part.query_params},
        port=part.port or root.port,
        source_labels={**root.source_labels, **part.source_labels},
        source_namespace=part.source_namespace or root.source_namespace,
        gateways=part.gateways or root.gateways,
        stat_prefix=part.stat_prefix or root.stat_prefix,
    )


def _joined(root: str, part: str) -> str:
    return f"{root}-{part}" if root and part else root or part


def _conflict(root: HTTPMatchRequest, part: HTTPMatchRequest) -> bool:
    pairs = [
        (root.uri, part.uri),
        (root.scheme, part.scheme),
        (root.method, part.method),
        (root.authority, part.authority),
        *_pairs(root.headers, part.headers),
        *_pairs(root.without_headers, part.without_headers),
        *_pairs(root.query_params, part.query_params),
    ]
    return (
        any(_outside(wide, narrow) for wide, narrow in pairs)
        or root.ignore_uri_case != part.ignore_uri_case
        or (root.port != part.port and bool(root.port and part.port))
        or _other_sources(root, part)
    )


def _other_sources(root: HTTPMatchRequest, part: HTTPMatchRequest) -> bool:
    """Whether the delegate means other callers. A namespace that the root says, it must say too, as Istio has it."""
    return (
        root.source_namespace not in ("", part.source_namespace)
        or any(root.source_labels.get(name, value) != value for name, value in part.source_labels.items())
        or (bool(root.gateways) and not set(part.gateways) <= set(root.gateways))
    )


_Pair = tuple[StringMatch | None, StringMatch | None]


def _pairs(roots: Mapping[str, StringMatch], parts: Mapping[str, StringMatch]) -> list[_Pair]:
    return [(roots.get(name), match) for name, match in parts.items()]


def _outside(root: StringMatch | None, part: StringMatch | None) -> bool:
    """Whether the delegate's condition is none that the root's covers. Of regular expressions nobody can tell: they never are."""
    if root is None or part is None:
        return False
    if root.regex or part.regex:
        return True
    if root.exact:
        return part.exact != root.exact
    return not (root.prefix and (part.prefix or part.exact or "").startswith(root.prefix))
