"""The `--port` option: `[NAME:]PORT[:TARGET][/PROTOCOL]`.

Which protocol a port speaks follows Istio's protocol selection: what is said outright, else the port's name, of the form
`<protocol>[-<suffix>]`, else what is known of the number. Without any of these it is HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tulle.model.names import DEFAULT_PORT
from tulle.model.well_known import TCP_PORTS
from tulle.model.workload import Protocol, ServicePort

# Protocols that Istio knows by name, and that are carried as they are; `https` and `tls` are the program's own TLS.
_AS_TCP = {"https", "mongo", "mysql", "redis", "tls"}
_NOT_YET = {"grpc-web", "udp"}

_FORM = re.compile(
    r"(?:(?P<name>[^:/]*[^:/0-9][^:/]*):)?(?P<port>\d{1,9})(?::(?P<target>\d{1,9}))?(?:/(?P<protocol>.*))?",
    re.ASCII,
)


def parse_port(text: str) -> ServicePort:
    """Raises ValueError, whose text is for the user. Names, and ports taken together, are checked elsewhere."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"--port {text}: write [NAME:]PORT[:TARGET][/PROTOCOL], such as 8080, 80:8080 or 9000/grpc")
    name = match["name"] or ""
    protocol = match["protocol"] if match["protocol"] is not None else _of_name(name) or _of_number(int(match["port"]))
    if protocol.lower() in _NOT_YET:
        raise ValueError(f"--port {text}: {protocol} is not supported yet; http, http2, grpc and tcp are")
    protocol = "tcp" if protocol.lower() in _AS_TCP else protocol
    if protocol.lower() not in set(Protocol):
        raise ValueError(f"--port {text}: there is no protocol {protocol!r}; http, http2, grpc and tcp are supported")
    number = int(match["port"])
    target = int(match["target"] or number)
    if not (1 <= number <= 65535 and 1 <= target <= 65535):
        raise ValueError(f"--port {text}: ports go from 1 to 65535")
    return ServicePort(number, target, Protocol(protocol.lower()), name)


def with_default_port(ports: Sequence[ServicePort]) -> tuple[ServicePort, ...]:
    """The ports, and port 80 beside them if it is not among them: a URL without a port leads to the first one of HTTP."""
    first = next((port for port in ports if port.protocol is not Protocol.TCP), None)
    if first is None or any(port.number == DEFAULT_PORT for port in ports):
        return tuple(ports)
    return (*ports, ServicePort(DEFAULT_PORT, first.target, first.protocol))


def _of_name(name: str) -> str:
    known = sorted({*Protocol, *_AS_TCP, *_NOT_YET}, key=len, reverse=True)  # grpc-web before grpc
    return next((each for each in known if name == each or name.startswith(f"{each}-")), "")


def _of_number(number: int) -> str:
    return Protocol.TCP if number in TCP_PORTS else Protocol.HTTP
