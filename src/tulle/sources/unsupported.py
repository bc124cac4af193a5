"""The fields of Istio's that tulle does not do, whatever is in them. A document that gives one is refused, and told why.

Where it depends on the value, validation/ says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import inspect

from tulle.model.resources.common import Message
from tulle.model.resources.mesh_config import ExtensionProvider, MeshConfig, MeshOutboundTrafficPolicy
from tulle.sources.at import At

# Of each message: its fields, and what to do instead.
UNSUPPORTED: Mapping[type[Message], Mapping[str, str]] = {
    MeshConfig: {},
    MeshOutboundTrafficPolicy: {},
    ExtensionProvider: {},
}


def note_unsupported(spec: Any, at: At) -> None:
    """Goes only where such a field may be."""
    type_: Any = type(spec)
    if not _may_hold(type_):
        return
    reasons = UNSUPPORTED.get(type_, {})
    for field in _fields(type_):
        value = getattr(spec, field.name)
        if field.encode_name in reasons:
            if value not in (None, (), {}, "", 0, False):
                at.field(field.encode_name).unsupported(reasons[field.encode_name])
        elif isinstance(value, Message):
            note_unsupported(value, at.field(field.encode_name))
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                note_unsupported(item, at.field(field.encode_name).item(index))


@cache
def _fields(type_: Any) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(type_)
    return info.fields if isinstance(info, inspect.StructType) else ()


@cache
def _may_hold(type_: Any) -> bool:
    """Whether a message, or one in it, has such a field."""
    if not issubclass(type_, Message):
        return False
    return any(each in UNSUPPORTED for each in messages(type_))


@cache
def messages(type_: Any) -> tuple[type[Any], ...]:
    """A message and all that can be in it, each once, outer ones first."""
    found: dict[type[Any], None] = {}
    queue: list[Any] = [inspect.type_info(type_)]
    while queue:
        each = queue.pop(0)
        match each:
            case inspect.StructType():
                if each.cls not in found:
                    found[each.cls] = None
                    queue += [field.type for field in each.fields]
            case inspect.UnionType():
                queue += each.types
            case inspect.VarTupleType():
                queue.append(each.item_type)
            case inspect.DictType():
                queue.append(each.value_type)
    return tuple(found)
