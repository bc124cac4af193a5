"""What an agent may register: the checks that the types of a `Proxy` cannot make.

The `tulle run` command checks with the same functions, so that its user hears of a mistake before anything starts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from tulle.model.names import label_problem
from tulle.model.workload import Proxy, ServicePort, Workload

# Kubernetes, "Labels and Selectors": a key is [prefix/]name; name and value have at most 63 characters.
_LABEL_WORD = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_LABEL_WORD}")
_LABEL_VALUE = re.compile(rf"({_LABEL_WORD})?")


def proxy_problems(proxy: Proxy) -> Iterator[str]:
    """All that is wrong with a proxy and its workloads, in the user's words."""
    yield from filter(None, [label_problem("proxy name", proxy.id)])
    yield from _address_problems(proxy.address)
    yield from number_problems("inbound port", proxy.inbound_port)
    yield from number_problems("outbound port", proxy.outbound_port)
    if proxy.inbound_port == proxy.outbound_port:
        yield f"inbound and outbound port are both {proxy.inbound_port}; they must differ"
    if not proxy.workloads:
        yield "a proxy serves at least one workload"
    yield from _repeated("workload", (workload.id for workload in proxy.workloads))
    for workload in proxy.workloads:
        yield from workload_problems(workload)


def workload_problems(workload: Workload) -> Iterator[str]:
    """All that is wrong with one workload."""
    names = {
        "workload name": workload.id,
        "service name": workload.service.name,
        "namespace": workload.service.namespace,
        "service account": workload.service_account,
    }
    yield from filter(None, (label_problem(what, name) for what, name in names.items()))
    if _LABEL_VALUE.fullmatch(workload.version) is None:
        yield f"version {workload.version!r} is none: {_VALUE_RULE}"
    yield from _label_problems(workload.labels)
    yield from port_problems(workload.ports)


def port_problems(ports: Iterable[ServicePort]) -> Iterator[str]:
    """All that is wrong with a workload's ports, taken together."""
    ports = tuple(ports)
    for port in ports:
        yield from number_problems("port", port.number)
        yield from number_problems("target port", port.target)
        if port.name:
            yield from filter(None, [label_problem("port name", port.name)])
    yield from _repeated("port", (str(port.number) for port in ports))


def number_problems(what: str, number: int) -> Iterator[str]:
    if not 1 <= number <= 65535:
        yield f"{what} {number} is none: ports go from 1 to 65535"


_VALUE_RULE = "use at most 63 letters, digits, dots, hyphens and underscores, with a letter or digit at both ends"


def _label_problems(labels: Iterable[tuple[str, str]]) -> Iterator[str]:
    labels = tuple(labels)
    for key, value in labels:
        if _LABEL_KEY.fullmatch(key) is None:
            yield f"label {key!r} is no label's name: {_VALUE_RULE}, and before it, if you like, a DNS name and a slash"
        if _LABEL_VALUE.fullmatch(value) is None:
            yield f"label {key}'s value {value!r} is none: {_VALUE_RULE}"
    yield from _repeated("label", (key for key, _ in labels))


def _address_problems(address: str) -> Iterator[str]:
    try:
        if not ip_address(address).is_loopback:
            yield f"address {address} is not on loopback; agents on other machines are not supported yet"
    except ValueError:
        yield f"address {address!r} is no IP address"


def _repeated(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{what} {name} is given {times} times"
