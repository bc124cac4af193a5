"""A strict reader of Prometheus' text format 0.0.4: what it lets pass, Prometheus does.

Source: Prometheus, "Exposition formats", text-based format.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(,|$)')
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)( -?\d+)?")
_PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}

Labels = frozenset[tuple[str, str]]


class Page(NamedTuple):
    """kinds: by metric. samples: by the sample's name and labels."""

    kinds: dict[str, str]
    samples: dict[tuple[str, Labels], float]

    def value(self, name: str, **labels: str) -> float:
        """The sum over all series that have these labels."""
        wanted = set(labels.items())
        return sum(value for (each, found), value in self.samples.items() if each == name and wanted <= found)

    def labels(self, name: str) -> list[dict[str, str]]:
        return [dict(found) for each, found in self.samples if each == name]


def read(text: str) -> Page:
    """Raises AssertionError for anything that is not right."""
    assert text.endswith("\n")
    page = Page({}, {})
    metric, helped, closed = "", set[str](), set[str]()
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            _, what, name, *rest = line.split(" ", 3)
            if name != metric:
                closed.add(metric)
            assert name not in closed, f"{name} is in two places"
            metric = name
            if what == "TYPE":
                assert name not in page.kinds, line
                page.kinds[name] = rest[0]
                assert rest[0] in ("counter", "gauge", "histogram", "summary", "untyped"), line
            else:
                assert what == "HELP" and name not in helped and name not in page.kinds, line
                helped.add(name)
            continue
        found = _SAMPLE.fullmatch(line)
        assert found, line
        kind = page.kinds.get(metric, "untyped")
        if found[1] not in [metric + part for part in _PARTS.get(kind, ("",))]:
            assert found[1] not in closed | page.kinds.keys(), f"{found[1]} is in two places"
            closed.add(metric)
            metric = found[1]
        key = (found[1], _labels(found[2] or ""))
        assert key not in page.samples, f"twice: {line}"
        page.samples[key] = float(found[3])
    _check_histograms(page)
    return page


def _labels(text: str) -> Labels:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        assert match, text
        found.append((match[1], re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), match[2])))
        at = match.end()
    assert len({name for name, _ in found}) == len(found), f"a label is there twice: {text}"
    return frozenset(found)


def _check_histograms(page: Page) -> None:
    for name, kind in page.kinds.items():
        buckets: dict[Labels, list[tuple[float, float]]] = {}
        for (sample, labels), value in page.samples.items():
            if kind == "histogram" and sample == f"{name}_bucket":
                bound = float(dict(labels)["le"])
                rest = frozenset(each for each in labels if each[0] != "le")
                buckets.setdefault(rest, []).append((bound, value))
        for labels, pairs in buckets.items():
            assert pairs == sorted(pairs) and [v for _, v in pairs] == sorted(v for _, v in pairs), (name, labels)
            assert pairs[-1] == (float("inf"), page.samples[f"{name}_count", labels])
            assert (f"{name}_sum", labels) in page.samples
