"""Copies of requests that go to other services as well."""

from __future__ import annotations

from tulle.model.resources.common import Percent
from tulle.model.resources.virtual_service import HTTPRoute
from tulle.sources.at import At
from tulle.sources.validation import destinations


def check(route: HTTPRoute, at: At) -> None:
    """at: of the route."""
    destinations.check(route.mirror, at.field("mirror"))
    if route.mirror_percent is not None:
        place = at.field("mirrorPercent")
        place.warning("is the old form: write `mirrorPercentage: {value: …}`")
        if route.mirror_percent > 100:
            place.error(f"is {route.mirror_percent}: use 0 to 100")
    _check_percentage(route.mirror_percentage, at.field("mirrorPercentage"))
    if route.mirror is None and route.mirror_percentage is not None:
        at.field("mirrorPercentage").warning("does nothing without `mirror`: give it, or take this out")
    for index, mirror in enumerate(route.mirrors):
        place = at.field("mirrors").item(index)
        if mirror.destination is None:
            place.field("destination").error("is needed: name the service, `destination: {host: …}`")
        destinations.check(mirror.destination, place.field("destination"))
        _check_percentage(mirror.percentage, place.field("percentage"))


def _check_percentage(percentage: Percent | None, at: At) -> None:
    if percentage is not None and not 0 <= percentage.value <= 100:
        at.field("value").error(f"is {percentage.value:g}: use 0 to 100")
