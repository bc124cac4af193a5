"""Whether who listens where the program should is the program.

While the program is started again, or has not opened its port yet, whoever is on this machine may open it in its stead,
and would be given calls that the sidecar has let in. So a socket counts only if it is held by the program's tree, or is
of a user who could be the program anyhow: root, the agent's own, or one as whom a process of the tree runs. Such a one
may be held for the program (a container's port is opened by the engine's daemon, root's or the user's own), or by a
process that lets nobody look into it, as one with file capabilities; the user is told of it. If nothing of the program
lives, there is nobody for whom it could be held.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Collection

from tulle.agent import proc
from tulle.agent.console import Console
from tulle.agent.port_holder import process_with

_ROOT = 0


class Ownership:
    """Of the sockets that listen in this network namespace, by the tree below the process `root`."""

    def __init__(self, root: int, console: Console) -> None:
        self.root = root
        self._console = console
        self._own: frozenset[str] = frozenset()  # inodes; what was the program's once is not looked for again
        self._others: frozenset[str] = frozenset()  # inodes, of which `_told` was said last
        self._told = ""

    def stranger(self, address: str, port: int) -> str:
        """Who takes what comes to this address, in words for the user; "" if it is the program."""
        there = proc.listeners()
        if not there:  # on a machine that does not show any, nothing can be said
            return ""
        asked = _asked(there, address, port)
        if not asked:
            return f"port {port} answers, but who listens there has just gone, or can't be seen"
        others = self._not_held(asked, there)
        if not others:
            return ""
        if self._may_be_for_it(others):
            self._say(
                others,
                f"port {port} is held by {{}}, not seen to be this program's; as it may be for the program, it gets calls",
            )
            return ""
        return self._say(others, f"port {port} is taken by {{}}, which is not this program's")

    def bound(self, address: str, port: int) -> tuple[str, ...]:
        """All addresses at which the program has this port, in order, if its calls come to `address`."""
        there = proc.listeners()
        alike = [each for each in there if each.port == port]
        others = self._not_held(alike, there)
        asked = [each for each in others if each in _asked(alike, address, port)]
        for_it = asked if asked and self._may_be_for_it(asked) else []
        return tuple(sorted({each.address for each in alike if each not in others or each in for_it}))

    def _not_held(self, asked: Collection[proc.Listener], there: Collection[proc.Listener]) -> list[proc.Listener]:
        """Those that no process of the tree holds."""
        if not {each.inode for each in asked} <= self._own:
            held = frozenset[str]().union(*map(proc.sockets_of, proc.descendants(self.root)))
            self._own = held & {each.inode for each in there}
        return [each for each in asked if each.inode not in self._own]

    def _may_be_for_it(self, others: Collection[proc.Listener]) -> bool:
        """Whether they are such users' as could be the program."""
        tree = proc.descendants(self.root)
        users = {_ROOT, os.geteuid()}.union(*map(proc.users_of, tree))
        return bool(tree) and all(each.user in users for each in others)

    def _say(self, others: Collection[proc.Listener], text: str) -> str:
        """Once, until there is something else to say, as whoever holds a socket is looked for among all processes."""
        inodes = frozenset(each.inode for each in others)
        if inodes != self._others or text.partition("{}")[0] not in self._told:
            self._others, self._told = inodes, text.format(_holder(others))
            self._console.warning(self._told)
        return self._told


def _asked(there: Collection[proc.Listener], address: str, port: int) -> list[proc.Listener]:
    """Those among which the kernel chooses for a connection: who has the very address comes before who has all."""
    own, every = {address, f"::ffff:{address}"}, {"0.0.0.0", "::ffff:0.0.0.0"}  # noqa: S104  compared with
    for addresses in (own, {"::"}) if ":" in address else (own, every, {"::"}):
        if found := [each for each in there if each.port == port and each.address in addresses]:
            return found
    return []


def _holder(others: Collection[proc.Listener]) -> str:
    if process := process_with({each.inode for each in others}):
        return proc.described(process)
    user = min(each.user for each in others)
    try:
        return f"a process of the user {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"a process of the user {user}"
