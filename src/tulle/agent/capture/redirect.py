"""The redirect mode: the kernel sends one program's calls to its sidecar, and its callers as well. For root.

The program is in a cgroup of its own (`cgroup.py`), whose connections to mesh addresses and questions to the machine's
nameservers a table of nftables redirects (`redirect_rules.py`). Nothing else on the machine is touched, Envoy and the
agent are outside of the cgroup, and the table is gone with the agent, however it ends. A redirected program connects to
127.64.0.0/10, where nothing listens: without the table, it is refused.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from tulle.agent.capture import redirect_rules
from tulle.agent.capture.cgroup import Cgroup, NoCgroup
from tulle.agent.capture.mode import Prepared, Settings, Unavailable
from tulle.agent.capture.nftables import EVERYTHING, OwnedTable, Refused

_NAMESERVER_OF_NONE = "127.0.0.1"  # resolv.conf(5): where there is none in the file
_LEAST_KERNEL = "Linux 5.13"


@contextmanager
def prepared(settings: Settings) -> Iterator[Prepared]:
    """The cgroup and the rules, gone after the block with all that is in the cgroup. Raises Unavailable."""
    with ExitStack() as stack:
        # The table first: it is what ordinary users may not make, and its absence is the shortest reason.
        table = stack.enter_context(_table(f"tulle-{settings.proxy}"))
        try:
            cgroup = stack.enter_context(Cgroup(settings.proxy))
        except NoCgroup as error:
            raise Unavailable(str(error)) from error
        nameservers = settings.nameservers or (_NAMESERVER_OF_NONE,)
        _check_routes(nameservers)
        try:
            table.commit(
                *redirect_rules.skeleton(
                    cgroup=(cgroup.identifier, cgroup.level),
                    outbound=settings.outbound,
                    inbound=settings.inbound,
                    dns=settings.dns,
                    trusted=_trusted(os.environ),
                ),
                *redirect_rules.nameservers(nameservers),
                *redirect_rules.places(settings.places),
            )
        except Refused as error:
            raise Unavailable(_reason(error)) from error
        yield Prepared(
            plan={"mode": "redirect", "proxy": settings.proxy, "cgroup": cgroup.path},
            retarget=lambda places: table.commit(*redirect_rules.places(places)),
            renew_nameservers=lambda now: table.commit(*redirect_rules.nameservers(now or (_NAMESERVER_OF_NONE,))),
        )


def _table(name: str) -> OwnedTable:
    try:
        return OwnedTable(name)
    except OSError as error:
        raise Unavailable(_reason(error)) from error


def _reason(error: OSError) -> str:
    """In the user's words. What the kernel lacks may as well be a module that may not be loaded here."""
    what = error.what if isinstance(error, Refused) else EVERYTHING
    if error.errno in (errno.EPERM, errno.EACCES) and what == EVERYTHING:
        return "it takes root, or the capability CAP_NET_ADMIN"
    if error.errno in (errno.EPERM, errno.EEXIST):
        return f"the kernel refuses {what}: another sidecar has the same name"
    if error.errno in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT) or what == EVERYTHING:
        return f"the kernel has no nftables here ({error.strerror})"
    if error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOENT):
        return (
            f"the kernel does not know {what} ({error.strerror}); {_LEAST_KERNEL} does, with the modules "
            "nf_conntrack, nft_ct, nft_nat, nft_redir, nft_socket and nft_fib_inet"
        )
    return str(error)


def _check_routes(nameservers: Sequence[str]) -> None:
    """At least one nameserver must be such that questions to it can be redirected."""
    if not any(_can_be_redirected(nameserver) for nameserver in nameservers):
        raise Unavailable(
            f"no question to {' or '.join(nameservers)} can be redirected: there is no route to a nameserver, "
            "or all are link-local IPv6 addresses"
        )


def _can_be_redirected(nameserver: str) -> bool:
    """Not where there is no route: such a question ends in the program's own socket, before any rule sees it.

    Nor at a link-local address: a socket that connects to one is bound to its interface, and can't reach ::1 from there.
    """
    address = ipaddress.ip_address(nameserver)
    if address.version == 6 and address.is_link_local:
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((nameserver, 53))  # sends nothing: it only looks the route up
            return True
    except OSError:
        return False


def _trusted(environment: Mapping[str, str]) -> set[int]:
    """The users who may call the program past its sidecar: they could become its user anyhow.

    Beside root and the agent's own user, with which its Envoy comes, the one who has called sudo: at a developer's desk
    `curl localhost:8080` goes on as before.
    """
    by = environment.get("SUDO_UID", "")
    return {0, os.geteuid(), *([int(by)] if by.isdecimal() else [])}
