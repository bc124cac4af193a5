"""What `/metrics` says: Prometheus' text format 0.0.4.

Source: Prometheus, "Exposition formats", text-based format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tulle.agent.figures.exposition import escaped
from tulle.agent.figures.families import BOUNDS, FAMILIES, Family
from tulle.agent.figures.labels import Labels
from tulle.agent.figures.totals import Flow, Values, add

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(NamedTuple):
    """One of the agent's own, with a value for each set of labels. kind: `counter` or `gauge`."""

    name: str
    kind: str
    help: str
    samples: Iterable[tuple[Labels, float]]


def istio_lines(flows: Iterable[Flow]) -> Iterator[str]:
    """Flows that differ in what is not shown are added up."""
    by_labels: dict[Labels, Values] = {}
    for flow in flows:
        values = by_labels.setdefault(flow.shown, {})
        for name, totals in flow.totals.items():
            add(values, name, totals)
    texts = {labels: labels_text(labels) for labels in by_labels}
    for family in FAMILIES:
        there = [(texts[labels], values[family.name]) for labels, values in by_labels.items() if family.name in values]
        if there:
            yield from _head(family.name, "histogram" if family.is_histogram else "counter", family.help)
            for text, totals in there:
                yield from _samples(family, text, totals)


def metric_lines(metrics: Iterable[Metric]) -> Iterator[str]:
    for metric in metrics:
        yield from _head(metric.name, metric.kind, metric.help)
        for labels, value in metric.samples:
            text = labels_text(labels)
            yield f"{metric.name}{{{text}}} {number(value)}" if text else f"{metric.name} {number(value)}"


def labels_text(labels: Labels) -> str:
    return ",".join([f'{name}="{escaped(value)}"' for name, value in labels])


def number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _samples(family: Family, text: str, values: list[float]) -> Iterator[str]:
    name = family.name
    if not family.is_histogram:
        yield f"{name}{{{text}}} {number(values[0])}"
        return
    for bound, value in zip(BOUNDS, values[1:], strict=True):
        yield f'{name}_bucket{{{text},le="{bound}"}} {number(value)}'
    yield f"{name}_sum{{{text}}} {number(values[0])}"
    yield f"{name}_count{{{text}}} {number(values[-1])}"
