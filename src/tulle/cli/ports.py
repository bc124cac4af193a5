"""The `--port` option: `[NAME:]PORT[:TARGET][/PROTOCOL]`.

Which protocol a port speaks follows Istio's protocol selection (`model.protocols`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tulle.model.names import DEFAULT_PORT
from tulle.model.protocols import NAMES, named, select
from tulle.model.workload import Protocol, ServicePort

_FORM = re.compile(
    r"(?:(?P<name>[^:/]*[^:/0-9][^:/]*):)?(?P<port>\d{1,9})(?::(?P<target>\d{1,9}))?(?:/(?P<protocol>.*))?",
    re.ASCII,
)


def parse_port(text: str) -> ServicePort:
    """Raises ValueError, whose text is for the user. Names, and ports taken together, are checked elsewhere."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"--port {text}: write [NAME:]PORT[:TARGET][/PROTOCOL], such as 8080, 80:8080 or 9000/grpc")
    name, said = match["name"] or "", match["protocol"]
    if said is not None and named(said) is None:
        raise ValueError(f"--port {text}: there is no protocol {said!r}; there are: {', '.join(NAMES)}")
    protocol = select(said or "", name, int(match["port"]))
    number = int(match["port"])
    target = int(match["target"] or number)
    if not (1 <= number <= 65535 and 1 <= target <= 65535):
        raise ValueError(f"--port {text}: ports go from 1 to 65535")
    return ServicePort(number, target, protocol, name)


def with_default_port(ports: Sequence[ServicePort]) -> tuple[ServicePort, ...]:
    """The ports, and port 80 beside them if it is not among them: a URL without a port leads to the first one of HTTP."""
    first = next((port for port in ports if port.protocol not in (Protocol.TCP, Protocol.TLS)), None)
    if first is None or any(port.number == DEFAULT_PORT for port in ports):
        return tuple(ports)
    protocol = Protocol.HTTP if first.protocol is Protocol.AUTO else first.protocol
    return (*ports, ServicePort(DEFAULT_PORT, first.target, protocol))
