"""What the control plane has said of names that are none of the mesh's own: which hosts are declared, and what of the others.

It is told before anybody asks, and kept while the control plane is away: so a look-up of any other name costs nothing more
than it does without the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

_OWN_MACHINE = b"localhost"
_REVERSE = b"arpa"


@dataclass(frozen=True, slots=True)
class Outside:
    """hosts: that are declared, `*.` before one for all beneath it; None: any name may be.

    passes: whether others may be looked up.
    """

    hosts: frozenset[str] | None = frozenset()
    passes: bool = True

    def declares(self, name: str) -> bool:
        """Whether a name may be a declared host; None of `hosts` says nothing of it."""
        if self.hosts is None:
            return True
        labels = name.split(".")
        return name in self.hosts or any(
            ".".join(["*", *labels[at:]]) in self.hosts for at in range(1, len(labels) + 1)
        )

    def hides(self, labels: tuple[bytes, ...]) -> bool:
        """Whether a name that the mesh does not know is not to be found. The machine itself, and reverse look-ups, always are."""
        return not self.passes and bool(labels) and labels[-1] not in (_OWN_MACHINE, _REVERSE)


def said(message: dict[str, object]) -> Outside:
    """From a line of the session. Raises ValueError."""
    hosts, passes = message.get("hosts"), message.get("passes")
    if not isinstance(passes, bool) or not (hosts is None or isinstance(hosts, list)):
        raise ValueError("what is said of hosts makes no sense")
    return Outside(None if hosts is None else frozenset(map(str, hosts)), passes)
