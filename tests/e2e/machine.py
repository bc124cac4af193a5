"""Which modes of capture this machine allows, by a look that has nothing of the product in it.

A test may skip for what the machine lacks. But who asks the product whether it works, and skips when it says no, never
fails: so whatever the product gives as its reason counts only if this agrees.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

_CAP_NET_ADMIN = 12
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_PIDFD_OPEN, _PIDFD_GETFD = 434, 438
_USER_NOTIF = 0x7FC00000  # SECCOMP_RET_USER_NOTIF
_libc = ctypes.CDLL(None, use_errno=True)


def excused(mode: str, reason: str) -> NoReturn:
    """Skips a test for which the product says that a mode is not possible; fails it if the machine does allow the mode."""
    if denied := denies(mode):
        pytest.skip(f"{mode} is not possible here ({denied}): {reason}")
    pytest.fail(f"this machine allows {mode}, but tulle says: {reason}")


@functools.cache
def denies(mode: str) -> str:
    """What of the mode's needs this machine does not give; "" if it gives all."""
    if mode == "redirect":
        return _no_right() or _no_nftables() or _no_cgroup() or _no_route() or _asked_past_dns()
    if mode == "seccomp":
        return _no_notification()
    if mode == "netns":
        return _no_namespace() or _no_notification() or _no_nftables()
    return ""


def _no_right() -> str:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return "" if int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1 else "no CAP_NET_ADMIN"


def _no_nftables() -> str:
    """Asks nf_tables for its generation (NFT_MSG_GETGEN), which anybody may; nfnetlink refuses where it is not there."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:  # NETLINK_NETFILTER
            netlink.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 16, 1, 1, 0, 0, 0, 0))
            (kind,) = struct.unpack_from("=4xH", netlink.recv(4096))
    except OSError as failure:
        return f"no netfilter: {failure.strerror}"
    return "no nf_tables" if kind == 2 else ""  # NLMSG_ERROR


def _no_cgroup() -> str:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2":
            own = next(r for r in Path("/proc/self/cgroup").read_text().splitlines() if r.startswith("0::"))[3:]
            folder = Path(place) / own.lstrip("/")
            return "" if "rw" in options.split(",") and os.access(folder, os.W_OK) else "no cgroup v2 to write to"
    return "no cgroup v2"


def _no_route() -> str:
    names = [line.split()[1] for line in Path("/etc/resolv.conf").read_text().splitlines() if line[:10] == "nameserver"]
    for name in names or ["127.0.0.1"]:
        with socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((name.partition("%")[0], 53))  # sends nothing
                return ""
            except OSError:
                continue
    return "no route to a nameserver"


def _asked_past_dns() -> str:
    """nss-resolve asks in a process of its own, which nobody redirects."""
    lines = Path("/etc/nsswitch.conf").read_text().splitlines() if Path("/etc/nsswitch.conf").exists() else []
    hosts = [word for line in lines if line.startswith("hosts:") for word in line.split()]
    is_asked = "resolve" in hosts and Path("/run/systemd/resolve/io.systemd.Resolve").exists()
    return "names are looked up by nss-resolve" if is_asked else ""


def _no_notification() -> str:
    """Whether there are user notifications, and a child may be looked into."""
    action = ctypes.c_uint32(_USER_NOTIF)
    number = _SECCOMP.get(os.uname().machine)
    if number is None:
        return "another kind of machine"
    if _libc.syscall(number, 2, 0, ctypes.byref(action)) != 0:  # SECCOMP_GET_ACTION_AVAIL
        return f"no user notification: {os.strerror(ctypes.get_errno())}"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        process = _libc.syscall(_PIDFD_OPEN, child, 0)
        taken = _libc.syscall(_PIDFD_GETFD, process, reading, 0) if process >= 0 else -1
        error = ctypes.get_errno()
        for descriptor in (process, taken):
            if descriptor >= 0:
                os.close(descriptor)
        return "" if taken >= 0 else f"no look into a child: {errno.errorcode.get(error, error)}"
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


def _no_namespace() -> str:
    way = ["--net"] if os.geteuid() == 0 and not _no_right() else ["--user", "--map-current-user", "--net"]
    try:
        done = subprocess.run(["unshare", *way, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "no unshare(1) to ask with"
    return done.stderr.strip() if done.returncode else ""
