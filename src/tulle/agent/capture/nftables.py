"""A table of the kernel's packet filter that vanishes with its owner, without the nft binary.

The table has the OWNER flag: the kernel drops it when the netlink socket that made it is closed, however that came
about, and lets nobody else change it meanwhile (not even `nft flush ruleset`). Everything happens in the network
namespace of the socket.

Changes are values, and `commit` hands them over as one batch: all of them or none (linux/netfilter/nfnetlink.h,
nf_tables.h). What a rule is made of is in `nftables_expressions.py`; this file knows netlink's framing and answers.
It imports next to nothing, for it is loaded in small processes.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable

from tulle.agent.capture.nftables_expressions import attribute, big_endian, nested, text

# What is to be changed, for people; the message's kind, flags and attributes after the table's name.
Change = tuple[str, int, int, bytes]

PREROUTING, OUTPUT = 0, 3  # linux/netfilter.h, enum nf_inet_hooks
# The key of a set: how userspace names its type (for people who list the table; libnftables, enum datatypes), and bytes.
IPV4_ADDRESS, IPV6_ADDRESS, PORT, UID = (7, 4), (8, 16), (13, 2), (24, 4)
IPV4_PLACE, IPV6_PLACE = (7 << 6 | 13, 8), (8 << 6 | 13, 20)  # address and port, each filled up to four bytes
EVERYTHING = "any change to its tables"  # what the kernel refuses to those who may not, or where it knows no tables

_INET = 1  # NFPROTO_INET: both IPv4 and IPv6
_NETLINK_NETFILTER = 12
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11  # linux/netlink.h
_REQUEST, _ACK, _EXCLUSIVE, _CREATE, _APPEND = 0x1, 0x4, 0x200, 0x400, 0x800
_ERROR_MESSAGE, _CAPPED, _ACK_TLVS, _ERROR_TEXT = 2, 0x100, 0x200, 1
_BATCH_BEGIN, _BATCH_END, _NF_TABLES = 16, 17, 10
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE, _NEW_SET, _NEW_ELEMENTS, _DELETE_ELEMENTS = 0, 3, 6, 9, 12, 14
_OWNER = 2  # NFT_TABLE_F_OWNER, since Linux 5.12
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr


class Refused(OSError):
    """The kernel did not do it. what: which of the changes it stumbled over; reason: its own words, where it has any."""

    def __init__(self, number: int, what: str, reason: str = "") -> None:
        super().__init__(number, os.strerror(number))
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"the kernel refuses {self.what}: {self.strerror}{f' ({self.reason})' if self.reason else ''}"


class OwnedTable:
    """A table of our own, empty at first. Raises Refused; OSError where the kernel knows no netfilter sockets.

    within: a netlink socket (NETLINK_NETFILTER) that was made in another network namespace; it is closed with the table.
    """

    def __init__(self, name: str, within: socket.socket | None = None) -> None:
        self.name = name
        self._socket = within or netfilter_socket()
        self._sequence = 0
        try:
            self._socket.setblocking(False)
            for option in (_CAP_ACK, _EXT_ACK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            flags = attribute(2, big_endian(_OWNER))
            self._hand_over([(f"a table of its own, {name}", _NEW_TABLE, _CREATE | _EXCLUSIVE, flags)])
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> OwnedTable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The table is gone after this."""
        self._socket.close()

    def commit(self, *changes: Change) -> None:
        """Makes all changes at once. Raises Refused; then none was made."""
        self._hand_over(changes)

    def _hand_over(self, changes: Iterable[Change]) -> None:
        sent: dict[int, str] = {}
        batch = [self._message(_BATCH_BEGIN, 0, 0, struct.pack(">H", _NF_TABLES), b"")]
        for what, kind, flags, attributes in changes:
            body = attribute(1, text(self.name)) + attributes
            batch.append(self._message(_NF_TABLES << 8 | kind, _ACK | flags, _INET, b"\0\0", body))
            sent[self._sequence] = what
        batch.append(self._message(_BATCH_END, 0, 0, struct.pack(">H", _NF_TABLES), b""))
        self._socket.send(b"".join(batch))
        done = 0
        # The kernel has worked on it by the time that send returns, so all of its answers are there.
        for sequence, error, reason in self._answers():
            if error:
                raise Refused(error, sent.get(sequence, EVERYTHING), reason)
            done += 1
        if done != len(sent):
            raise OSError(f"netfilter answered {done} of {len(sent)} changes to the table {self.name}")

    def _message(self, kind: int, flags: int, family: int, resource: bytes, body: bytes) -> bytes:
        self._sequence = self._sequence + 1 & 0xFFFFFFFF
        body = struct.pack("BB", family, 0) + resource + body  # struct nfgenmsg, version 0
        return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, self._sequence, 0) + body

    def _answers(self) -> list[tuple[int, int, str]]:
        """To the latest batch, in order: the sequence number, the error or 0, and the kernel's reason if it gave any.

        They are read to the end even after an error: none may be left for the next batch.
        """
        answers: list[tuple[int, int, str]] = []
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return answers
            while len(data) >= _HEADER.size:
                length, kind, flags, sequence, _ = _HEADER.unpack_from(data)
                if kind == _ERROR_MESSAGE:
                    (error,) = struct.unpack_from("=i", data, _HEADER.size)
                    answers.append((sequence, -error, _reason(data[:length], flags)))
                data = data[length + 3 & ~3 :]


