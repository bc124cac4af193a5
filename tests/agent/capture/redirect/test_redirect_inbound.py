"""Who calls a redirected program: nobody but its sidecar, itself and its user gets past the sidecar's door."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tulle.agent.capture import nftables
from tulle.agent.capture.nftables_expressions import drop, has_priority, redirect_to

NOBODY = 65534
HERE = "192.0.2.1", "2001:db8::1"


@pytest.fixture(params=["127.0.0.1", "::1", "198.51.100.7"])
def address(request: pytest.FixtureRequest) -> str:
    """Of this machine: loopback or, by the route of these tests, an interface's."""
    return str(request.param)


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
    with machine.captured(), machine.captured(targets=()) as other:
        assert other.dial(address, machine.target) == answer_of_door(address)
    with machine.captured(targets=()) as other, machine.captured():
        assert other.dial(address, machine.target) == answer_of_door(address)


def test_a_program_that_runs_as_another_user_reaches_itself_and_not_its_neighbour(machine: Any) -> None:
    with machine.captured() as one, machine.captured(targets=()) as other:
        assert one.dial("127.0.0.1", machine.target, user=NOBODY) == "program 127.0.0.1"
        assert other.dial("127.0.0.1", machine.target, user=NOBODY) == "door 127.0.0.1"


def test_who_has_called_sudo_is_the_user_as_well(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    with machine.captured():
        assert machine.dial("127.0.0.1", machine.target, user=NOBODY) == "program 127.0.0.1"
        assert machine.dial("127.0.0.1", machine.target, user=NOBODY - 1) == "door 127.0.0.1"


def test_the_rules_follow_the_programs_ports(machine: Any) -> None:
    with machine.captured(targets=()) as captured:
        assert machine.dial("127.0.0.1", machine.target, user=NOBODY) == "program 127.0.0.1"
        captured.prepared.retarget([machine.target, 1])
        assert machine.dial("127.0.0.1", machine.target, user=NOBODY) == "door 127.0.0.1"
        assert machine.dial("127.0.0.1", 1, user=NOBODY) == "door 127.0.0.1"
        captured.prepared.retarget([1])
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
    with machine.captured(), machine.captured(targets=()) as other:
        with machine.network.within(looking(*among)):
            assert other.dial("127.0.0.1", 1) == "program 127.0.0.1"
        with machine.network.within(looking(*after)):
            assert other.dial("127.0.0.1", 1) == "ECONNREFUSED"
            assert other.dial("127.0.0.1", machine.target) == "door 127.0.0.1"


def test_another_machine_is_refused(machine: Any, other_machine: Any) -> None:
    for here in HERE:

        def calls(here: str = here) -> str:
            caller = ["bash", "-c", f"cat </dev/tcp/{here}/{machine.target}"]
            done = other_machine.do(lambda: subprocess.run(caller, capture_output=True, text=True, timeout=30))
            return str(done.stdout + done.stderr)

        assert calls() == "program"
        with machine.captured():
            assert "Connection refused" in calls()
            assert machine.dial(here, machine.target) == f"program {here}"
        assert calls() == "program"
