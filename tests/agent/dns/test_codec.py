"""DNS messages, compared with a second hand that reads and writes them; and bytes that are none."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.agent.dns import codec

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=8).filter(lambda labels: sum(map(len, labels)) <= 240)
WORDS = st.integers(0, 0xFFFF)
GOOD = b"\x12\x67\1\0\0\1\0\0\0\0\0\1\3www\7example\3com\0\0\1\0\1\0\0\x29\5\x78\0\0\x80\0\0\0"


def packed(labels: list[bytes]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


@given(LABELS, WORDS, WORDS, WORDS, st.booleans(), st.binary(max_size=40))
def test_a_query_is_read_as_it_was_written(
    labels: list[bytes], id_: int, type_: int, class_: int, recursion: bool, rest: bytes
) -> None:
    question = packed(labels) + struct.pack("!HH", type_, class_)
    flags = 0x0100 if recursion else 0
    query = codec.parse(struct.pack("!6H", id_, flags, 1, 0, 0, 0) + question + rest)
    lower = tuple(label.lower() for label in labels)
    assert query == codec.Query(id_, flags, lower, type_, class_, question, None)


@given(LABELS.filter(bool), WORDS, st.integers(0, 2**31 - 1), st.binary(max_size=200), st.booleans())
def test_a_reply_is_read_by_others_as_it_was_meant(
    wire: Any, labels: list[bytes], id_: int, ttl: int, data: bytes, edns: bool
) -> None:
    packet = struct.pack("!6H", id_, 0x0100, 1, 0, 0, edns) + packed(labels) + b"\0\1\0\1" + wire.OPT * edns
    query = codec.parse(packet)
    assert query
    name = b".".join(labels).decode("latin-1")
    above = b".".join(labels[1:]).decode("latin-1")

    found = wire.decode(codec.answer(query, 12, data, ttl))
    assert [(r.name, r.type, r.ttl, r.data) for r in found.answers] == [(name, 12, ttl, data)]
    nothing = wire.decode(codec.no_data(query, ttl))
    assert [(r.name, r.type, r.ttl, r.data[-4:]) for r in nothing.authorities] == [
        (name, 6, ttl, struct.pack("!I", ttl))
    ]
    nobody = wire.decode(codec.no_name(query, ttl))
    assert [(r.name, r.type) for r in nobody.authorities] == [(above, 6)]
    failed = wire.decode(codec.failure(query))
    assert [m.rcode for m in (found, nothing, nobody, failed)] == [0, 0, 3, 2]
    for message in (found, nothing, nobody, failed):
        assert (message.id, message.question, len(message.additional)) == (id_, (name, 1, 1), edns)


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x0c",  # points to itself
        b"\1a\xc0\x0c",  # points to its own beginning
        b"\xc0\x00",  # points into the header
        b"\xff\xff",
        b"\x40" + b"a" * 64 + b"\0",
        b"\x3f" + b"a" * 63,
        (b"\x3f" + b"a" * 63) * 4 + b"\0",  # 257 bytes
        b"\1a" * 127 + b"\1",
        b"",
    ],
)
def test_a_name_that_is_none_is_a_malformed_query(wire: Any, name: bytes) -> None:
    packet = struct.pack("!6H", 4711, 0x0100, 1, 0, 0, 0) + name
    for whole in (packet, packet + b"\0\1\0\1"):
        with pytest.raises(codec.Malformed):
            codec.parse(whole)
    reply = wire.decode(codec.malformed(packet))
    assert (reply.id, reply.rcode, reply.question) == (4711, 1, None)


def test_the_longest_name_is_a_name() -> None:
    labels = [b"a" * 63] * 3 + [b"a" * 61]
    assert len(packed(labels)) == 255
    query = codec.parse(struct.pack("!6H", 1, 0, 1, 0, 0, 0) + packed(labels) + b"\0\1\0\1")
    assert query and query.labels == tuple(labels)


def test_two_questions_at_once_are_malformed() -> None:
    with pytest.raises(codec.Malformed):
        codec.parse(GOOD[:5] + b"\2" + GOOD[6:])


@given(st.binary(max_size=600))
def test_any_bytes_are_a_query_or_malformed_or_nothing(packet: bytes) -> None:
    with contextlib.suppress(codec.Malformed):
        query = codec.parse(packet)
        assert query is None or not packet[2] & 0x80


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.integers(0, len(GOOD)))
def test_a_damaged_reply_is_not_taken_for_the_answer(at: int, change: int, length: int) -> None:
    query = codec.parse(GOOD)
    assert query
    reply = GOOD[:2] + b"\x81\x80" + GOOD[4:]
    assert codec.is_reply(reply, 0x1267, query)
    assert not codec.is_reply(reply, 0x1268, query)
    assert not codec.is_reply(GOOD, 0x1267, query)
    damaged = reply[:at] + bytes([reply[at] ^ change]) + reply[at + 1 :]
    end = 12 + len(query.question)
    matters = at in (0, 1, 4, 5) or 12 <= at < end
    if matters and damaged[:end].lower() != reply[:end].lower():
        assert not codec.is_reply(damaged, 0x1267, query)
    assert codec.is_reply(reply[:length], 0x1267, query) == (length >= end)


def test_a_type_is_no_letter() -> None:
    """65 (HTTPS) and 97 differ by what tells upper from lower case."""
    ask = GOOD.replace(b"\0\1\0\1\0", b"\0\x41\0\1\0")
    query = codec.parse(ask)
    assert query and query.type == 0x41
    reply = ask[:2] + b"\x81\x80" + ask[4:]
    assert codec.is_reply(reply, 0x1267, query)
    assert not codec.is_reply(reply.replace(b"\0\x41\0\1", b"\0\x61\0\1"), 0x1267, query)


def test_a_name_is_shown_without_its_tricks() -> None:
    query = codec.parse(struct.pack("!6H", 1, 0, 1, 0, 0, 0) + packed([b"a\x1b[2J\n\xff", b"com"]) + b"\0\1\0\1")
    assert query
    assert codec.readable(query) == r"a\x1b[2j\x0a\xff.com"
