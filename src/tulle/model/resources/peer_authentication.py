"""PeerAuthentication. Source: istio.io, Reference, PeerAuthentication."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from tulle.model.resources.common import Message
from tulle.model.resources.policy_targets import PolicySelector


class MutualTLSMode(StrEnum):
    UNSET = "UNSET"
    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


class MutualTLS(Message, frozen=True):
    mode: MutualTLSMode = MutualTLSMode.UNSET


class PeerAuthentication(Message, frozen=True):
    """port_level_mtls: by port of the workload; a mapping's keys are texts in JSON."""

    selector: PolicySelector | None = None
    mtls: MutualTLS | None = None
    port_level_mtls: Mapping[str, MutualTLS] = {}
