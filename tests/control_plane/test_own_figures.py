"""The control plane's own figures: what happens to a real one is in them."""

from __future__ import annotations

import asyncio
import http.client
import re
from pathlib import Path
from typing import Any

from tulle.config import Settings
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.running import running
from tulle.control_plane.timeline import Timeline
from tulle.model.names import ServiceName
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Proxy, ServicePort, Workload
from tulle.telemetry.own import Own
from tulle.xds.requests import Request
from tulle.xds.resources import CDS, EDS, Resource, response, type_of

WEB = Proxy(
    "web-1",
    "127.0.0.1",
    1,
    2,
    (Workload("web-1", ServiceName("default", "web"), "web", ports=(ServicePort(80, 8080),)),),
)


def figures(text: bytes) -> dict[str, float]:
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_what_happens_is_counted_under_istios_names() -> None:
    own = Own("0.1.0")
    own.pushed("cds", 1234)
    own.pushed("cds", 10)
    own.refused("lds")
    own.made_pushes(0.003)
    own.converged(0.2)
    own.certificate(issued=True)
    own.certificate(issued=False)
    own.wrote(0.001, True)
    own.wrote(5.0, False)
    own.answered("GET /v1/status", 200, 0.01)
    found = figures(own.text)
    assert found['pilot_xds_pushes{type="cds"}'] == 2
    assert found['pilot_xds_config_size_bytes_sum{type="cds"}'] == 1244
    assert found['pilot_total_xds_rejects{type="lds"}'] == 1
    assert (
        found['pilot_xds_push_time_bucket{le="0.0025"}'] == 0 and found['pilot_xds_push_time_bucket{le="0.005"}'] == 1
    )
    assert found['pilot_proxy_convergence_time_bucket{le="0.25"}'] == 1
    assert (found["citadel_server_csr_count"], found["citadel_server_success_cert_issuance_count"]) == (2, 1)
    assert (found["tulle_store_write_seconds_count"], found["tulle_store_write_errors_total"]) == (1, 1)
    assert found['tulle_api_requests_total{code="200",route="GET /v1/status"}'] == 1
    assert found['istio_build{component="pilot",tag="0.1.0"}'] == 1
    assert found["process_open_fds"] > 0 and found["process_resident_memory_bytes"] > 0
    assert not [name for name in found if "_created" in name]


def test_each_control_plane_has_figures_of_its_own() -> None:
    one, other = Own("1"), Own("1")
    one.refused("cds")
    counts = [figures(each.text)['pilot_total_xds_rejects{type="cds"}'] for each in (one, other)]
    assert counts == [1, 0]


def test_what_an_alert_looks_for_is_there_before_it_happens() -> None:
    """Of a series that appears with its first event Prometheus knows no increase."""
    found = figures(Own("1").text)
    assert {name: value for name, value in found.items() if name.startswith("pilot_total_xds_rejects")} == {
        f'pilot_total_xds_rejects{{type="{kind}"}}': 0 for kind in ("cds", "eds", "lds", "rds", "vhds", "sds")
    }
    assert found["tulle_store_write_errors_total"] == 0


def test_the_type_of_a_response_is_read_from_its_end() -> None:
    body = b"\x0a\x10type.googleapis.com/some*thing" * 3
    for kind in (CDS, EDS):
        assert type_of(response(kind, "17", [Resource(kind, "a", "1", body)], ["b"])) == kind
        assert type_of(response(kind, "*")) == kind


def test_convergence_is_from_a_change_to_its_acknowledgement() -> None:
    now, took = [0.0], list[float]()
    mesh = LiveMesh(Timeline(lambda: 0.0), lambda: now[0], took.append)
    mesh._spread(mesh.hub.apply(Snapshot(1, proxies={WEB.id: WEB})))
    view = mesh.connect(WEB.id, lambda: None)
    now[0] = 3.0
    for kind in list(view.session._state.subscriptions):
        mesh.receive(view, Request(kind))
    sent = 0
    while responses := view.flush():
        for one in responses:
            sent += 1
            now[0] = 5.0
            mesh.receive(view, Request(type_of(one), nonce=str(sent)))
    assert view.ready and took == [5.0]
    mesh.disconnect(view)
    assert mesh._behind == {}


async def test_anybody_on_loopback_may_read_them_and_they_tell_of_the_real_one(tmp_path: Path) -> None:
    async with running(Settings(tmp_path)) as mesh:
        port = int((tmp_path / "web-port").read_text())

        def ask(path: str) -> tuple[int, str, bytes]:
            asking = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            asking.request("GET", path)
            answer = asking.getresponse()
            try:
                return answer.status, answer.headers["content-type"], answer.read()
            finally:
                asking.close()

        status, kind, text = await asyncio.to_thread(ask, "/metrics")
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        assert (await asyncio.to_thread(ask, "/v1/status"))[0] == 401
        status, _, text = await asyncio.to_thread(ask, "/metrics")
        assert mesh.hub.mesh.revision >= 0
    found: dict[str, Any] = figures(text)
    assert found["pilot_services"] == found["pilot_xds"] == found["tulle_proxies"] == found["tulle_agent_sessions"] == 0
    assert found['tulle_api_requests_total{code="200",route="GET /metrics"}'] == 1
    assert found['tulle_api_requests_total{code="401",route="GET /v1/status"}'] == 1
    assert 9 * 365 * 86400 < found["citadel_server_root_cert_expiry_seconds"] < 11 * 365 * 86400
    assert 0 < found["citadel_server_cert_chain_expiry_timestamp"] < found["citadel_server_root_cert_expiry_timestamp"]
    # Each is told what it is.
    for name in found:
        family = re.sub(r"{.*", "", name)
        assert any(
            f"# HELP {family.removesuffix(end)}".encode() in text for end in ("", "_bucket", "_count", "_sum")
        ), name
