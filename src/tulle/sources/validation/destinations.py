"""Where rules send calls: services, subsets and ports, and how calls are split among several of them."""

from __future__ import annotations

from collections.abc import Sequence

from tulle.model.resources.common import Destination
from tulle.model.resources.virtual_service import HTTPRouteDestination, RouteDestination
from tulle.sources.at import At
from tulle.sources.validation.basics import check_port, check_wildcard_host, is_dns_label

# Envoy, api/envoy/config/route/v3/route_components.proto, WeightedCluster: the sum of weights has 32 bits.
_MOST_WEIGHT = 2**32 - 1


def check(destination: Destination | None, at: At) -> None:
    if destination is None:
        return
    if destination.host == "*":
        at.field("host").error("`*` is no service: name one")
    else:
        check_wildcard_host(destination.host, at.field("host"))
    if destination.subset and not is_dns_label(destination.subset):
        at.field("subset").error(
            f"`{destination.subset}` can't be a subset's name: use letters, digits and hyphens, at most 63"
        )
    if destination.port is not None:
        check_port(destination.port.number, at.field("port").field("number"))


def check_split(routes: Sequence[HTTPRouteDestination | RouteDestination], at: At) -> None:
    """at: of the list."""
    for index, route in enumerate(routes):
        place = at.item(index)
        if route.destination is None:
            place.field("destination").error("is needed: name the service, `destination: {host: …}`")
        check(route.destination, place.field("destination"))
        if route.weight < 0:
            place.field("weight").error(f"is {route.weight}: use 0 or more")
    total = sum(route.weight for route in routes)
    if len(routes) > 1 and total == 0:
        at.error("the weights add up to 0, so that no call would go anywhere: give one of them a `weight`")
    elif total > _MOST_WEIGHT:
        at.unsupported(f"the weights add up to {total}: use smaller ones, at most {_MOST_WEIGHT} in all")
