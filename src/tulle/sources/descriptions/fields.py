"""All of it together: which fields a message has, of what type each is, what it means and whether it works."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import Struct, inspect

from tulle.sources.descriptions import (
    common,
    destination_rule,
    mesh_config,
    security,
    sidecar,
    telemetry,
    telemetry_providers,
    virtual_service,
    workload,
)
from tulle.sources.unsupported import UNSUPPORTED

ABOUT: Mapping[str, str] = {
    "VirtualService": virtual_service.ABOUT,
    "DestinationRule": destination_rule.ABOUT,
    "ServiceEntry": workload.SERVICE_ENTRY,
    "WorkloadEntry": workload.WORKLOAD_ENTRY,
    "WorkloadGroup": workload.WORKLOAD_GROUP,
    "Sidecar": sidecar.ABOUT,
    "PeerAuthentication": security.PEER_AUTHENTICATION,
    "RequestAuthentication": security.REQUEST_AUTHENTICATION,
    "AuthorizationPolicy": security.AUTHORIZATION_POLICY,
    "Telemetry": telemetry.ABOUT,
    "MeshConfig": mesh_config.ABOUT,
}
DESCRIPTIONS: Mapping[type[Any], Mapping[str, str]] = {
    **common.FIELDS,
    **virtual_service.FIELDS,
    **destination_rule.FIELDS,
    **workload.FIELDS,
    **sidecar.FIELDS,
    **security.FIELDS,
    **telemetry.FIELDS,
    **mesh_config.FIELDS,
    **telemetry_providers.FIELDS,
}
# What Istio has a field for and its own validation does not take.
_REFUSED = dict.fromkeys(
    (
        *(("Delay", "exponentialDelay"), ("Abort", "http2Error"), ("SidecarPort", "targetPort")),
        ("PolicyTargetReference", "namespace"),
    ),
    "Istio's own validation refuses it",
)
_RANGES = {(-(2**31), 2**31 - 1): "int32", (0, 2**32 - 1): "uint32", (0, None): "uint64"}


Message = type[Any]


class Field(Struct, frozen=True):
    """type: `HTTPRoute[]`, `map[string]string`. message: what it holds, if that has fields of its own.

    values: all that it may be, if these are few words. unsupported: why, and what to do; empty if it works.
    """

    name: str
    type: str
    description: str
    message: Message | None = None
    values: tuple[str, ...] = ()
    unsupported: str = ""


def fields(message: Any) -> Mapping[str, Field]:
    """By JSON name, in the order in which Istio has them."""
    return _fields(message)


@cache
def _fields(message: Any) -> Mapping[str, Field]:
    info = inspect.type_info(message)
    assert isinstance(info, inspect.StructType)
    described, reasons = DESCRIPTIONS[message], UNSUPPORTED.get(message, {})
    return {
        each.encode_name: Field(
            each.encode_name,
            _type(each.type),
            described[each.encode_name],
            _message(each.type),
            _values(each.type),
            reasons.get(each.encode_name, "") or _REFUSED.get((message.__name__, each.encode_name), ""),
        )
        for each in info.fields
    }


def _type(type_: inspect.Type) -> str:
    match type_:
        case inspect.UnionType():
            return _type(_given(type_))
        case inspect.StructType():
            return type_.cls.__name__
        case inspect.VarTupleType():
            return f"{_type(type_.item_type)}[]"
        case inspect.DictType():
            return f"map[string]{_type(type_.value_type)}"
        case inspect.IntType():
            return _RANGES[type_.ge, type_.le]  # type: ignore[index]
        case inspect.FloatType():
            return "number"
        case inspect.BoolType():
            return "boolean"
        case inspect.AnyType():
            return "any"
        case _:
            return "string"


def _given(type_: inspect.UnionType) -> inspect.Type:
    return next(each for each in type_.types if not isinstance(each, inspect.NoneType))


def _inner(type_: inspect.Type) -> inspect.Type:
    """Of a list or mapping, what is in it."""
    match type_:
        case inspect.UnionType():
            return _inner(_given(type_))
        case inspect.VarTupleType():
            return _inner(type_.item_type)
        case inspect.DictType():
            return _inner(type_.value_type)
        case _:
            return type_


def _message(type_: inspect.Type) -> type[Any] | None:
    inner = _inner(type_)
    return inner.cls if isinstance(inner, inspect.StructType) else None


def _values(type_: inspect.Type) -> tuple[str, ...]:
    inner = _inner(type_)
    return tuple(member.value for member in inner.cls) if isinstance(inner, inspect.EnumType) else ()
