"""As much of protobuf's wire format as is needed where whole messages need not be decoded or encoded.

Source: protobuf, "Encoding": a message is a sequence of fields, each a tag (number << 3 | wire type) and a value.
"""

from __future__ import annotations

from mmap import mmap

VARINT, BYTES = 0, 2


def encode_varint(value: int) -> bytes:
    """An unsigned integer in base 128, least significant group first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes | mmap, at: int) -> tuple[int, int]:
    """The integer at `at`, and where it ends. Raises ValueError if it doesn't end."""
    value = shift = 0
    for index in range(at, min(at + 10, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, index + 1
        shift += 7
    raise ValueError(f"no varint at {at}")


def field(number: int, value: bytes) -> bytes:
    """A string, bytes or message field with its tag and length."""
    return head(number, len(value)) + value


def head(number: int, length: int) -> bytes:
    """The tag and length of a string, bytes or message field of that many bytes."""
    return encode_varint(number << 3 | BYTES) + encode_varint(length)
