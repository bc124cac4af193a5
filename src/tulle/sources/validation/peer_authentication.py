"""PeerAuthentication. Source: Istio, pkg/config/validation (ValidatePeerAuthentication) and its CRD."""

from __future__ import annotations

import re

from tulle.model.resources.peer_authentication import PeerAuthentication
from tulle.sources.at import At
from tulle.sources.validation.policy_targets import check_policy_selector

_NUMBER = re.compile(r"[1-9][0-9]{0,4}")  # as JSON writes them


def check(spec: PeerAuthentication, at: At) -> None:
    check_policy_selector(spec.selector, at)
    ports = at.field("portLevelMtls")
    if spec.port_level_mtls and not (spec.selector and spec.selector.match_labels):
        ports.error("ports are those of some workloads: select them by `selector.matchLabels`")
    for port in spec.port_level_mtls:
        if not (_NUMBER.fullmatch(port) and int(port) <= 65535):
            ports.key(port).error(f"{port!r} is no port: use a number from 1 to 65535")
