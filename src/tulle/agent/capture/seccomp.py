"""Capture for an ordinary user: the kernel asks the reaper before the program's sockets are connected or bound.

Whether the machine allows that is tried, not guessed, with a child of our own. Nothing of the machine is changed, so
nothing is to be cleared up. What is done with each call: seccomp_calls.py, in the reaper (seccomp_launch.py).

RES_OPTIONS has glibc and c-ares (Node's dns.resolve, aiodns) ask by TCP: c-ares drops an answer by UDP that comes from
another address than it asked. The c-ares inside gRPC does not read it, so gRPC is told to use the libc instead.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Address, ip_address

from tulle.agent.capture.mode import Prepared, Settings
from tulle.agent.capture.seccomp_probe import probe
from tulle.agent.dns import resolv_conf
from tulle.model.addresses import LOOPBACK

# glibc asks these before DNS, and they ask in processes of their own: nscd(8), nss-resolve(8).
REFUSED_SOCKETS = ("/var/run/nscd/socket", "/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve")


@contextmanager
def prepared(settings: Settings) -> Iterator[Prepared]:
    """Raises Unavailable where the kernel or a policy does not allow it."""
    probe()
    with ExitStack() as stack:
        answers_at: list[str] = []
        sockets: list[socket.socket] = []
        for address in _loopback_addresses(settings.nameservers):
            with suppress(OSError), ExitStack() as bound:
                sockets += [bound.enter_context(sock) for sock in _bound(address, settings.dns)]
                stack.push(bound.pop_all())
                answers_at.append(address)
        source = _secret_source()
        yield Prepared(
            {
                "mode": "seccomp",
                "source": source,
                "proxy": settings.proxy,
                "outbound": settings.outbound,
                "dns": settings.dns,
                "nameservers": list(settings.nameservers),
                "answers_at": answers_at,
                "resolv_conf": str(resolv_conf.PATH),
                "refused_sockets": list(REFUSED_SOCKETS),
            },
            environment={
                "GRPC_DNS_RESOLVER": "native",
                "RES_OPTIONS": f"{os.environ.get('RES_OPTIONS', '')} use-vc".strip(),
            },
            dns_sockets=tuple(sockets),
            source=source,
        )


def _secret_source() -> str:
    """Any user of the machine can connect to the sidecar's door and write a PROXY header, but not with this in it."""
    address = socket.inet_ntoa(b"\x7f" + os.urandom(3))
    return f"{address}:{1 + int.from_bytes(os.urandom(4), 'big') % 65535}"


def _loopback_addresses(nameservers: tuple[str, ...]) -> list[str]:
    """Where a local resolver listens, as systemd-resolved does on 127.0.0.53: there the agent can listen as well."""
    found = []
    for text in nameservers:
        with suppress(ValueError):
            address = ip_address(text)
            if isinstance(address, IPv4Address) and address.is_loopback and text != LOOPBACK:
                found.append(text)
    return found


def _bound(address: str, port: int) -> list[socket.socket]:
    """By UDP and by TCP. Raises OSError."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(type=kind)) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
        for sock in sockets:
            sock.bind((address, port))
        stack.pop_all()
        return sockets
