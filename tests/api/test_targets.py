"""Where Prometheus is told that figures are: at every agent that serves some, and at the control plane."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tulle.api.prometheus import Target, target_of


def test_an_agent_that_serves_figures_is_a_target_and_no_other(web: Any) -> None:
    assert target_of(web) is None
    found = target_of(replace(web, metrics="127.0.0.1:9100"))
    labels = {"job": "tulle-sidecars", "instance": "web-3fa2c1", "namespace": "default", "service": "web"}
    assert found == Target(("127.0.0.1:9100",), {**labels, "version": "v1", "workload": "web-v1"})


async def test_the_list_is_whole_and_has_the_control_plane(api: Any) -> None:
    port = api.web_listening.getsockname()[1]
    status, found = await api.ask("GET", "/v1/prometheus/targets")
    assert (status, found) == (200, [{"targets": [f"127.0.0.1:{port}"], "labels": {"job": "tulle-control-plane"}}])
