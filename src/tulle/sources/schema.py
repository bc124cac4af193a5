"""Whether a value has the form of a message: its fields, their types, their ranges. All that is wrong, at once.

The types of `model/resources` are the schema. What is sound goes through msgspec alone, which is fast; only what it
refuses is looked at field by field. An explicit null means "not given", and a field may be written by its original name,
`mirror_percent` for `mirrorPercent`: both as in protobuf's JSON, by which Istio reads (protobuf.dev, "ProtoJSON Format").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from tulle.sources.at import At
from tulle.sources.yaml_text import nearest


def typed(value: Any, type_: Any, at: At) -> Any:
    """The message. What could not be read of it has its default; what is wrong is noted."""
    try:
        return msgspec.convert(value, type_)
    except (msgspec.ValidationError, RecursionError):
        return msgspec.convert(_message(value, _info(type_), at), type_)


@cache
def _info(type_: Any) -> inspect.StructType:
    info = inspect.type_info(type_)
    assert isinstance(info, inspect.StructType)
    return info


@cache
def _fields(type_: Any) -> dict[str, inspect.Field]:
    return {field.encode_name: field for field in _info(type_).fields}


def field_name(written: str, type_: Any) -> str:
    """The name of a message's field in documents, if its original name is written; what is written otherwise."""
    return _original_names(type_).get(written) or written


@cache
def _original_names(type_: Any) -> dict[str, str]:
    """Of the fields whose name in Istio's .proto files is not that in documents: to it."""
    written = {_ORIGINAL.get(field.encode_name, field.name.rstrip("_")): name for name, field in _fields(type_).items()}
    return {original: name for original, name in written.items() if original != name}


def _message(value: Any, info: inspect.StructType, at: At) -> dict[str, Any]:
    """The part of it that is sound."""
    if not isinstance(value, dict):
        at.error(f"write a mapping of fields{_instead(value)}")
        return {}
    fields = _fields(info.cls)
    found: dict[str, Any] = {}
    for written, content in value.items():
        name = field_name(written, info.cls)
        if name not in fields:
            at.field(name).error(f"there is no such field; {'' if at.report.crowded else nearest(name, fields)}")
        elif name != written and name in value:
            at.field(written).error(f"is another name of `{name}`, which is given as well: keep one")
        elif content is not None:
            found[name] = _value(content, fields[name].type, at.field(name))
    return {name: content for name, content in found.items() if content is not _NOTHING}


def _value(value: Any, type_: inspect.Type, at: At) -> Any:
    """_NOTHING, after noting why, for what is of another type."""
    if isinstance(type_, inspect.UnionType):
        type_ = next(each for each in type_.types if not isinstance(each, inspect.NoneType))
    return _READERS[type(type_)](value, type_, at)


def _submessage(value: Any, type_: Any, at: At) -> Any:
    if isinstance(value, dict):
        return _message(value, type_, at)
    at.error(f"write a mapping of fields{_instead(value)}")
    return _NOTHING


def _list(value: Any, type_: Any, at: At) -> Any:
    if not isinstance(value, list):
        at.error(f"write a list{_instead(value)}")
        return _NOTHING
    items = [_value(item, type_.item_type, at.item(index)) for index, item in enumerate(value)]
    # What is no item keeps its place, so that the others keep their numbers.
    return [_empty(type_.item_type) if item is _NOTHING else item for item in items]


def _mapping(value: Any, type_: Any, at: At) -> Any:
    if not isinstance(value, dict):
        at.error(f"write a mapping, NAME: VALUE{_instead(value)}")
        return _NOTHING
    items = {name: _value(item, type_.value_type, at.key(name)) for name, item in value.items()}
    return {name: item for name, item in items.items() if item is not _NOTHING}


def _text(value: Any, type_: Any, at: At) -> Any:
    if isinstance(value, str):
        return value
    quotes = ": put it in quotes" if isinstance(value, bool | int | float) else ""
    at.error(f"write a text{_instead(value)}{quotes}")
    return _NOTHING


def _boolean(value: Any, type_: Any, at: At) -> Any:
    if isinstance(value, bool):
        return value
    at.error(f"write true or false{_instead(value)}")
    return _NOTHING


def _integer(value: Any, type_: Any, at: At) -> Any:
    if isinstance(value, float):
        value = int(value) if value.is_integer() else value
    elif at.report.quoted_numbers and isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    least, most = type_.ge, _MOST if type_.le is None else type_.le
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    at.error(f"write a whole number from {least} to {most}{_instead(value)}")
    return _NOTHING


def _number(value: Any, type_: Any, at: At) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    at.error(f"write a number{_instead(value)}")
    return _NOTHING


def _word(value: Any, type_: Any, at: At) -> Any:
    words = [member.value for member in type_.cls]
    if value in words:
        return value
    near = f"; {nearest(value, words)}" if isinstance(value, str) and value else ""
    at.error(f"write one of {', '.join(words)}{_instead(value)}{near if 'did you' in near else ''}")
    return _NOTHING


def _anything(value: Any, type_: Any, at: At) -> Any:
    return value


def _empty(type_: inspect.Type) -> Any:
    match type_:
        case inspect.StructType():
            return {}
        case inspect.StrType():
            return ""
        case _:
            return 0


def _instead(value: Any) -> str:
    match value:
        case None:
            return "; here is nothing"
        case bool():
            return f", not {str(value).lower()}"
        case int() | float():
            text = str(value) if isinstance(value, float) or value.bit_length() < 128 else "a number that long"
            return f", not {text}"
        case str():
            return f', not "{value}"' if len(value) <= 60 else f', not "{value[:60]}…"'
        case list():
            return "; here is a list"
        case _:
            return "; here is a mapping"


_NOTHING = object()
_ORIGINAL = {"meshMTLS": "mesh_mTLS"}  # by what Python calls the others
_DIGITS = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_MOST = 2**64 - 1  # of what has no other bound, see Uint64
_READERS: dict[type[Any], Callable[[Any, Any, At], Any]] = {
    inspect.StructType: _submessage,
    inspect.VarTupleType: _list,
    inspect.DictType: _mapping,
    inspect.StrType: _text,
    inspect.BoolType: _boolean,
    inspect.IntType: _integer,
    inspect.FloatType: _number,
    inspect.EnumType: _word,
    inspect.AnyType: _anything,
}