def netfilter_socket() -> socket.socket:
    """A netlink socket for an OwnedTable, in the network namespace of the calling thread."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    made.bind((0, 0))
    return made


def chain(name: str, kind: str, hook: int, priority: int) -> Change:
    """kind: `nat` or `filter`. What no rule decides on is accepted."""
    where = nested(4, attribute(1, big_endian(hook)), attribute(2, big_endian(priority)))
    body = attribute(3, text(name)) + where + attribute(7, text(kind))
    return f"the {kind} chain {name}", _NEW_CHAIN, _CREATE | _EXCLUSIVE, body


def rule(chain: str, comment: str, *expressions: bytes) -> Change:
    """At the end of its chain. comment: says what it is for, also to whoever lists the table; ASCII, not long."""
    words = text(comment)
    note = attribute(7, struct.pack("BB", 0, len(words)) + words)  # libnftnl: NFTNL_UDATA_RULE_COMMENT is 0
    body = attribute(2, text(chain)) + nested(4, *expressions) + note
    return f"the rule {comment!r}", _NEW_RULE, _CREATE | _APPEND, body


def named_set(name: str, key: tuple[int, int]) -> Change:
    """An empty set, of IPV4_ADDRESS, IPV6_ADDRESS, their PLACEs, PORT or UID. Rules name it, so it comes before them."""
    datatype, length = key
    # The id is for rules of the same batch; ours go by the name, but the kernel wants one.
    body = attribute(2, text(name)) + attribute(3, big_endian(0)) + attribute(4, big_endian(datatype))
    body += attribute(5, big_endian(length)) + attribute(10, big_endian(1))
    return f"the set {name}", _NEW_SET, _CREATE | _EXCLUSIVE, body


def elements(name: str, values: Iterable[bytes]) -> tuple[Change, ...]:
    """Puts these into the set `name` besides what is there: network order, but a UID in the machine's."""
    listed = [nested(index, nested(1, attribute(1, value))) for index, value in enumerate(dict.fromkeys(values), 1)]
    if not listed:
        return ()
    return ((f"elements of the set {name}", _NEW_ELEMENTS, _CREATE, attribute(2, text(name)) + nested(3, *listed)),)


def replaced(name: str, values: Iterable[bytes]) -> tuple[Change, ...]:
    """Puts these into the set `name` in place of what is there."""
    return ((f"to empty the set {name}", _DELETE_ELEMENTS, 0, attribute(2, text(name))), *elements(name, values))


def _reason(message: bytes, flags: int) -> str:
    """What the kernel says beside the number (NLMSGERR_ATTR_MSG), after the header of what it refused."""
    if not flags & _ACK_TLVS:
        return ""
    at = _HEADER.size + 4
    (refused,) = struct.unpack_from("=I", message, at)
    at += _HEADER.size if flags & _CAPPED else refused + 3 & ~3
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == _ERROR_TEXT:
            return message[at + 4 : at + length].rstrip(b"\0").decode(errors="replace")
        at += max(length + 3 & ~3, 4)
    return ""
