"""The outbound listener where connections are captured: which chains it has for what has no listener of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tulle.envoy_api.messages import to_dict
from tulle.ir.types import Outbound
from tulle.model.well_known import TCP_PORTS
from tulle.model.workload import Capture
from tulle.translate.listeners import outbound_listener

LOOPBACK = [{"address_prefix": "127.0.0.0", "prefix_len": 8}, {"address_prefix": "::1", "prefix_len": 128}]


def _door(capture: Capture, *, ipv6: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = to_dict(outbound_listener(Outbound("outbound.a", 20002, capture, ipv6)))
    return found


def _refused(door: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """What closes connections at once, by port: a chain without filters. Source: Envoy, FilterChain, `filters`."""
    bare = [chain for chain in door["filter_chains"] if "filters" not in chain]
    return {chain["filter_chain_match"]["destination_port"]: chain["filter_chain_match"] for chain in bare}


@pytest.mark.parametrize("capture", [Capture.REDIRECT, Capture.SECCOMP, Capture.NETNS])
def test_ports_of_what_is_never_http_are_closed_and_all_others_are_http(capture: Capture) -> None:
    door = _door(capture)
    assert set(_refused(door)) == set(TCP_PORTS)
    # Envoy asks the first chain alone whether there is a PROXY header.
    assert door["filter_chains"][0]["name"] == "services"
    assert door["filter_chains"][0].get("use_proxy_proto", False) is (capture is Capture.SECCOMP)


def test_the_way_out_of_a_namespace_never_leads_to_the_machines_loopback() -> None:
    """A port that chains name is not looked for among those that name none, but in the default chain: the way out."""
    for ipv6, ranges in ((True, LOOPBACK), (False, LOOPBACK[:1])):
        door = _door(Capture.NETNS, ipv6=ipv6)
        [closed] = [chain for chain in door["filter_chains"] if chain.get("name") == "loopback"]
        assert closed["filter_chain_match"]["prefix_ranges"] == ranges
        assert all(match["prefix_ranges"] == ranges for match in _refused(door).values())


@pytest.mark.parametrize("capture", list(Capture))
def test_nothing_speaks_of_ipv6_where_no_connection_comes_by_it(capture: Capture) -> None:
    """Envoy refuses the whole listener for an address of IPv6 where the kernel has none."""
    assert "::" not in json.dumps(_door(capture))
