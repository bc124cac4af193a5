"""Which endpoints a sidecar leaves out, as its agent tells when it is asked."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from tulle.agent.ejections import Ejections
from tulle.agent.endpoints import Endpoints, LeftOut, left_out
from tulle.agent.reports import Reports

CLUSTER = "outbound|80||b.default.svc.cluster.local"
ADDRESS = "10.0.0.3:80"


def event(action: str = "EJECT", address: str = ADDRESS, **about: Any) -> bytes:
    said = {
        "type": "CONSECUTIVE_5XX",
        "timestamp": "2026-11-27T01:13:54.245Z",
        "secs_since_last_action": "5",
        "cluster_name": CLUSTER,
        "upstream_url": address,
        "action": action,
        "num_ejections": 2,
        "enforced": True,
    }
    return json.dumps(said | about).encode() + b"\n"


def ejections() -> Ejections:
    return Ejections(clock=lambda: 1795742036.745)  # 2.5 s later


def test_the_last_ejection_is_remembered_until_it_ends() -> None:
    known = ejections()
    known.said(event() + b"no JSON\n[]\n{}\n" + event(timestamp="yesterday", address="10.0.0.9:80"))
    assert known.told(CLUSTER, ADDRESS) == {"why": "CONSECUTIVE_5XX", "seconds": 2.5, "times": 2}
    assert known.told(CLUSTER, "10.0.0.9:80") == known.told("other", ADDRESS) == {}
    known.said(event("UNEJECT", enforced=False))
    assert known.told(CLUSTER, ADDRESS) == {}
    known.said(event(enforced=False))  # it only would have been
    assert known.told(CLUSTER, ADDRESS) == {}


def test_of_too_many_the_newest_are_remembered() -> None:
    known = ejections()
    for number in range(1200):
        known.said(event(address=f"10.0.0.3:{number}"))
    assert known.told(CLUSTER, "10.0.0.3:1199") and known.told(CLUSTER, "10.0.0.3:200")
    assert not known.told(CLUSTER, "10.0.0.3:199")


async def test_what_envoys_write_into_the_pipe_is_read_in_parts_and_after_one_has_gone(tmp_path: Path) -> None:
    known = ejections()
    with known.read(tmp_path) as more:
        path = tmp_path / more["cluster_manager"]["outlier_detection"]["event_log_path"]
        assert path.stat().st_mode & 0o777 == 0o600
        for part in (event()[:50], event()[50:] + event(address="10.0.0.4:80")):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, part)
            os.close(descriptor)
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while not known.told(CLUSTER, "10.0.0.4:80"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert known.told(CLUSTER, ADDRESS)["times"] == 2


async def test_without_a_pipe_envoy_is_not_told_to_write(tmp_path: Path) -> None:
    with ejections().read(tmp_path / "gone") as more:
        assert more == {}


def host(address: dict[str, Any], **health: Any) -> dict[str, Any]:
    return {"address": address, "health_status": {"eds_health_status": "HEALTHY", **health}}


def test_envoys_answer_is_read_for_what_it_leaves_out_itself() -> None:
    def at(address: str) -> dict[str, Any]:
        return {"socket_address": {"address": address, "port_value": 80}}

    hosts = [
        host(at("10.0.0.3"), failed_outlier_check=True),
        host(at("10.0.0.4")),
        host(at("::1"), failed_outlier_check=True),
        host({"pipe": {"path": "x"}}, failed_outlier_check=True),
        {"address": at("10.0.0.5")},
    ]
    answer = json.dumps({"cluster_statuses": [{"name": CLUSTER, "host_statuses": hosts}, {"name": "empty"}]}).encode()
    ejected = ["failed_outlier_check"]
    assert left_out(answer) == {CLUSTER: {ADDRESS: ejected, "[::1]:80": ejected}, "empty": {}}
    assert left_out(b"{}") == {}
    assert left_out(b"[]") is left_out(b"") is left_out(b'{"cluster_statuses": [{}]}') is None


class Sent:
    def __init__(self) -> None:
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(self, body: bytes) -> None:
        await self.answers.put(json.loads(body))


@pytest.mark.parametrize("is_silent", [False, True])
async def test_an_answer_has_the_id_of_the_question(is_silent: bool) -> None:
    asked: list[Sequence[str]] = []

    async def look(clusters: Sequence[str]) -> LeftOut | None:
        asked.append(clusters)
        return None if is_silent else {CLUSTER: {ADDRESS: ["failed_outlier_check"], "10.0.0.4:80": ["other"]}}

    known, sent = ejections(), Sent()
    known.said(event())
    endpoints = Endpoints(look, known)
    task = asyncio.create_task(endpoints.run(cast(Reports, sent)))
    for wish in ("no wish", {"id": "1", "clusters": [CLUSTER] * 80}, {"id": "2", "clusters": 7}):
        endpoints.wish(wish)
    async with asyncio.timeout(5):
        first, second = await sent.answers.get(), await sent.answers.get()
    task.cancel()
    assert list(map(len, asked)) == [50]
    assert (second["id"], second["left_out"], second["problem"]) == ("2", {}, "")
    if is_silent:
        assert first == {"id": "1", "left_out": {}, "problem": "its Envoy does not answer"}
    else:
        reasons = {"reasons": ["failed_outlier_check"], "why": "CONSECUTIVE_5XX", "seconds": 2.5, "times": 2}
        assert first["left_out"] == {CLUSTER: {ADDRESS: reasons, "10.0.0.4:80": {"reasons": ["other"]}}}
