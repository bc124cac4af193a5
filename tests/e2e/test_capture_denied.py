"""Machines that deny what a mode needs: that mode is a clear error, and by itself the next one is taken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from denials import (
    AN_ORDINARY_USER,
    WITHOUT_CAPABILITIES,
    WITHOUT_CGROUP_V2,
    WITHOUT_NAMESPACES,
    WITHOUT_NEW_PRIVILEGES,
    WITHOUT_SECCOMP,
    WITHOUT_USER_NAMESPACES,
    needs_root,
    with_read_only,
)
from modes import skip_unless_possible
from neighbours import Neighbour
from puppets import puppet
from running import Mesh

CALL = ("curl", "-sS", "--fail", "http://service-b/data")


@pytest.fixture(autouse=True)
def neighbour() -> Iterator[None]:
    """Another program of the machine, and all that is the machine's own, is as it was."""
    with Neighbour().untouched():
        yield


@pytest.mark.parametrize(
    ("denial", "denied", "by_itself"),
    [
        (WITHOUT_CAPABILITIES, {"redirect": "CAP_NET_ADMIN"}, "seccomp"),
        (WITHOUT_CGROUP_V2, {"redirect": "no cgroup v2 is mounted"}, "seccomp"),
        (WITHOUT_SECCOMP + WITHOUT_CAPABILITIES, {"redirect": "CAP_NET_ADMIN", "seccomp": "seccomp"}, "proxy"),
        (WITHOUT_NAMESPACES + WITHOUT_CAPABILITIES, {"netns": "namespace"}, "seccomp"),
        (
            WITHOUT_USER_NAMESPACES + WITHOUT_CAPABILITIES,
            {"redirect": "CAP_NET_ADMIN", "netns": "namespace"},
            "seccomp",
        ),
        (WITHOUT_CAPABILITIES + WITHOUT_NEW_PRIVILEGES, {}, "seccomp"),
        (WITHOUT_NEW_PRIVILEGES, {}, "redirect"),
    ],
    ids=[
        "no capabilities",
        "no cgroup v2",
        "no capabilities, no seccomp",
        "no capabilities, no namespaces",
        "no user namespaces",
        "no capabilities, no new privileges",
        "no new privileges",
    ],
)
def test_what_is_denied_is_said_and_the_next_mode_works(
    mesh: Mesh, denial: tuple[str, ...], denied: dict[str, str], by_itself: str
) -> None:
    needs_root(*denial)
    skip_unless_possible(by_itself)
    with mesh.behind(*denial):
        mesh.up()
        mesh.run("service-b", "server.py", "b1")
        runs = {mode: mesh.run(f"by-{mode}", "true", options=("--capture", mode)) for mode in denied}
        called = mesh.run("service-a", *CALL, "--retry", "60", "--retry-delay", "1")
        for mode, run in runs.items():
            assert run.wait() == 125, run.output
            assert f"--capture {mode} is not possible: " in run.output
            assert denied[mode] in run.output
            assert "Traceback" not in run.output
        assert called.wait(90) == 0, called.output
        assert f"captured by {by_itself}" in called.output
        for mode in ("redirect", "seccomp"):
            if mode in denied:
                assert f"capture by {mode} is not possible here: " in called.output


@pytest.mark.parametrize("mode", ["seccomp", "netns", "proxy"], indirect=True)
def test_an_ordinary_user_without_new_privileges_has_a_mesh(mesh: Mesh, mode: str) -> None:
    denial = AN_ORDINARY_USER + WITHOUT_NEW_PRIVILEGES
    needs_root(*denial)
    with mesh.behind(*denial):
        mesh.up()
        mesh.serve("service-b", "b1", options=("--capture", mode))
        program = puppet(mesh, "service-a", "--capture", mode)
    assert program.get("http://service-b/data")[0] == 200
    assert program.do("result = os.geteuid()") == 1000


def test_a_state_folder_that_an_agent_can_not_write_to_is_said(mesh: Mesh) -> None:
    mesh.up()
    (mesh.data / "proxies").mkdir(mode=0o700, exist_ok=True)
    prefix = with_read_only(mesh.data / "proxies")
    needs_root(*prefix)
    with mesh.behind(*prefix):
        running = mesh.run("service-a", "true")
    assert running.wait() == 125
    assert "can't write to" in running.output
    assert "--data" in running.output
    assert "Traceback" not in running.output
    assert not mesh.proxies()
