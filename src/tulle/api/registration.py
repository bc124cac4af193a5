"""What an agent may register, beyond what the registry itself asks of a proxy (registry/admission.py).

The `tulle run` command checks with the same functions, so that its user hears of a mistake before anything starts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

from tulle.model.workload import Proxy, Workload

# Kubernetes, "Labels and Selectors": a key is [prefix/]name; name and value have at most 63 characters.
_WORD = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_WORD}")
_LABEL_VALUE = re.compile(rf"({_WORD})?")

# Envoy's limit is that the weights of all instances together fit into 32 bits (endpoint.LbEndpoint).
MOST_WEIGHT = 1_000_000
_LOCALITY = re.compile(rf"{_WORD}(/{_WORD}){{0,2}}")

_WORD_RULE = "use at most 63 letters, digits, dots, hyphens and underscores, with a letter or digit at both ends"


def proxy_problems(proxy: Proxy) -> Iterator[str]:
    """All that keeps a proxy out, in the user's words."""
    for workload in proxy.workloads:
        yield from workload_problems(workload)


def workload_problems(workload: Workload) -> Iterator[str]:
    """What is wrong with a workload's version, labels, weight and locality."""
    if not 1 <= workload.weight <= MOST_WEIGHT:
        yield f"weight {workload.weight} is not valid: use 1 to {MOST_WEIGHT}"
    if workload.locality and _LOCALITY.fullmatch(workload.locality) is None:
        yield f"locality {workload.locality!r} is not valid: write REGION, REGION/ZONE or REGION/ZONE/SUBZONE"
    if _LABEL_VALUE.fullmatch(workload.version) is None:
        yield f"version {workload.version!r} is not valid: {_WORD_RULE}"
    for key, value in workload.labels:
        if _LABEL_KEY.fullmatch(key) is None:
            yield f"label {key!r} is not valid: {_WORD_RULE}; a DNS name and a slash may come before it"
        if _LABEL_VALUE.fullmatch(value) is None:
            yield f"the value {value!r} of label {key} is not valid: {_WORD_RULE}"
    for key, times in Counter(key for key, _ in workload.labels).items():
        if times > 1:
            yield f"label {key} is given {times} times"


def unreachable(proxy: Proxy, peer: str) -> str:
    """Why other machines can't reach a proxy whose agent is on one of them; "" if they can. peer: that machine's address.

    "Loopback" would be the caller's own machine: there sidecars would knock at doors that are none of this proxy's.
    """
    if not any(workload.ports for workload in proxy.workloads):
        return ""
    if _is_loopback(proxy.address) and not _is_loopback(peer):
        return f"address {proxy.address} is each machine's own: say where others reach this instance with --address IP"
    return ""


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False  # that it is no address at all, the registry says
