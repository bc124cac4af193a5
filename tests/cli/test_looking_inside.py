"""The commands that show a mesh: tables for people, JSON for programs, exit codes for scripts."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
import sys
from typing import Any

import pytest

from tulle.aio.unix import short_path


async def test_status_is_shown_in_numbers(tulle: Any) -> None:
    ended = await tulle("status")
    assert (ended.code, ended.err) == (0, "")
    assert "control plane   0.1.0, pid 42, running for 3m" in ended.out
    untaken = "did not take {} of spans or access logs in the last 5 minutes"
    assert f"collector       otel.example.com:4317 {untaken.format('one delivery')}" in ended.out
    assert f"collector       otel [31m:4318 {untaken.format('12 deliveries')}" in ended.out
    assert "instances       3, 2 of them healthy, 1 running (only calling others, or about to serve)" in ended.out
    status = (await tulle("status", "-o", "json")).json
    assert ended.out.splitlines()[-1].startswith(
        "problem in the mesh: ServiceEntry default/ [31mapi: tulle's own mistake:"
    )
    assert status["problems"][0]["message"] == "tulle's own mistake: ValueError('x')"
    assert (status["version"], status["envoy"], status["xds_port"]) == ("0.1.0", "1.40.0", 15012)


async def test_services_are_listed_of_all_namespaces_or_one(tulle: Any) -> None:
    assert (await tulle("services")).rows == [
        ["api", "shop", "-", "1 running", "-"],
        ["db", "shop", "-", "0/0", "-"],
        ["web", "default", "80/http,9000/grpc", "1/2 (1 draining)", "v1,v2"],
    ]
    assert [row[0] for row in (await tulle("services", "-n", "shop")).rows] == ["api", "db"]
    [web] = (await tulle("services", "-n", "default", "-o", "json")).json
    assert (web["host"], web["instances"][0]["health"]) == ("web.default.svc.cluster.local", "healthy")


async def test_the_instances_of_one_service_are_listed(tulle: Any) -> None:
    for name in ("web", "web.default"):
        assert (await tulle("services", name)).rows == [
            ["web-000001", "default", "healthy", "2h", "127.0.0.1:15001", "v1", "1", "-", "tier=front"],
            ["web-000002", "default", "draining", "-", "127.0.0.1:15011", "v2", "1", "-", "-"],
        ]
    ended = await tulle("services", "ghost", "-n", "shop")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "Error: there is no service ghost in shop; `tulle services` lists them\n"


async def test_sidecars_are_listed_with_what_they_reject_on_one_harmless_line(tulle: Any) -> None:
    ended = await tulle("proxies")
    assert [row[:6] for row in ended.rows[:3]] == [
        ["api-000003", "api", "shop", "healthy", "yes", "no"],
        ["web-000001", "web", "default", "healthy", "yes", "yes"],
        ["web-000002", "web", "default", "healthy", "no", "no"],
    ]
    assert ended.out.splitlines()[-1].startswith("problem at web-000001: ServiceEntry default/ [31mapi: tulle's own")
    assert ended.out.splitlines()[-2] == "rejected by api-000003: Cluster db: bad  [31mtimeout"
    [api] = (await tulle("proxies", "-n", "shop", "-o", "json")).json
    assert api["rejected"][0]["resource"] == "Cluster db"


async def test_a_sidecar_is_named_by_its_id_or_by_its_service_if_it_is_the_only_one(tulle: Any) -> None:
    for name in ("api-000003", "api", "api.shop"):
        assert (await tulle("proxy", name, "-o", "json")).json["id"] == "api-000003"
    facts = await tulle("proxy", "api")
    assert "in sync      no" in facts.out and "rejected by api-000003: Cluster db" in facts.out
    several = await tulle("proxy", "web")
    assert several.code == 1
    assert several.err == "Error: web has several sidecars; name one of: web-000001, web-000002\n"
    none = await tulle("proxy", "api", "-n", "default")
    assert (none.code, none.err) == (1, "Error: there is no sidecar api in default; `tulle proxies` lists them\n")


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        ("listeners", [["outbound", "127.0.0.1:15002", "acked", "1"]]),
        (
            "routes",
            [["web:80", "web +1", "acked", "2"], ["routes", "api", "sent", "3"], ["routes", "db", "sent", "3"]],
        ),
        ("clusters", [["web", "EDS", "LEAST_REQUEST", "rejected", "4"]]),
        (
            "endpoints",
            [
                ["web", "127.0.0.1:15001", "healthy", "pending", "5"],
                ["web", "127.0.0.1:15011", "draining", "pending", "5"],
                ["db", "-", "-", "acked", "6"],
            ],
        ),
        (
            "config",
            [
                ["listeners", "outbound", "acked", "1"],
                ["routes", "web:80", "acked", "2"],
                ["routes", "routes", "sent", "3"],
                ["clusters", "web", "rejected", "4"],
                ["endpoints", "web", "pending", "5"],
                ["endpoints", "db", "acked", "6"],
            ],
        ),
    ],
)
async def test_a_sidecars_configuration_is_shown_in_parts(tulle: Any, part: str, rows: list[list[str]]) -> None:
    assert (await tulle("proxy", "api", part)).rows == rows


async def test_a_sidecars_configuration_is_given_whole_as_json(tulle: Any) -> None:
    config = (await tulle("proxy", "api", "config", "-o", "json")).json
    assert sorted(config) == ["clusters", "endpoints", "listeners", "routes"]
    clusters = (await tulle("proxy", "api", "clusters", "-o", "json")).json
    assert clusters == config["clusters"]
    assert clusters[0]["resource"] == {"type": "EDS", "lb_policy": "LEAST_REQUEST"}


async def test_versions_are_told_with_and_without_a_control_plane(tulle: Any) -> None:
    assert (await tulle("version", "-o", "json")).json == {
        "tulle": "0.1.0",
        "control_plane": {"version": "0.1.0", "envoy": "1.40.0"},
    }
    ended = await tulle("version", "--data", "/nowhere", "-o", "json")
    assert (ended.code, ended.json) == (0, {"tulle": "0.1.0", "control_plane": None})


async def test_a_service_is_forgotten_unless_it_lives(tulle: Any) -> None:
    for arguments in (("api", "-n", "shop"), ("api.shop",)):
        ended = await tulle("forget", *arguments)
        assert (ended.code, ended.out) == (0, "api.shop is forgotten\n")
    assert [str(service) for service in tulle.agents.forgotten] == ["api.shop", "api.shop"]
    alive = await tulle("forget", "web")
    assert (alive.code, alive.err) == (1, "Error: web.default has live instances (web-000001): stop them first\n")
    unknown = await tulle("forget", "ghost")
    assert (unknown.code, unknown.err) == (1, "Error: there is no service ghost.default\n")
    assert (await tulle("forget", "api.shop", "-n", "default")).code == 2


async def test_colours_are_for_terminals_only(tulle: Any) -> None:
    assert "\x1b" not in (await tulle("services", "web")).out
    assert b"\x1b[32mhealthy\x1b[0m" in await on_a_terminal(tulle, "services", "web")
    assert b"\x1b" not in await on_a_terminal(tulle, "services", "web", NO_COLOR="1")


async def on_a_terminal(tulle: Any, *arguments: str, **environ: str) -> bytes:
    ours, theirs = pty.openpty()
    env = {**os.environ, "TULLE_DATA": str(tulle.data), **environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tulle", *arguments, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    seen = os.read(ours, 65536)
    os.close(ours)
    return seen


READING = [("status",), ("services",), ("proxies",), ("proxy", "web", "config"), ("forget", "web")]


@pytest.mark.parametrize("arguments", READING, ids=lambda arguments: arguments[0])
async def test_without_a_control_plane_a_command_says_how_to_start_it(alone: Any, arguments: tuple[str, ...]) -> None:
    ended = await alone(*arguments)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == f"Error: no control plane runs on {alone.data}. Start it with: tulle up\n"
    ended = await alone(*arguments, "--data", "/no where")
    assert ended.err == "Error: no control plane runs on /no where. Start it with: tulle up --data '/no where'\n"


async def test_a_socket_whose_control_plane_was_killed_is_no_control_plane(alone: Any) -> None:
    alone.data.mkdir()
    with socket.socket(socket.AF_UNIX) as dead, short_path(alone.data / "api.sock") as path:
        dead.bind(path)
    assert (await alone("status")).code == 3


async def test_a_secret_that_does_not_fit_is_said_so(tulle: Any) -> None:
    (tulle.data / "secret").write_text("0" * 64)
    ended = await tulle("services")
    assert ended.code == 1
    assert "wrong secret" in ended.err
    (tulle.data / "secret").unlink()
    assert "secret is missing or damaged; restart the control plane" in (await tulle("services")).err


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]"])
async def test_something_else_on_the_socket_is_no_traceback(alone: Any, answer: bytes) -> None:
    async def something_else(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    alone.data.mkdir()
    (alone.data / "secret").write_text("0" * 64)
    with short_path(alone.data / "api.sock") as path:
        server = await asyncio.start_unix_server(something_else, path)
    async with server:
        ended = await alone("status")
    assert ended.code in (1, 3)
    assert ended.err.startswith("Error: the control plane ") and "Traceback" not in ended.err
