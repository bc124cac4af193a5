"""Makes the network namespace of one program, hands it over, and ends.

Run by path, `python -I -S netns_maker.py CHANNEL OUTBOUND DNS`, because only a process with one thread may make a user
namespace, and because nobody is to keep the memory that this takes. What it makes stays as long as its descriptors are
open somewhere, and so is gone with the agent and the program, however they end.

It sends one message through CHANNEL: {"rootless": ..., "doors": how many, "cookie": the namespace's number} with the
descriptors of the network namespace, of the user namespace if it is rootless, of the netlink socket that owns the rules,
of the sockets for the outbound door, of those for DNS, and of one for spans; or {"unavailable": why}.
With CAP_SYS_ADMIN there is no user namespace, so that all users have their names; else there is one in which this
process's user and group are themselves and all others nobody.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from contextlib import contextmanager

# Neither site-packages nor the caller's folder is on the path; this file's neighbours are all that is needed.
sys.path.append(os.path.dirname(os.path.abspath(__file__)).removesuffix("/tulle/agent/capture"))  # noqa: PTH100, PTH120

from tulle.agent.capture import linux, nftables, notify, rtnetlink
from tulle.agent.capture import nftables_expressions as expressions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN = (b"\x7f\0\0\0", 16)  # 127.0.0.0/16; the services' own addresses are from 127.64.0.0/10
_LOOPBACKS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class _Impossible(Exception):
    """Why there can be no such namespace here."""


def main(channel: int, outbound: int, dns: int) -> None:
    """Answers once."""
    with socket.socket(fileno=channel) as through:
        try:
            words, descriptors = _made(outbound, dns)
        except _Impossible as error:
            through.send(json.dumps({"unavailable": str(error)}).encode())
        else:
            socket.send_fds(through, [json.dumps(words).encode()], descriptors)


def _made(outbound: int, dns: int) -> tuple[dict[str, object], list[int]]:
    rootless = _enter()
    families = _families()
    with _step("the kernel has no nf_tables with NAT for it"):
        rules = nftables.netfilter_socket()
        _lay_rules(rules, outbound, dns)
    doors = [_bound(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, outbound) for family in families]
    servers = [_bound(family, kind, dns) for family in families for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
    spans = _bound(socket.AF_INET, socket.SOCK_STREAM, 0)
    _prove_notifications()
    namespaces = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("net", *(("user",) if rootless else ()))]
    # The objects are not closed before this process ends.
    words: dict[str, object] = {"rootless": rootless, "doors": len(doors), "cookie": _cookie(doors[0])}
    return words, [*namespaces, *(made.detach() for made in (rules, *doors, *servers, spans))]


def _enter() -> bool:
    """Enters a network namespace of its own, with loopback; whether it took a user namespace."""
    try:
        linux.unshare(linux.CLONE_NEWNET)
        rtnetlink.raise_loopback()
    except PermissionError:
        pass
    else:
        return False
    user, group = os.geteuid(), os.getegid()
    try:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
    except OSError as error:
        raise _Impossible(_no_user_namespace(error)) from error
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            _write(f"/proc/self/{name}", text)
        except OSError as error:
            why = " (root without CAP_SETFCAP may not)" if user == 0 else ""
            raise _Impossible(f"this user can't be itself in a user namespace{why}: {error.strerror}") from error
    try:
        rtnetlink.raise_loopback()
    except OSError as error:
        raise _Impossible(_no_capabilities(error)) from error
    return True


def _no_user_namespace(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "no more user namespaces are allowed (sysctl user.max_user_namespaces)"
    if _setting("kernel/unprivileged_userns_clone") == "0":
        return "ordinary users may not make user namespaces (sysctl kernel.unprivileged_userns_clone=0)"
    if error.errno == errno.EINVAL:
        return "the kernel has no user namespaces"
    where = "; a container needs a security profile that allows it" if error.errno == errno.EPERM else ""
    return f"this user may not make a user namespace ({error.strerror}){where}"


def _no_capabilities(error: OSError) -> str:
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor takes all rights away in a user namespace "
            "(sysctl kernel.apparmor_restrict_unprivileged_userns=1, or a profile with `userns,` for this Python)"
        )
    return f"a user namespace gives no rights over its network here ({error.strerror})"


def _families() -> list[socket.AddressFamily]:
    """Those that work here; all their addresses are this namespace's own after this."""
    with _step("its routes can't be set"):
        rtnetlink.make_everything_local(socket.AF_INET)
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        rtnetlink.make_everything_local(socket.AF_INET6)
    except OSError:  # the kernel was started without IPv6
        return [socket.AF_INET]
    return [socket.AF_INET, socket.AF_INET6]


def _lay_rules(netlink: socket.socket, outbound: int, dns: int) -> None:
    """Questions to any resolver go to ours; connections to anywhere else go to the sidecar."""
    nftables.OwnedTable("tulle", netlink).commit(
        nftables.chain("out", "nat", nftables.OUTPUT, -100),
        nftables.rule("out", "DNS", expressions.udp(), expressions.to_port(53), expressions.redirect_to(dns)),
        nftables.rule("out", "DNS by TCP", expressions.tcp(), expressions.to_port(53), expressions.redirect_to(dns)),
        nftables.rule("out", "its own localhost", expressions.to_ipv4_network(*_OWN), expressions.leave()),
        nftables.named_set("own", nftables.IPV6_ADDRESS),
        *nftables.elements("own", [socket.inet_pton(socket.AF_INET6, "::1")]),
        nftables.rule("out", "its own localhost, IPv6", expressions.to_ipv6_in("own"), expressions.leave()),
        nftables.rule("out", "to the sidecar", expressions.tcp(), expressions.redirect_to(outbound)),
    )


def _bound(family: socket.AddressFamily, kind: int, port: int) -> socket.socket:
    made = socket.socket(family, kind)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind != socket.SOCK_DGRAM))
    made.bind((_LOOPBACKS[family], port))
    return made


def _cookie(inside: socket.socket) -> int | None:
    """The kernel's number for this namespace; None before 5.14."""
    try:
        return int.from_bytes(inside.getsockopt(socket.SOL_SOCKET, linux.SO_NETNS_COOKIE, 8), sys.byteorder)
    except OSError:
        return None


def _prove_notifications() -> None:
    """Puts this process under such a filter as Envoy and the program will be; it binds nothing more."""
    machine = notify.machine()
    if not machine:
        raise _Impossible(f"tulle does not know the system calls of {os.uname().machine}")
    try:
        listener = notify.Listener(notify.install_filter(machine, notify.build_filter(machine, ("bind",))))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _Impossible("its system calls are supervised already, as those of a captured program are") from error
        raise _Impossible(f"system calls can't be supervised here (seccomp): {error.strerror}") from error
    try:
        listener.put_descriptor(0, 0)
    except OSError as error:
        if error.errno != errno.ENOENT:  # no such call waits, which is what a kernel says that knows the request
            raise _Impossible("the kernel is older than 5.9, it can't put sockets into a process") from error


@contextmanager
def _step(trouble: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Impossible(f"{trouble}: {error.strerror if type(error) is OSError else error}") from error


def _setting(name: str) -> str:
    """Of the kernel; empty if there is none of that name."""
    try:
        with open(f"/proc/sys/{name}") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    """At once, as the kernel wants it for these files."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
