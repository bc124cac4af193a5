"""How declared resources lie in the store.

    declared/<kind>/<namespace>/<name>      a Resource, for good

The reference is the key alone. The specification is written as Istio's JSON. A record that this version of tulle can't
read counts as absent: a field that it does not know must not be ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from tulle.model.resources.resource import SPECS, Origin, Ref, Resource

ROOT = "declared/"


class _Record(Struct, frozen=True, omit_defaults=True):
    spec: Raw
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    created: float = 0.0
    generation: int = 1
    origin: Origin = Origin()


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Record)
_specs = {kind: msgspec.json.Decoder(spec) for kind, spec in SPECS.items()}


def key_of(ref: Ref) -> str:
    return f"{ROOT}{ref.kind}/{ref.namespace}/{ref.name}"


def prefix_of(kind: str = "", namespace: str | None = None) -> str:
    """Of all resources, those of a kind, or those of a kind in a namespace."""
    if not kind:
        return ROOT
    return f"{ROOT}{kind}/" if namespace is None else f"{ROOT}{kind}/{namespace}/"


def ref_of(key: str) -> Ref:
    """Raises ValueError."""
    match key.removeprefix(ROOT).split("/"):
        case [kind, namespace, name] if kind in SPECS and name:
            return Ref(kind, namespace, name)
    raise ValueError("it is no key of a declared resource")


def encode(resource: Resource) -> bytes:
    return _encoder.encode(
        _Record(
            Raw(_encoder.encode(resource.spec)),
            resource.labels,
            resource.annotations,
            resource.created,
            resource.generation,
            resource.origin,
        )
    )


def decode(key: str, value: bytes) -> Resource:
    """The resource at a key. Raises ValueError, with the reason, if it can't be read."""
    ref = ref_of(key)
    try:
        record = _decoder.decode(value)
        spec = _specs[ref.kind].decode(record.spec)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    return Resource(ref, spec, record.labels, record.annotations, record.created, record.generation, record.origin)
