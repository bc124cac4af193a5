"""The messages of the SPIFFE Workload API.

Source: SPIFFE Workload API standard, appendix A (the service is in no package). They live in a pool of their own, as a client in
the same process may bring the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, message_factory, struct_pb2
from google.protobuf.descriptor_pool import DescriptorPool

SERVICE = "SpiffeWorkloadAPI"

_Field = descriptor_pb2.FieldDescriptorProto
_TEXT, _BYTES = _Field.TYPE_STRING, _Field.TYPE_BYTES
_MAP, _STRUCT = "map<string, bytes>", "google.protobuf.Struct"

# By message: each field's name, number, kind, and whether it is repeated.
_MESSAGES: Mapping[str, tuple[tuple[str, int, int | str, bool], ...]] = {
    "X509SVIDRequest": (),
    "X509SVID": (
        ("spiffe_id", 1, _TEXT, False),
        ("x509_svid", 2, _BYTES, False),
        ("x509_svid_key", 3, _BYTES, False),
        ("bundle", 4, _BYTES, False),
        ("hint", 5, _TEXT, False),
    ),
    "X509SVIDResponse": (
        ("svids", 1, "X509SVID", True),
        ("crl", 2, _BYTES, True),
        ("federated_bundles", 3, _MAP, True),
    ),
    "X509BundlesRequest": (),
    "X509BundlesResponse": (("crl", 1, _BYTES, True), ("bundles", 2, _MAP, True)),
    "JWTSVID": (("spiffe_id", 1, _TEXT, False), ("svid", 2, _TEXT, False), ("hint", 3, _TEXT, False)),
    "JWTSVIDRequest": (("audience", 1, _TEXT, True), ("spiffe_id", 2, _TEXT, False)),
    "JWTSVIDResponse": (("svids", 1, "JWTSVID", True),),
    "JWTBundlesRequest": (),
    "JWTBundlesResponse": (("bundles", 1, _MAP, True),),
    "ValidateJWTSVIDRequest": (("audience", 1, _TEXT, False), ("svid", 2, _TEXT, False)),
    "ValidateJWTSVIDResponse": (("spiffe_id", 1, _TEXT, False), ("claims", 2, _STRUCT, False)),
}


def message(name: str) -> Any:
    """The class of a message."""
    return _classes()[name]


@cache
def _classes() -> dict[str, Any]:
    pool = DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="workload.proto", syntax="proto3", dependency=[struct_pb2.DESCRIPTOR.name]
    )
    for name, fields in _MESSAGES.items():
        _describe(file.message_type.add(name=name), fields)
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in _MESSAGES}


def _describe(kind: Any, fields: tuple[tuple[str, int, int | str, bool], ...]) -> None:
    for name, number, of, repeated in fields:
        label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        if isinstance(of, int):
            kind.field.add(name=name, number=number, type=of, label=label)
            continue
        if of == _MAP:
            of = f"{kind.name}.{_entry(kind, name)}"
        kind.field.add(name=name, number=number, type=_Field.TYPE_MESSAGE, type_name=f".{of}", label=label)


def _entry(kind: Any, name: str) -> str:
    """A map is a list of pairs, each a message within (protobuf, "Maps", backwards compatibility)."""
    called = "".join(part.capitalize() for part in name.split("_")) + "Entry"
    entry = kind.nested_type.add(name=called, options={"map_entry": True})
    entry.field.add(name="key", number=1, type=_TEXT, label=_Field.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=_BYTES, label=_Field.LABEL_OPTIONAL)
    return called
