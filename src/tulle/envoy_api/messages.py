"""Envoy's message classes, by their full names, from the installed Envoy.

They live in a descriptor pool of their own, so nothing else in the process that brings Envoy's or Google's messages
along clashes with them; therefore their Any, Duration and so on are other classes than those of `google.protobuf`. The
pool loads a .proto file when the first message of it is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool

from tulle.envoy_api import binary, descriptors
from tulle.envoy_api.wire import BYTES, decode_varint, field

TYPE_URL_PREFIX = "type.googleapis.com/"
ANY = "google.protobuf.Any"


@cache
def message(name: str) -> Any:
    """The class of the message with that full name, such as `envoy.config.cluster.v3.Cluster`.

    Raises KeyError if this Envoy has no such message. The first call of all finds and reads the installed Envoy, and
    raises what `binary.find` and `descriptors.read` raise.
    """
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


def type_url(value: Any) -> str:
    """The type URL of a message or of a message class."""
    return f"{TYPE_URL_PREFIX}{value.DESCRIPTOR.full_name}"


def encode(value: Any) -> bytes:
    """The same bytes for the same message, always: maps are sorted."""
    encoded: bytes = value.SerializeToString(deterministic=True)
    return encoded


def pack(value: Any) -> Any:
    """The message inside an Any, as Envoy's `typed_config` fields want it."""
    return message(ANY)(type_url=type_url(value), value=encode(value))


def unpack(value: Any) -> Any:
    """The message that is inside an Any. Raises KeyError if this Envoy has no such message."""
    return message(value.type_url.removeprefix(TYPE_URL_PREFIX)).FromString(value.value)


def to_dict(value: Any) -> dict[str, Any]:
    """The message as JSON values with the field names of the .proto files; what is inside an Any is shown too."""
    return json_format.MessageToDict(value, preserving_proto_field_name=True, descriptor_pool=_pool())


def from_dict(name: str, values: Mapping[str, Any]) -> Any:
    """The message with that full name, from JSON values. Raises json_format.ParseError."""
    return json_format.ParseDict(dict(values), message(name)(), descriptor_pool=_pool())


@cache  # for ever: classes must not outlive their pool
def _pool() -> DescriptorPool:
    return DescriptorPool(_Files(descriptors.read(binary.find().path)))


class _Files:
    """A descriptor database (the protocol of `DescriptorPool`): files by name, and by the symbols that they define."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._packages: dict[bytes, list[str]] = defaultdict(list)
        for name, encoded in files.items():
            self._packages[_package(name, encoded)].append(name)

    def FindFileByName(self, name: str) -> descriptor_pb2.FileDescriptorProto:
        return descriptor_pb2.FileDescriptorProto.FromString(self._files[name])

    def FindFileContainingSymbol(self, symbol: str) -> descriptor_pb2.FileDescriptorProto:
        package, _, name = symbol.rpartition(".")
        for file in self._packages.get(package.encode(), ()):
            if field(1, name.encode()) in self._files[file]:
                proto = self.FindFileByName(file)
                if name in {m.name for m in proto.message_type} | {e.name for e in proto.enum_type}:
                    return proto
        if not package:
            raise KeyError(symbol)
        return self.FindFileContainingSymbol(package)  # a message inside a message


def _package(name: str, encoded: bytes) -> bytes:
    """The file's package: field 2, directly after its name."""
    at = len(field(1, name.encode()))
    tag, at = decode_varint(encoded, at)
    length, at = decode_varint(encoded, at)
    return encoded[at : at + length] if tag == 2 << 3 | BYTES else b""
