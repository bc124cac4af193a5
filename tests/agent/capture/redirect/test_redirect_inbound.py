"""Who calls a redirected program: nobody but its sidecar, itself and its user gets past the sidecar's door."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from itertools import permutations
from typing import Any

import pytest

from tulle.agent.capture import nftables
from tulle.agent.capture.nftables_expressions import drop, has_priority, redirect_to

NOBODY = 65534
PORT = 8080  # in a network of the test's own


@pytest.fixture(params=["127.0.0.1", "::1", "198.51.100.7"])
def address(request: pytest.FixtureRequest) -> str:
    """Of this machine: loopback or, by the route of these tests, an interface's."""
    if ":" in request.param:
        request.getfixturevalue("ipv6")
    return str(request.param)


@pytest.fixture
def here(machine: Any) -> list[str]:
    """Addresses of this machine by which the other one calls."""
    return list(machine.addresses("192.0.2.1", "192.0.2.3", "2001:db8::1"))


def answer_of_door(address: str) -> str:
    """The sidecar's door is at 127.0.0.1; where it is not, nobody is."""
    return "ECONNREFUSED" if ":" in address else f"door {address}"


def test_the_users_own_shell_and_the_sidecar_reach_the_program(machine: Any, address: str) -> None:
    with machine.captured():
        assert machine.dial(address, machine.target) == f"program {address}"


def test_the_program_reaches_itself(machine: Any, address: str) -> None:
    with machine.captured() as captured:
        assert captured.dial(address, machine.target) == f"program {address}"


def test_another_user_of_the_machine_is_sent_to_the_door(machine: Any, address: str) -> None:
    with machine.captured():
        assert machine.dial(address, machine.target, user=NOBODY) == answer_of_door(address)


def test_another_program_of_the_mesh_is_sent_to_the_door(machine: Any, address: str) -> None:
    with machine.captured(), machine.captured(places=()) as other:
        assert other.dial(address, machine.target) == answer_of_door(address)
    with machine.captured(places=()) as other, machine.captured():
        assert other.dial(address, machine.target) == answer_of_door(address)


def test_a_program_that_runs_as_another_user_reaches_itself_and_not_its_neighbour(machine: Any) -> None:
    with machine.captured() as one, machine.captured(places=()) as other:
        assert one.dial("127.0.0.1", machine.target, user=NOBODY) == "program 127.0.0.1"
        assert other.dial("127.0.0.1", machine.target, user=NOBODY) == "door 127.0.0.1"


def test_who_has_called_sudo_is_the_user_as_well(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    with machine.captured():
        assert machine.dial("127.0.0.1", machine.target, user=NOBODY) == "program 127.0.0.1"
        assert machine.dial("127.0.0.1", machine.target, user=NOBODY - 1) == "door 127.0.0.1"


def test_the_rules_follow_the_programs_ports(machine: Any) -> None:
    with machine.captured(places=()) as captured:
        assert machine.dial("127.0.0.1", machine.target, user=NOBODY) == "program 127.0.0.1"
        captured.prepared.retarget([("::", machine.target), ("127.0.0.1", 1)])
        assert machine.dial("127.0.0.1", machine.target, user=NOBODY) == "door 127.0.0.1"
        assert machine.dial("127.0.0.1", 1, user=NOBODY) == "door 127.0.0.1"
        captured.prepared.retarget([("::", 1)])
        assert machine.dial("127.0.0.1", machine.target, user=NOBODY) == "program 127.0.0.1"


def test_the_mark_of_a_captured_program_is_gone_before_others_look(machine: Any) -> None:
    def looking(*marked: Any) -> Callable[[], nftables.OwnedTable]:
        def table() -> nftables.OwnedTable:
            made = nftables.OwnedTable("looking")
            made.commit(*marked)
            return made

        return table

    marked = has_priority(0x7475_6C65)
    among = (
        nftables.chain("any", "nat", nftables.OUTPUT, -100),
        nftables.rule("any", "", marked, redirect_to(machine.target)),
    )
    after = nftables.chain("any", "filter", nftables.OUTPUT, -99), nftables.rule("any", "", marked, drop())
    with machine.captured(), machine.captured(places=()) as other:
        with machine.network.within(looking(*among)):
            assert other.dial("127.0.0.1", 1) == "program 127.0.0.1"
        with machine.network.within(looking(*after)):
            assert other.dial("127.0.0.1", 1) == "ECONNREFUSED"
            assert other.dial("127.0.0.1", machine.target) == "door 127.0.0.1"


def dialled(other_machine: Any, address: str, port: int) -> str:
    """Who answers another machine, or why nobody does."""
    caller = ["bash", "-c", f"cat </dev/tcp/{address}/{port}"]
    done = other_machine.do(lambda: subprocess.run(caller, capture_output=True, text=True, timeout=30))
    return str(done.stdout + done.stderr)


def test_another_machine_is_refused(machine: Any, other_machine: Any, here: list[str]) -> None:
    for one in here:
        assert dialled(other_machine, one, machine.target) == "program"
        with machine.captured():
            assert "Connection refused" in dialled(other_machine, one, machine.target)
            assert machine.dial(one, machine.target) == f"program {one}"
        assert dialled(other_machine, one, machine.target) == "program"


def test_other_programs_on_the_same_port_of_other_addresses_are_reached_as_before(
    machine: Any, other_machine: Any, here: list[str]
) -> None:
    """As an nginx on port 80 of an interface, beside a program on port 80 of loopback."""
    others = ("127.0.0.2", *here)
    with ExitStack() as stack:
        stack.enter_context(machine.serving("127.0.0.1", PORT, "program"))
        for address in others:
            stack.enter_context(machine.serving(address, PORT, "another"))
        stack.enter_context(machine.captured(places=[("127.0.0.1", PORT)]))
        neighbour = stack.enter_context(machine.captured(places=()))
        assert machine.dial("127.0.0.1", PORT, user=NOBODY) == "door 127.0.0.1"
        for address in others:
            assert machine.dial(address, PORT, user=NOBODY) == f"another {address}"
            assert neighbour.dial(address, PORT) == f"another {address}"
        for one in here:
            assert dialled(other_machine, one, PORT) == "another"


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_a_program_on_all_addresses_has_all_of_them(
    machine: Any, other_machine: Any, here: list[str], everywhere: str, request: pytest.FixtureRequest
) -> None:
    if ":" in everywhere:
        request.getfixturevalue("ipv6")
    with machine.serving(everywhere, PORT, "program"), machine.captured(places=[("127.0.0.1", PORT)]) as captured:
        assert dialled(other_machine, here[0], PORT) == "program"
        captured.prepared.retarget([(everywhere, PORT)])
        for one in here:
            assert "Connection refused" in dialled(other_machine, one, PORT)
        assert machine.dial("198.51.100.7", PORT, user=NOBODY) == "door 198.51.100.7"


def test_a_program_on_one_address_of_an_interface_has_that(machine: Any, other_machine: Any, here: list[str]) -> None:
    for own, other in permutations(here, 2):
        with (
            machine.serving(own, PORT, "program"),
            machine.serving(other, PORT, "another"),
            machine.captured(places=[(own, PORT)]),
        ):
            assert "Connection refused" in dialled(other_machine, own, PORT)
            assert machine.dial(own, PORT, user=NOBODY) == answer_of_door(own)
            assert dialled(other_machine, other, PORT) == "another"
            assert machine.dial(other, PORT, user=NOBODY) == f"another {other}"
