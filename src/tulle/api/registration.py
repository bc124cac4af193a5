"""What an agent may register, beyond what the registry itself asks of a proxy (registry/admission.py).

The `tulle run` command checks with the same functions, so that its user hears of a mistake before anything starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from tulle.model.ip import is_loopback, port_of
from tulle.model.labels import WORD, label_problems
from tulle.model.workload import Proxy, Workload

# Envoy's limit is that the weights of all instances together fit into 32 bits (endpoint.LbEndpoint).
MOST_WEIGHT = 1_000_000
_LOCALITY = re.compile(rf"{WORD}(/{WORD}){{0,2}}")


def proxy_problems(proxy: Proxy) -> Iterator[str]:
    """All that keeps a proxy out, in the user's words."""
    if proxy.metrics and not _is_place(proxy.metrics):
        yield f"{proxy.metrics[:80]!r} is no place of metrics: it is an IP address and a port, 127.0.0.1:9464 or [::1]:9464"
    for workload in proxy.workloads:
        yield from workload_problems(workload)


def workload_problems(workload: Workload) -> Iterator[str]:
    """What is wrong with a workload's version, labels, weight and locality."""
    if not 1 <= workload.weight <= MOST_WEIGHT:
        yield f"weight {workload.weight} is not valid: use 1 to {MOST_WEIGHT}"
    if workload.locality and _LOCALITY.fullmatch(workload.locality) is None:
        yield f"locality {workload.locality!r} is not valid: write REGION, REGION/ZONE or REGION/ZONE/SUBZONE"
    yield from label_problems(workload.version, workload.labels)


def unreachable(proxy: Proxy, peer: str) -> str:
    """Why other machines can't reach a proxy whose agent is on one of them; "" if they can. peer: that machine's address.

    "Loopback" would be the caller's own machine: there sidecars would knock at doors that are none of this proxy's.
    """
    if not any(workload.ports for workload in proxy.workloads):
        return ""
    if is_loopback(proxy.address) and not is_loopback(peer):
        return f"address {proxy.address} is each machine's own: say where others reach this instance with --address IP"
    return ""


def _is_place(text: str) -> bool:
    address, _, port = text.rpartition(":")
    is_ipv6 = address.startswith("[") and address.endswith("]")
    try:
        host = ip_address(address[1:-1] if is_ipv6 else address)
    except ValueError:
        return False
    return is_ipv6 == (host.version == 6) and port_of(port) is not None
