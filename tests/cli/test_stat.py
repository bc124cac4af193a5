"""`tulle stat`, `top`, `edges` and `routes`, as they are typed, where nobody has called anything yet."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("command", [("stat",), ("top",), ("routes",), ("stat", "proxies", "default/web")])
async def test_without_a_report_that_is_said(tulle: Any, command: tuple[str, ...]) -> None:
    done = await tulle(*command)
    assert done.code == 0 and "no sidecar has reported yet" in done.out + done.err
    assert "\x1b" not in done.out and "SUCCESS" in done.out


async def test_without_calls_edges_say_so(tulle: Any) -> None:
    done = await tulle("edges", "--window", "5m")
    assert (done.code, done.err) == (0, "no calls in the last 300 s\n")


@pytest.mark.parametrize(
    "command", [("stat", "nosuch"), ("stat", "routes", "nosuch"), ("edges", "nosuch"), ("routes", "nosuch")]
)
async def test_a_service_that_there_is_not_is_said(tulle: Any, command: tuple[str, ...]) -> None:
    done = await tulle(*command)
    assert done.code == 1 and "there is no service default/nosuch; " in done.err


@pytest.mark.parametrize("command", ["stat", "top"])
async def test_a_service_alone_is_of_services_and_two_are_a_mistake(tulle: Any, command: str) -> None:
    assert "INSTANCES" in (await tulle(command, "web")).out
    done = await tulle(command, "servces", "web")
    assert done.code == 2 and "'servces' is none of services, workloads, routes, proxies" in done.err


async def test_json_is_what_the_api_says(tulle: Any) -> None:
    assert (await tulle("stat", "-o", "json")).json["rows"] == []
    assert (await tulle("edges", "-o", "json")).json["edges"] == []


async def test_a_window_that_makes_no_sense_is_a_mistake(tulle: Any) -> None:
    done = await tulle("stat", "--window", "1s")
    assert done.code == 2 and "not between 5s and 24h" in done.err
