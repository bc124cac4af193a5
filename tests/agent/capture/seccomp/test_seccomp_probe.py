"""Whether the machine allows the mode is tried; where it does not, the reason names what forbids it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tulle.agent.capture.mode import Settings
from tulle.agent.capture.seccomp import prepared

SOURCES = str(Path(__file__).parents[4] / "src")
_FORBIDDING = """
import ctypes, errno
from tulle.agent.capture import notify
from tulle.agent.capture.linux import set_no_new_privileges
from tulle.agent.libc import libc
from tulle.agent.capture.mode import Unavailable
from tulle.agent.capture.seccomp_probe import probe

own = notify.machine()
numbers = {"seccomp": own.seccomp, "process_vm_readv": 310 if own.seccomp == 317 else 270, "pidfd_getfd": 438}
NOTIFY = False
if NOTIFY:
    notify.install_filter(own, notify.build_filter(own, ("listen",)))
else:
    other = notify.Machine(own.architecture, own.compat, own.seccomp, numbers, {})
    code = notify.build_filter(other, (), errors={"CALL": errno.ERROR})
    room = ctypes.create_string_buffer(code, len(code))
    set_no_new_privileges()
    head = notify._Program(len(code) // 8, ctypes.addressof(room))
    assert libc.prctl(22, 2, ctypes.byref(head)) == 0  # PR_SET_SECCOMP
try:
    probe()
    print("available")
except Unavailable as error:
    print(error)
"""


def said(call: str, error: str, *, notify: bool = False) -> str:
    """What the probe says in a process in which this call fails so."""
    code = _FORBIDDING.replace("CALL", call).replace("ERROR", error).replace("NOTIFY = False", f"NOTIFY = {notify}")
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        ("seccomp", "EPERM", "seccomp filters are forbidden here"),
        ("seccomp", "ENOSYS", "can't have calls supervised; Linux 5.6 and later can"),
        ("process_vm_readv", "EPERM", "can't be looked into here"),
        ("pidfd_getfd", "EPERM", "can't be looked into here"),
        ("pidfd_getfd", "ENOSYS", "can't take over a socket; Linux 5.6 and later can"),
    ],
)
def test_what_is_forbidden_is_named(call: str, error: str, reason: str) -> None:
    assert reason in said(call, error)


def test_a_second_supervisor_is_named() -> None:
    assert "another supervisor of this kind" in said("seccomp", "EBUSY", notify=True)


def test_what_is_prepared_is_told_to_the_reaper_and_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RES_OPTIONS", "timeout:1")
    with prepared(Settings("p-1", tmp_path, 15001, 15002, 15053, (), ("127.0.0.53", "192.0.2.1"))) as mode:
        assert mode.plan["mode"] == "seccomp"
        assert (mode.plan["outbound"], mode.plan["dns"]) == (15001, 15053)
        assert mode.plan["nameservers"] == ["127.0.0.53", "192.0.2.1"]
        assert mode.environment == {"GRPC_DNS_RESOLVER": "native", "RES_OPTIONS": "timeout:1 use-vc"}
        names = [sock.getsockname() for sock in mode.dns_sockets]
    assert names == [("127.0.0.53", 15053)] * 2
    assert mode.plan["answers_at"] == ["127.0.0.53"]
    assert [sock.fileno() for sock in mode.dns_sockets] == [-1, -1], "closed after the block"


def test_what_the_reaper_imports_for_it_is_little() -> None:
    """It is there as long as the program."""
    code = (
        f"import sys; sys.path.append({SOURCES!r}); import tulle.agent.capture.seccomp_launch;"
        "print(*{'typing', 'socket', 'asyncio', 'ipaddress', 're', 'json', 'pathlib', 'contextlib'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.stderr) == ("", "")
