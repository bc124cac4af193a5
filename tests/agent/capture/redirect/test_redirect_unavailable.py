"""Machines that do not allow it: the reason is told, and nothing is left of the attempt."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tulle.agent.capture import redirect
from tulle.agent.capture.cgroup import ended
from tulle.agent.capture.mode import Unavailable
from tulle.agent.capture.nftables import EVERYTHING, Refused

VIP = "127.64.0.2"


@pytest.fixture
def in_a_cgroup() -> Any:
    """Moves the calling process to a cgroup that is gone after the test, some levels below our own."""
    own = Path(unified() + Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip())
    around = own / f"tulle-test-{os.getpid()}.service"
    inner = around / "a b" / "inner"
    inner.mkdir(parents=True)
    yield lambda: (inner / "cgroup.procs").write_text("0")
    ended(str(around))


def unified() -> str:
    """Where cgroup v2 is mounted."""
    return next(
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line
    )


def within_mounts(change: str, agent: list[str]) -> list[str]:
    return ["unshare", "--mount", "bash", "-c", f'{change} && exec "$@"', "bash", *agent]


def test_without_the_capability(machine: Any) -> None:
    told = machine.run(["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *machine.agent("true")])
    assert told == "unavailable: it takes root, or the capability CAP_NET_ADMIN"


def test_without_cgroup_v2(machine: Any) -> None:
    told = machine.run(
        within_mounts("umount -a -t cgroup2 && ! grep -q cgroup2 /proc/self/mounts", machine.agent("true"))
    )
    assert told == "unavailable: no cgroup v2 is mounted"


def test_where_cgroups_can_only_be_read(machine: Any) -> None:
    told = machine.run(within_mounts(f"mount -o remount,bind,ro {unified()}", machine.agent("true")))
    assert told.startswith("unavailable: no cgroup can be made in ")
    assert told.endswith("it is mounted read-only, as in a container without privileges")


def test_where_the_own_cgroup_is_another_users(machine: Any) -> None:
    without = ["setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-all"]
    told = machine.run([*without, *machine.agent("true")], env={**os.environ, "AS_USER": "65534"})
    assert told.startswith("unavailable: no cgroup can be made in ")
    assert told.endswith("it is not delegated to this user")


def test_where_the_own_cgroup_is_full(machine: Any, in_a_cgroup: Callable[[], None]) -> None:
    def full() -> None:
        in_a_cgroup()
        own = Path(unified() + Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip())
        (own / "cgroup.max.descendants").write_text("0")

    told = machine.run(machine.agent("true"), preexec_fn=full)
    assert "it may not have more below it" in told


def test_where_the_own_cgroup_is_for_threads(machine: Any, in_a_cgroup: Callable[[], None]) -> None:
    def threaded() -> None:
        in_a_cgroup()
        own = Path(unified() + Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip())
        (own.parent / "cgroup.procs").write_text("0")
        (own / "cgroup.type").write_text("threaded")
        (own / "cgroup.threads").write_text("0")

    told = machine.run(machine.agent("true"), preexec_fn=threaded)
    assert told.startswith("unavailable: the agent's own cgroup")
    assert told.endswith("is for threads, not for processes")


def test_within_a_captured_program(machine: Any) -> None:
    with machine.captured() as captured:
        told = captured.run(machine.agent("true"))
        assert told.startswith(f"unavailable: the agent itself runs in a captured program ({captured.cgroup.name})")


def test_without_a_route_to_a_nameserver(machine: Any) -> None:
    machine.network.do(
        lambda: subprocess.run(
            ["ip", "-4", "route", "del", "local", "default", "dev", "lo", "table", "main"], check=True
        )
    )
    told = machine.run(machine.agent("true", nameservers=["192.0.2.53", "fe80::1%lo"]))
    assert told.startswith("unavailable: no question to 192.0.2.53 or fe80::1%lo can be redirected: there is no route")
    assert machine.run(machine.agent("echo", "up", nameservers=["192.0.2.53", "127.0.0.1"])).endswith("\nup")


def test_where_the_name_is_taken(machine: Any) -> None:
    with (
        machine.captured(proxy=machine.settings.proxy),
        pytest.raises(Unavailable, match="another sidecar has the same name"),
        machine.captured(proxy=machine.settings.proxy),
    ):
        pass


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (Refused(95, "a table of its own, tulle-a"), "the kernel does not know a table of its own, tulle-a"),
        (Refused(22, "a table of its own, tulle-a"), "Linux 5.13 does"),
        (Refused(95, EVERYTHING), "the kernel has no nftables here"),
        (OSError(93, "Protocol not supported"), "the kernel has no nftables here"),
        (Refused(2, "the nat chain program"), "does not know the nat chain program .* nf_conntrack"),
        (Refused(2, "the rule 'questions'"), "does not know the rule 'questions' .* nft_redir, nft_socket"),
        (Refused(12, "the rule 'questions'"), "the kernel refuses the rule 'questions': Cannot allocate memory"),
    ],
)
def test_what_a_kernel_lacks_is_named(refused: OSError, reason: str) -> None:
    assert re.search(reason, redirect._reason(refused))


def test_it_works_deep_below_the_root(machine: Any, in_a_cgroup: Callable[[], None]) -> None:
    call = ["bash", "-c", f"cat </dev/tcp/{VIP}/80"]
    cgroup, answer = machine.run(machine.agent(*call), preexec_fn=in_a_cgroup).split("\n")
    assert "/a b/inner/tulle-test-" in cgroup
    assert answer == f"sidecar for {VIP}:80"


def test_it_works_where_there_is_cgroup_v2_only(machine: Any, in_a_cgroup: Callable[[], None]) -> None:
    call = ["bash", "-c", f"cat </dev/tcp/{VIP}/80"]
    only = "umount --recursive /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    cgroup, answer = machine.run(within_mounts(only, machine.agent(*call)), preexec_fn=in_a_cgroup).split("\n")
    assert cgroup.startswith(f"/sys/fs/cgroup/tulle-test-{os.getpid()}.service/a b/inner/tulle-test-")
    assert answer == f"sidecar for {VIP}:80"


def test_it_works_in_a_cgroup_namespace(machine: Any, in_a_cgroup: Callable[[], None]) -> None:
    call = ["bash", "-c", f"cat /proc/self/cgroup | grep ^0:; cat </dev/tcp/{VIP}/80"]
    again = f'umount {unified()} && mount -t cgroup2 cgroup2 {unified()} && exec "$@"'
    agent = ["unshare", "--cgroup", "--mount", "bash", "-c", again, "bash"]
    cgroup, seen, answer = machine.run([*agent, *machine.agent(*call)], preexec_fn=in_a_cgroup).split("\n")
    assert cgroup.startswith(f"{unified()}/tulle-test-")
    assert seen == f"0::/{cgroup.rpartition('/')[2]}"
    assert answer == f"sidecar for {VIP}:80"
