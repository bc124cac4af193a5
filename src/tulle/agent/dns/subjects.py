"""What a question is about, told from its name alone: a service of the mesh, tulle itself, a VIP, or none of these."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tulle.model.addresses import CANARY_HOST, CANARY_VIP
from tulle.model.domain import MESH_DOMAIN

_CANARY = tuple(CANARY_HOST.encode().split(b"."))
_SERVICES = (b"svc", *MESH_DOMAIN.encode().split(b"."))
_REVERSE = (b"127", b"in-addr", b"arpa")
# As in tulle.model.names, which is not read here: it needs msgspec, and that costs memory.
_LABEL = re.compile(rb"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_OCTET = re.compile(rb"0|[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class Service:
    """A name that a service of the mesh can have. host: its full form; one service, one host.

    is_certain: nobody but the mesh can know that name: it is in the mesh's own domain.
    """

    host: str
    is_certain: bool


@dataclass(frozen=True, slots=True)
class Ours:
    """A name that tulle keeps for itself. address: of the canary; None where nothing is."""

    address: str | None


@dataclass(frozen=True, slots=True)
class Reverse:
    """The name under which it is asked what an address stands for."""

    address: str


Subject = Service | Ours | Reverse | None


def subject(labels: tuple[bytes, ...], namespace: str) -> Subject:
    """What the name means to a program in `namespace`; None if it is nothing of the mesh's."""
    if labels[-2:] == _CANARY[1:]:
        return Ours(CANARY_VIP if labels == _CANARY else None)
    if 1 <= len(labels) <= 2:
        return _service(labels, namespace, is_certain=False)
    if labels[-3:] == _SERVICES:
        return _in_domain(labels[:-3], namespace)
    if labels[-1:] == (b"svc",):
        return _in_domain(labels[:-1], namespace)
    if labels[-3:] == _REVERSE:
        return _reverse(labels[:-2])
    return None


def _in_domain(labels: tuple[bytes, ...], namespace: str) -> Subject:
    """A name in the mesh's domain. If no service can have it, nobody has."""
    return (_service(labels, namespace, is_certain=True) if len(labels) == 2 else None) or Ours(None)


def _service(labels: tuple[bytes, ...], namespace: str, *, is_certain: bool) -> Service | None:
    if not all(map(_LABEL.fullmatch, labels)):
        return None
    name, space = labels[0].decode(), labels[1].decode() if len(labels) == 2 else namespace
    return Service(f"{name}.{space}.svc.{MESH_DOMAIN}", is_certain)


def _reverse(labels: tuple[bytes, ...]) -> Subject:
    """An address in 127.64.0.0/10, of which all are the mesh's; None for others."""
    if len(labels) != 4 or not all(map(_OCTET.fullmatch, labels)):
        return None
    octets = [int(label) for label in reversed(labels)]
    if max(octets) > 255 or not 64 <= octets[1] <= 127:
        return None
    return Reverse(".".join(map(str, octets)))
