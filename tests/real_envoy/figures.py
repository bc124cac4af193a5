"""The figures that an Envoy has counted, as Prometheus reads them."""

from __future__ import annotations

import re

from msgspec import Struct

from policy_mesh import Mesh, until
from tulle.model.packed_tags import unpacked

_LINE = re.compile(r"envoy_istio_([a-z_]+)\{(.*)\} ([0-9.e+]+)")
_TAG = re.compile(r'([a-z0-9_]+)="((?:[^"\\]|\\.)*)"')


class Series(Struct, frozen=True):
    """One line. name: without what all begin with."""

    name: str
    tags: dict[str, str]
    value: float


async def figures(mesh: Mesh) -> list[Series]:
    text = await mesh.admin("/stats/prometheus?usedonly&filter=^istio")
    lines = filter(None, map(_LINE.match, text.splitlines()))
    return [Series(line[1], unpacked(dict(_TAG.findall(line[2]))), float(line[3])) for line in lines]


async def counted(mesh: Mesh, name: str, at_least: float = 1, /, **tags: str) -> Series:
    """The one series of that name with these tags, as soon as it has come to that."""

    async def found() -> Series | None:
        fitting = [one for one in await figures(mesh) if one.name == name and tags.items() <= one.tags.items()]
        assert len(fitting) <= 1, fitting
        return fitting[0] if fitting and fitting[0].value >= at_least else None

    series: Series = await until(found)
    return series
