"""What a redirected program sends: its calls to the mesh reach the sidecar, its questions the agent, all else goes on."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tulle.agent.capture import nftables
from tulle.agent.capture.nftables_expressions import redirect_to, tcp, to_port

VIP = "127.64.0.2"
OUTSIDE = "198.51.100.7"  # by the route of these tests, the machine itself


def test_a_call_to_the_mesh_reaches_the_sidecar_which_sees_where_it_was_to_go(machine: Any) -> None:
    with machine.captured() as captured:
        assert captured.dial(VIP, 80) == f"sidecar for {VIP}:80 {VIP}"
        assert captured.dial("127.127.255.254", 5432) == "sidecar for 127.127.255.254:5432 127.127.255.254"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 sockets here")
def test_an_ipv6_socket_reaches_it_as_well(machine: Any) -> None:
    with machine.captured() as captured:
        assert captured.dial(f"::ffff:{VIP}", 80) == f"sidecar for {VIP}:80 ::ffff:{VIP}"


def test_every_process_of_the_program_is_captured(machine: Any) -> None:
    with machine.captured() as captured:
        shell = f"exec 3<>/dev/tcp/{VIP}/80; (cat <&3; echo) | cat; setsid bash -c 'cat </dev/tcp/{VIP}/81'"
        assert captured.run(["bash", "-c", shell]).split("\n") == [f"sidecar for {VIP}:{port}" for port in (80, 81)]


def test_questions_to_the_nameservers_reach_the_agent_and_seem_to_be_answered_by_them(machine: Any) -> None:
    with machine.captured() as captured:
        for nameserver in machine.settings.nameservers:
            assert captured.ask(nameserver) == f"dns {nameserver}"
            assert captured.dial(nameserver, 53) == f"dns {nameserver}"
        assert captured.ask("192.0.2.99") == "ECONNREFUSED"  # a server of its own choice


def test_questions_reach_the_agent_from_ports_that_others_have_just_asked_from(machine: Any) -> None:
    nameservers = machine.settings.nameservers
    with machine.captured() as captured, machine.captured(dns=machine.settings.inbound) as other:
        for nameserver, port in zip(nameservers, (29001, 29002), strict=False):
            assert machine.ask(nameserver, port=port) == "ECONNREFUSED"
            assert other.ask(nameserver, port=port) == "ECONNREFUSED"  # nobody answers there by UDP
            assert captured.ask(nameserver, port=port) == f"dns {nameserver}"
            assert machine.ask(nameserver, port=port) == "ECONNREFUSED"


def test_questions_that_would_leave_the_machine_are_turned_round(machine: Any, other_machine: Any) -> None:
    nameservers = machine.addresses("192.0.2.2", "2001:db8::2")
    with machine.captured(nameservers=nameservers) as captured:
        for nameserver in nameservers:
            assert machine.ask(nameserver) == "ECONNREFUSED"  # as the other machine says
            assert captured.ask(nameserver) == captured.dial(nameserver, 53) == f"dns {nameserver}"


def test_other_nameservers_take_their_place_while_the_program_runs(machine: Any) -> None:
    with machine.captured() as captured:
        captured.prepared.renew_nameservers(["192.0.2.54"])
        assert captured.ask("192.0.2.54") == "dns 192.0.2.54"
        for before in machine.settings.nameservers:
            assert captured.ask(before) == "ECONNREFUSED"
        captured.prepared.renew_nameservers([])  # then the C library asks the machine itself
        assert captured.ask("127.0.0.1") == "dns 127.0.0.1"


def test_all_else_is_left_alone(machine: Any) -> None:
    with machine.captured(places=()) as captured:
        for address in machine.addresses("127.0.0.1", OUTSIDE, "::1"):
            assert captured.dial(address, machine.target) == f"program {address}"
        assert captured.dial("127.0.0.1", 1) == "ECONNREFUSED"


def test_quic_and_other_datagrams_to_the_mesh_are_refused(machine: Any) -> None:
    program = (
        f"import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.connect(({VIP!r}, 443)); s.send(b'?'); s.recv(9)"
    )
    with machine.captured() as captured:
        assert "ConnectionRefusedError" in captured.run([sys.executable, "-c", program], stderr=subprocess.STDOUT)


def test_nobody_outside_of_the_cgroup_is_captured_so_that_the_sidecar_can_not_call_itself(machine: Any) -> None:
    with machine.captured():
        assert machine.dial(VIP, 80) == "ECONNREFUSED"
        assert machine.ask(machine.settings.nameservers[0]) == "ECONNREFUSED"


def test_each_of_two_programs_has_its_own_sidecar(machine: Any) -> None:
    with machine.captured() as one, machine.captured(outbound=machine.settings.inbound) as other:
        assert one.dial(VIP, 80).startswith("sidecar")
        assert other.dial(VIP, 80).startswith("door")
        # Also where the port of the mesh is the other program's own.
        assert one.dial(VIP, machine.target) == f"sidecar for {VIP}:{machine.target} {VIP}"
        assert other.dial(VIP, machine.target).startswith("door")


def test_the_rules_of_others_stay_as_they_are(machine: Any, ruleset: Callable[[], bytes]) -> None:
    def foreign() -> nftables.OwnedTable:
        table = nftables.OwnedTable("foreign")
        table.commit(
            nftables.chain("any", "nat", nftables.OUTPUT, -100),
            nftables.rule("any", "theirs", tcp(), to_port(7), redirect_to(machine.target)),
        )
        return table

    with machine.network.within(foreign):
        before = machine.network.do(ruleset)
        with machine.captured() as captured:
            assert len(machine.network.do(ruleset)) > len(before)
            assert captured.dial("127.0.0.1", 7) == machine.dial("127.0.0.1", 7) == "program 127.0.0.1"
        assert machine.network.do(ruleset) == before
