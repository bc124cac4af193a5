"""Dashboards of Grafana 10 and 11 as values: panels in rows, and their queries (grafana.com, "Dashboard JSON model")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

_SCHEMA = 39  # of Grafana 10.4 and 11
_WHOLE = 24  # columns
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Ask(Struct, frozen=True):
    """A query and what its lines are called."""

    query: str
    legend: str = ""


class Panel(Struct, frozen=True):
    """unit: Grafana's name of it. width: in columns of 24. kind: `timeseries`, or `stat` for one number."""

    title: str
    unit: str
    asks: tuple[Ask, ...]
    width: int = 12
    height: int = 8
    kind: str = "timeseries"
    most: float | None = None  # the top of the axis


class Row(Struct, frozen=True):
    title: str
    panels: tuple[Panel, ...]


class Choice(Struct, frozen=True):
    """A variable: the values of a label."""

    name: str
    query: str
    everything: bool = False


def panel(title: str, unit: str, *asks: Ask, **more: Any) -> Panel:
    return Panel(title, unit, asks, **more)


def number(title: str, unit: str, query: str, width: int = 4) -> Panel:
    return Panel(title, unit, (Ask(query),), width, 4, "stat")


def dashboard(uid: str, title: str, rows: Sequence[Row], choices: Sequence[Choice] = ()) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": title,
        "tags": ["tulle"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_source(), *map(_variable, choices)]},
        "links": [{"type": "dashboards", "title": "tulle", "tags": ["tulle"], "asDropdown": True, "keepTime": True}],
        "panels": _laid_out(rows),
    }


def _laid_out(rows: Sequence[Row]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        place = {"x": 0, "y": top, "w": _WHOLE, "h": 1}
        made.append(
            {"id": len(made) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        )
        top, left, height = top + 1, 0, 0
        for one in row.panels:
            if left + one.width > _WHOLE:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, "w": one.width, "h": one.height}
            made.append({"id": len(made) + 1, "gridPos": place, **_panel(one)})
            left, height = left + one.width, max(height, one.height)
        top += height
    return made


def _panel(one: Panel) -> dict[str, Any]:
    is_number = one.kind == "stat"
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    if is_number:
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none", "graphMode": "area"}
    defaults: dict[str, Any] = {"unit": one.unit, "min": 0}
    if one.most is not None:
        defaults["max"] = one.most
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "editorMode": "code",
            "expr": ask.query,
            "legendFormat": ask.legend or "__auto",
            "range": True,
        }
        for number, ask in enumerate(one.asks)
    ]
    return {
        "type": one.kind,
        "title": one.title,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}}


def _variable(choice: Choice) -> dict[str, Any]:
    made = {
        "name": choice.name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": choice.query, "refId": choice.name},
        "definition": choice.query,
        "refresh": 2,
        "sort": 1,
        "includeAll": choice.everything,
        "multi": choice.everything,
    }
    return made | ({"current": {"text": "All", "value": "$__all"}} if choice.everything else {"current": {}})
