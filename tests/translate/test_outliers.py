"""An instance that errs is left out, and comes back."""

from __future__ import annotations

import json

import pytest

from policy_mesh import Mesh, Program, at, plain, until
from tulle.ir.policies import Balance, LoadBalancing, Outliers, Policy
from tulle.ir.types import Backend

SECOND = 1_000_000_000
CLUSTER = "cluster.outbound|80||reviews.default.svc.cluster.local."
ACTIVE = CLUSTER + "outlier_detection.ejections_active"
QUICK = {
    "consecutive_gateway": 0,
    "consecutive_local": 0,
    "split_local": False,
    "interval": SECOND // 10,
    "base_ejection": SECOND,
    "max_ejection": SECOND,
    "max_ejection_percent": 100,
}
LONG = {"base_ejection": 60 * SECOND, "max_ejection": 60 * SECOND}


def watched(**said: object) -> Backend:
    outliers = Outliers(**{**QUICK, **said})  # type: ignore[arg-type]
    return plain(Policy(LoadBalancing(Balance.ROUND_ROBIN), outliers=outliers))


async def two(running: Mesh, backend: Backend) -> tuple[Program, Program]:
    good, bad = await running.program("good"), await running.program("bad")
    running.tell(backend, at("", good.port, bad.port))
    await running.start(backend)
    return good, bad


async def ejected(running: Mesh, number: int = 1) -> bool:
    return await running.stat(ACTIVE) == number


async def only(running: Mesh, backend: Backend, name: str) -> bool:
    return await ejected(running) and await running.calls(backend, 4) == {name: 4}


async def back(running: Mesh, backend: Backend, name: str) -> bool:
    return (await running.call(backend)).text == name


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"consecutive_5xx": 2}, 500),
        ({"consecutive_gateway": 2}, 503),
        ({"consecutive_5xx": 2, "codes": (429,)}, 429),
        ({"consecutive_5xx": 2, "codes": (429,)}, 500),
        ({"consecutive_gateway": 2, "consecutive_local": 2, "split_local": True}, 502),
    ],
)
async def test_an_instance_that_errs_in_a_row_is_left_out_and_comes_back(
    running: Mesh, said: dict[str, object], status: int
) -> None:
    backend = watched(**said)
    _, bad = await two(running, backend)
    bad.status = status
    await running.calls(backend, 4)
    await until(lambda: only(running, backend, "good"))
    bad.status = 200
    await until(lambda: back(running, backend, "bad"))


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"consecutive_gateway": 2}, 500),
        ({"consecutive_5xx": 2}, 429),
        ({"consecutive_5xx": 0}, 503),
        ({"consecutive_5xx": 2, "codes": (429,)}, 418),
    ],
)
async def test_what_is_not_said_to_be_an_error_is_an_answer(
    running: Mesh, said: dict[str, object], status: int
) -> None:
    backend = watched(**said)
    _, bad = await two(running, backend)
    bad.status = status
    assert await running.calls(backend, 12) == {"good": 6, "bad": 6}
    assert await ejected(running, 0)


@pytest.mark.parametrize("said", [{"consecutive_local": 2, "split_local": True}, {"consecutive_5xx": 2}])
async def test_an_instance_that_cannot_be_reached_is_left_out(running: Mesh, said: dict[str, object]) -> None:
    backend = watched(**said)
    good = await running.program("good")
    running.tell(backend, at("", good.port, 1))
    await running.start(backend)
    await running.calls(backend, 4)
    await until(lambda: only(running, backend, "good"))


async def test_no_more_than_the_percentage_are_left_out_but_one_may_be(running: Mesh) -> None:
    backend = watched(
        consecutive_5xx=1,
        max_ejection_percent=10,
        at_least_one=True,
        base_ejection=60 * SECOND,
        max_ejection=60 * SECOND,
    )
    for bad in await two(running, backend):
        bad.status = 500
    await running.calls(backend, 6)
    await until(lambda: ejected(running))
    assert await running.stat(ACTIVE) == 1


async def test_when_all_are_left_out_the_caller_is_told(running: Mesh) -> None:
    backend = watched(consecutive_5xx=1, **LONG)
    for bad in await two(running, backend):
        bad.status = 500
    await running.calls(backend, 2)
    await until(lambda: ejected(running, 2))

    async def refused() -> bool:
        return (await running.call(backend)).status == 503

    await until(refused)
    assert json.loads((await running.call(backend)).text)["flags"] == "UH"


async def test_with_too_few_in_health_all_are_used(running: Mesh) -> None:
    backend = watched(consecutive_5xx=1, min_health_percent=60, **LONG)
    _, bad = await two(running, backend)
    bad.status = 500
    await running.calls(backend, 2)
    await until(lambda: ejected(running))
    assert (await running.calls(backend, 6))["bad"] == 3
