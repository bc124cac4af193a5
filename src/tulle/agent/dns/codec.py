"""DNS messages as bytes (RFC 1035, 4.1): queries taken apart, answers made, replies matched with what was asked.

Of a message that is passed on, no more is read than header and question: the rest may be of any kind.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

A, SOA, PTR, ANY = 1, 6, 12, 255
TRANSFERS = (251, 252)  # of zones, IXFR and AXFR: by TCP alone
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
HEADER = struct.Struct("!6H")  # id, flags, and how many questions, answers, authorities, additional records

_QR, _AA, _RD, _RA, _CD = 0x8000, 0x0400, 0x0100, 0x0080, 0x0010
_OPCODE, _RCODE = 0x7800, 0x000F
_TC = 0x02  # of the third byte
_RECORD = struct.Struct("!HHHIH")  # the name as a pointer, type, class, TTL, length of the data
_TO_QUESTION = 0xC000 | HEADER.size  # a pointer to the name in the question (4.1.4)
_LONGEST_NAME, _LONGEST_LABEL = 255, 63
_OPT = b"\0\0\x29"  # the root as name, and type 41 (RFC 6891, 6.1.2)
_UDP_SIZE = 1232


class Malformed(Exception):
    """A query that makes no sense; `malformed` makes the reply to it."""


@dataclass(frozen=True, slots=True)
class Query:
    """labels: of the name that is asked for, in lower case. question: the bytes of the whole question as they came.

    A query that asks no question (RFC 7873, 5.4; other opcodes) has type 0 and no labels.
    dnssec_ok: the DO bit of its EDNS record; None if it has none right behind the question.
    """

    id: int
    flags: int
    labels: tuple[bytes, ...]
    type: int
    class_: int
    question: bytes
    dnssec_ok: bool | None


def parse(packet: bytes) -> Query | None:
    """The query in `packet`; None for what must not be answered: a reply, or too little. Raises Malformed."""
    if len(packet) < HEADER.size:
        return None
    id_, flags, questions, answers, authorities, additional = HEADER.unpack_from(packet)
    if flags & _QR:
        return None
    if flags & _OPCODE or not questions:
        return Query(id_, flags, (), 0, 0, b"", None)
    if questions > 1:  # RFC 9619
        raise Malformed
    labels, end = _labels(packet)
    if len(packet) < end + 4:
        raise Malformed
    type_, class_ = struct.unpack_from("!HH", packet, end)
    end += 4
    dnssec_ok = None
    if additional and not answers and not authorities and packet[end : end + 3] == _OPT and len(packet) >= end + 11:
        dnssec_ok = bool(packet[end + 7] & 0x80)
    return Query(id_, flags, labels, type_, class_, packet[HEADER.size : end], dnssec_ok)


def answer(query: Query, type_: int, data: bytes, ttl: int) -> bytes:
    """The reply with one record, whose name is that of the question. With authority, as all that this file makes."""
    return _reply(query, NOERROR, _RECORD.pack(_TO_QUESTION, type_, IN, ttl, len(data)) + data, answers=1)


def no_data(query: Query, ttl: int) -> bytes:
    """The reply that the name is there, but nothing of the type that was asked for."""
    return _reply(query, NOERROR, _soa(_TO_QUESTION, ttl), authorities=1)


def no_name(query: Query, ttl: int) -> bytes:
    """The reply that there is no such name. The name must have a label at least."""
    # What is not there can't be the zone itself, but the name above it can.
    return _reply(query, NXDOMAIN, _soa(_TO_QUESTION + 1 + len(query.labels[0]), ttl), authorities=1)


def failure(query: Query) -> bytes:
    """The reply that the answer can't be found now."""
    return _reply(query, SERVFAIL, b"", flags=0)


def malformed(packet: bytes) -> bytes:
    """The reply to a query that makes no sense: a header without a question."""
    id_, flags = struct.unpack_from("!HH", packet)
    return HEADER.pack(id_, _QR | flags & _RD | _RA | FORMERR, 0, 0, 0, 0)


def encoded(name: str) -> bytes:
    """A name as it stands in a message (3.1)."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def readable(query: Query) -> str:
    """The name that is asked for, whatever bytes it has, as a person may see it."""
    name = b".".join(query.labels).decode("ascii", "backslashreplace")
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in name) or "."


def is_reply(packet: bytes, id_: int, query: Query) -> bool:
    """Whether `packet` answers the query, which was sent with this id (RFC 5452, 9.1)."""
    if len(packet) < HEADER.size:
        return False
    replied, flags, questions = struct.unpack_from("!HHH", packet)
    if replied != id_ or not flags & _QR or (flags ^ query.flags) & _OPCODE:
        return False
    if not query.question:
        return True
    if questions != 1:  # some servers leave it out when they refuse
        return questions == 0 and bool(flags & _RCODE)
    end = HEADER.size + len(query.question)
    question = packet[HEADER.size : end]
    # The name in any case, type and class exactly. No length of a label is a letter.
    return question[-4:] == query.question[-4:] and question.lower() == query.question.lower()


def is_failure(reply: bytes) -> bool:
    """Whether another nameserver may know better: as the C library sees it."""
    return reply[3] & _RCODE in (SERVFAIL, NOTIMP, REFUSED)


def is_no_name(reply: bytes) -> bool:
    """Whether it says that there is no such name."""
    return reply[3] & _RCODE == NXDOMAIN


def is_truncated(reply: bytes) -> bool:
    """Whether there is more than fits into a packet (TC)."""
    return bool(reply[2] & _TC)


def _labels(packet: bytes) -> tuple[tuple[bytes, ...], int]:
    """The labels of the name right behind the header, and where it ends."""
    labels = []
    at = HEADER.size
    end = at + _LONGEST_NAME - 1  # the root is a byte as well
    try:
        while length := packet[at]:
            # Nothing is before it that a pointer could point to. So there are no circles to fall into.
            if length > _LONGEST_LABEL or at + length >= end:
                raise Malformed
            labels.append(packet[at + 1 : at + 1 + length].lower())
            at += 1 + length
    except IndexError:
        raise Malformed from None
    return tuple(labels), at + 1


def _reply(
    query: Query, rcode: int, record: bytes, *, answers: int = 0, authorities: int = 0, flags: int = _AA
) -> bytes:
    flags |= _QR | query.flags & (_OPCODE | _RD | _CD) | _RA | rcode
    edns = b""
    if query.dnssec_ok is not None:
        edns = _OPT + struct.pack("!HIH", _UDP_SIZE, 0x8000 if query.dnssec_ok else 0, 0)
    header = HEADER.pack(query.id, flags, bool(query.question), answers, authorities, bool(edns))
    return header + query.question + record + edns


def _soa(owner: int, ttl: int) -> bytes:
    """What says how long a caller may remember that there is nothing: the lesser of TTL and minimum (RFC 2308, 5)."""
    name = encoded("tulle.internal")
    data = name + name + struct.pack("!5I", 1, 3600, 600, 86400, ttl)  # serial, refresh, retry, expire, minimum
    return _RECORD.pack(owner, SOA, IN, ttl, len(data)) + data
