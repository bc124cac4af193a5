"""What Telemetry resources change about what is counted, and what bounds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from figures import counted, figures
from policy_mesh import Mesh, mesh, meshed
from tulle.envoy_api.messages import unpack
from tulle.ir.policies import Policy
from tulle.ir.telemetry import MetricOverride, Reporter, TagOverride, Telemetry
from tulle.model.packed_tags import unpacked
from tulle.translate.telemetry import metrics
from tulle.translate.telemetry.metrics import http_figures

_BACKEND = meshed(Policy())
_REQUESTS = "istio_requests_total"


def made(*overrides: MetricOverride) -> dict[str, dict[str, str]]:
    """By stat, its tags."""
    configs = [unpack(one["typed_config"]) for one in http_figures(Reporter.SOURCE, overrides)]
    stats = [one.stat for config in configs for one in (*config.counters, *config.histograms)]
    return {stat.name: unpacked({tag.name: tag.value_format for tag in stat.tags}) for stat in stats}


def test_a_metric_that_is_disabled_is_not_counted() -> None:
    assert _REQUESTS.removeprefix("istio_") not in made(MetricOverride(_REQUESTS, is_disabled=True))
    assert made(MetricOverride("", is_disabled=True)) == {}
    assert list(made(MetricOverride("", is_disabled=True), MetricOverride(_REQUESTS))) == ["requests_total"]


def test_a_label_of_ones_own_is_a_tag_and_one_taken_away_is_named() -> None:
    tags = (TagOverride("team", "'blue'"), TagOverride("source_app"), TagOverride("response_flags"))
    found = made(MetricOverride(_REQUESTS, tags=tags))
    assert found["requests_total"]["x_team"] == "%CEL('blue')%"
    assert found["requests_total"]["without"] == "response_flags,source_app"
    assert "response_flags" not in found["requests_total"]
    assert "x_team" not in found["request_bytes"]


def test_the_last_word_on_a_label_counts() -> None:
    found = made(
        MetricOverride("", tags=(TagOverride("team", "'blue'"),)),
        MetricOverride(_REQUESTS, tags=(TagOverride("team"),)),
    )
    assert found["requests_total"]["without"] == "team"
    assert found["response_bytes"]["x_team"] == "%CEL('blue')%"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with mesh(tmp_path) as found:
        yield found


async def test_envoy_sets_labels_by_expressions_also_by_one_with_a_remainder(running: Mesh) -> None:
    labels = (TagOverride("method", "request.method"), TagOverride("odd", "(request.size)%2"))
    telemetry = Telemetry(metrics=(MetricOverride(_REQUESTS, tags=labels),))
    await running.behind_sidecars(_BACKEND, await running.program("one"), telemetry=telemetry)
    await running.call(_BACKEND)
    seen = await counted(running, "requests_total", reporter="destination")
    assert (seen.tags["x_method"], seen.tags["x_odd"]) == ("GET", "0")


async def test_no_client_makes_more_series_than_there_may_be(running: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(metrics._SCOPE, "max_counters", {"value": 5})
    by_client = (TagOverride("client", "request.headers['x-client']"),)
    telemetry = Telemetry(metrics=(MetricOverride(_REQUESTS, tags=by_client),))
    await running.behind_sidecars(_BACKEND, await running.program("one"), telemetry=telemetry)
    for number in range(20):
        assert (await running.call(_BACKEND, headers=[f"x-client: {number}"])).status == 200
    counters = [one for one in await figures(running) if one.name == "requests_total"]
    assert len(counters) == 5
