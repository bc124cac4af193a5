"""What a workload leaves on the machine, as the kernel tells it, and what belongs to others there."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from puppets import Puppet
from running import Mesh

_NETLINK_NETFILTER, _NF_TABLES = 12, 10
_GET_TABLE, _GET_CHAIN, _GET_RULE, _GET_SET = 1, 4, 7, 10
_NAME = 1  # the attribute with the table's name, in all of them


class Traces:
    """Of one workload, which must run with a text in its environment that no other has."""

    def __init__(self, mesh: Mesh, program: Puppet, mark: str) -> None:
        self.mark, self.proxy = mark, program.proxy
        self.folder = mesh.data / "proxies" / program.proxy
        ours = range(program.port - 2, program.port + 2)  # the agent's block of ports
        self._ports = set(ours) & listening_ports()
        self._shared_memory = [link.readlink() for link in self.folder.glob(".shared-memory")]
        self.cgroups = cgroups_of(self.proxy)
        assert self._ports
        assert self.folder.exists()

    def left(self, what: str = "") -> list[str]:
        """What is left, in words that begin with its kind; what: only that kind."""
        return [
            trace
            for trace in (
                *(f"process {pid}" for pid in processes_with(self.mark)),
                *(f"cgroup {path}" for path in cgroups_of(self.proxy)),
                *(f"table {name}" for name in tables() if self.proxy in name),
                *(f"folder {path}" for path in [self.folder] if path.exists()),
                *(f"shared memory {path}" for path in self._shared_memory if path.exists()),
                *(f"socket on port {port}" for port in self._ports & listening_ports()),
            )
            if trace.startswith(what)
        ]


def processes_with(mark: str) -> list[int]:
    """Those that are alive, and have the text in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                if mark.encode() in (process / "environ").read_bytes():
                    found.append(int(process.name))
            except OSError:  # it has ended meanwhile
                continue
    return found


def cgroups_of(proxy: str) -> list[Path]:
    mounts = [
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line
    ]
    return [path for mount in mounts for path in Path(mount).rglob(f"tulle-{proxy}")]


def listening_ports() -> set[int]:
    """Of TCP and of UDP, on any address, in the network of this process."""
    found = set()
    for kind, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == state:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def tables() -> list[str]:
    """The names of netfilter's tables."""
    return [name for name, _ in _dumped(_GET_TABLE)]


def rules_of_others() -> list[bytes]:
    """All that netfilter holds, but tulle's own tables."""
    return [
        body
        for kind in (_GET_TABLE, _GET_CHAIN, _GET_RULE, _GET_SET)
        for name, body in _dumped(kind)
        if not name.startswith("tulle-")
    ]


def _dumped(kind: int) -> list[tuple[str, bytes]]:
    """The name of the table and the attributes of each, as far as this user may see them."""
    found: list[tuple[str, bytes]] = []
    try:
        asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    except OSError:
        return found
    with asking:
        asking.send(struct.pack("=IHHIIBBH", 20, _NF_TABLES << 8 | kind, 0x301, 1, 0, 0, 0, 0))  # request, dump
        while True:
            data = asking.recv(1 << 18)
            while data:
                length, answer = struct.unpack_from("=IH", data)
                if answer in (2, 3):  # an error, as for ordinary users, or the end
                    return found
                body = data[20:length]
                found.append((_attribute(body, _NAME), body))
                data = data[length + 3 & ~3 :]


def _attribute(body: bytes, wanted: int) -> str:
    while body:
        length, kind = struct.unpack_from("=HH", body)
        if kind & 0x3FFF == wanted:
            return body[4:length].rstrip(b"\0").decode()
        body = body[length + 3 & ~3 :]
    return ""
