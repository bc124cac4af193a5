"""New versions of everything, one after the other, under load: no call fails, and none has to be tried twice."""

from __future__ import annotations

import pytest

from modes import MODES
from puppets import Puppet, counted, puppet
from running import Mesh, Running, wait_for


class Called:
    """A program that calls without pause within the block; after it, nothing has failed."""

    def __init__(self, program: Puppet, url: str, least: int) -> None:
        self._program, self._url, self._least = program, url, least

    def __enter__(self) -> Called:
        self._program.do(f"load = Load({self._url!r})")
        self.more(50)
        return self

    def more(self, calls: int) -> None:
        """Return after so many more calls."""
        until = self.answered + calls
        wait_for(f"{calls} more calls", lambda: self.answered >= until, 120)

    @property
    def answered(self) -> int:
        return int(self._program.do("result = load.answered"))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        failed = self._program.do("result = load.stop()")
        if kind is None:
            assert not failed, (len(failed), sorted({text for _, text in failed}), failed[0][0], failed[-1][0])
            assert self.answered >= self._least


def healthy(mesh: Mesh, service: str, number: int) -> None:
    wait_for(f"{number} of {service} are healthy", lambda: mesh.healthy(service) == number)


def upgraded(mesh: Mesh, control_plane: Running) -> Running:
    """A new control plane in the place of the old one, once all sidecars are with it."""
    assert control_plane.stop() == 0
    there = mesh.up()
    wait_for("all sidecars are in sync", lambda: all(p["in_sync"] for p in mesh.proxies()))
    return there


@pytest.mark.parametrize(  # `proxy` is in test_faults.py
    "mode",
    ["redirect", *(pytest.param(each, marks=pytest.mark.soak) for each in MODES if each not in ("redirect", "proxy"))],
    indirect=True,
)
def test_rolling_restarts_and_an_upgrade_of_the_control_plane_need_no_retry(mesh: Mesh, mode: str) -> None:
    control_plane = mesh.up()
    options = ("--capture", mode)
    instances = [mesh.run("service-b", "server.py", f"b{number}", options=options) for number in range(2)]
    caller = puppet(mesh, "service-a", *options)
    healthy(mesh, "service-b", 2)
    with Called(caller, "http://service-b/data", least=600) as load:
        for number in range(2, 4):
            assert instances.pop(0).stop() == 143
            instances.append(mesh.run("service-b", "server.py", f"b{number}", options=options))
            healthy(mesh, "service-b", 2)
            load.more(100)
        upgraded(mesh, control_plane)
        load.more(100)
    assert counted(mesh, caller.proxy, "upstream_rq_retry") == 0


@pytest.mark.soak
def test_a_redeploy_of_all_services_one_by_one_needs_no_retry(mesh: Mesh) -> None:
    """service-a calls service-m, which calls service-b for each of its own calls."""
    control_plane = mesh.up()
    programs = {"service-b": ("server.py", "b"), "service-m": ("relay.py", "http://service-b/data")}
    deployed = [(service, mesh.run(service, *programs[service])) for service in (*programs, *programs)]
    for service in programs:
        healthy(mesh, service, 2)
    caller = puppet(mesh, "service-a")
    with Called(caller, "http://service-m/", least=500) as load:
        for service, old in deployed:
            mesh.run(service, *programs[service])
            healthy(mesh, service, 3)
            assert old.stop() == 143
            healthy(mesh, service, 2)
            load.more(50)
        upgraded(mesh, control_plane)
        load.more(50)
    proxies = [p["id"] for p in mesh.proxies()]
    assert {proxy: counted(mesh, proxy, "upstream_rq_retry") for proxy in proxies} == dict.fromkeys(proxies, 0)
