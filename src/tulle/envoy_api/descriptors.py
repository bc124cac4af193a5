"""Envoy's own API descriptions, read out of the binary that is installed.

C++ protobuf keeps one serialised FileDescriptorProto for every .proto file in the program, uncompressed. In Envoy they
lie in an ELF section of their own, so 0.7 of its 107 MB are read; where there is no such section the whole file is
searched. So the messages are always exactly those that this Envoy understands, with nothing to keep in step.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from tulle.envoy_api.wire import BYTES, VARINT, decode_varint, encode_varint

SECTION = b"protodesc_cold"
# Without these no sidecar can be configured.
NEEDED = (
    "envoy/service/discovery/v3/discovery.proto",
    "envoy/config/bootstrap/v3/bootstrap.proto",
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/endpoint/v3/endpoint.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
)

# FileDescriptorProto (descriptor.proto): field 1 is the name, after its length in one or two bytes; then come
# 2 (package), 3 (dependency) or 4 (message_type).
_NAME = re.compile(rb"\n([\x07-\x7f]|[\x80-\xff]\x01)([\w./-]{1,249}?\.proto)(?=[\x12\x1a\x22])", re.ASCII)
_LAST_FIELD = 14  # edition

_Buffer = bytes | mmap.mmap


class DescriptorsMissing(Exception):
    """The program does not hold the descriptions that are needed."""


def read(path: Path) -> dict[str, bytes]:
    """{name of the .proto file: its serialised FileDescriptorProto}. Raises DescriptorsMissing, OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if not size:
            raise DescriptorsMissing(f"{path} is empty")
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as program:
            files = dict(_files(_section(program)))
            if not _complete(files):
                files = dict(_files(program))
    if not _complete(files):
        missing = next(name for name in NEEDED if name not in files)
        raise DescriptorsMissing(
            f"{path} does not hold the API descriptions of Envoy ({len(files)} found, {missing} is not among them): "
            "it must be the program itself, neither packed nor a script that starts it"
        )
    return files


def _complete(files: dict[str, bytes]) -> bool:
    return all(name in files for name in NEEDED)


def _section(program: mmap.mmap) -> bytes:
    """The section's bytes; empty if there is none, or if the program is no 64-bit little-endian ELF file (elf(5))."""
    try:
        if program[:6] != b"\x7fELF\x02\x01":
            return b""
        (table,) = struct.unpack_from("<Q", program, 0x28)
        entry, count, names = struct.unpack_from("<HHH", program, 0x3A)
        headers = [struct.unpack_from("<I20xQQ", program, table + i * entry) for i in range(count)]
        _, names_at, names_size = headers[names]
        texts = program[names_at : names_at + names_size]
        for name, at, size in headers:
            if texts[name:].startswith(SECTION + b"\0"):
                return program[at : at + size]
    except (struct.error, IndexError):  # cut off, or no section table
        pass
    return b""


def _files(buffer: _Buffer) -> Iterator[tuple[str, bytes]]:
    for found in _NAME.finditer(buffer):
        if found[1] == encode_varint(len(found[2])):
            yield found[2].decode(), bytes(buffer[found.start() : _end(buffer, found.end())])


def _end(buffer: _Buffer, at: int) -> int:
    """Where the message ends whose name ends at `at`: its fields stand in order, and what follows is no field of it."""
    last = 2
    try:
        while at < len(buffer):
            tag, after = decode_varint(buffer, at)
            field, wire = tag >> 3, tag & 7
            if not last <= field <= _LAST_FIELD or wire not in (VARINT, BYTES):
                break
            value, after = decode_varint(buffer, after)
            if wire == BYTES:
                after += value
            if after > len(buffer):
                break
            last, at = field, after
    except ValueError:  # the end of the buffer
        pass
    return at
