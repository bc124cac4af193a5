"""Where the registry's records lie in the store, and how they are written.

    registry/proxies/<id>                               a Proxy, under a lease of its own
    registry/services/<namespace>/<name>                a KnownService, for good; no namespace: a declared host
    registry/callees/<namespace>/<name>/<destination>   that this service calls this destination, for good; no value
    allocated/vips/<address>                            <namespace>/<name> of the service that has it, for good

A service that was forgotten keeps its address: whoever remembers that must never reach another service.

Records are JSON. Fields that a reader doesn't know are skipped, so that two versions of tulle can share a store.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from tulle.model.names import Destination, ServiceName, destination_from, is_host, is_label
from tulle.model.snapshot import KnownService
from tulle.model.workload import Proxy

ROOT = "registry/"
PROXIES = f"{ROOT}proxies/"
_VIPS = "allocated/vips/"  # beside what is told in snapshots

_encoder = msgspec.json.Encoder()
_proxy_decoder = msgspec.json.Decoder(Proxy)
_service_decoder = msgspec.json.Decoder(KnownService)


class Callee(Struct, frozen=True):
    """That a service calls a destination."""

    caller: ServiceName
    destination: Destination


def proxy_key(proxy: str) -> str:
    return f"{PROXIES}{proxy}"


def service_key(service: ServiceName) -> str:
    return f"{ROOT}services/{service.namespace}/{service.name}"


def callees_prefix(caller: ServiceName) -> str:
    return f"{ROOT}callees/{caller.namespace}/{caller.name}/"


def callee_key(caller: ServiceName, destination: Destination) -> str:
    return f"{callees_prefix(caller)}{destination}"


def vip_key(address: str) -> str:
    return f"{_VIPS}{address}"


def vip_holder(service: ServiceName) -> bytes:
    """What stands at a VIP's key."""
    return f"{service.namespace}/{service.name}".encode()


def encode(record: Proxy | KnownService) -> bytes:
    return _encoder.encode(record)


def subject_of(key: str) -> str | ServiceName | Callee:
    """What a key is about: a proxy's id, a known service, a callee. Raises ValueError."""
    match key.removeprefix(ROOT).split("/"):
        case ["proxies", proxy]:
            return proxy
        case ["services", namespace, name] if is_label(namespace) and is_label(name):
            return ServiceName(namespace, name)
        case ["services", "", host] if is_host(host.removeprefix("*.")) or host == "*":
            return ServiceName("", host)
        case ["callees", namespace, name, text] if is_label(namespace) and is_label(name):
            if destination := destination_from(text):
                return Callee(ServiceName(namespace, name), destination)
    raise ValueError("it is no key of the registry")


def decode(key: str, value: bytes) -> Proxy | KnownService | Callee:
    """The record at a key. Raises ValueError, with the reason, if it is none or that of another key."""
    subject = subject_of(key)
    if isinstance(subject, Callee):
        return subject
    try:
        record = _proxy_decoder.decode(value) if isinstance(subject, str) else _service_decoder.decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    if subject != (record.id if isinstance(record, Proxy) else record.service):
        raise ValueError("it is the record of another key")
    return record
