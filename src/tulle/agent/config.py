"""What an agent is told: the contract between `tulle run` and the agent's process.

The command line checks its options, then replaces itself by the agent (`os.execv(sys.executable, config.argv())`).
Nothing in here is secret. Only the standard library is used, so that the agent stays small.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tulle.model.addresses import LOOPBACK

DEFAULT_SERVICE_PORT = 80


@dataclass(frozen=True, slots=True)
class Port:
    """A service port. target, address: where the program listens; None: on $PORT, which the agent chooses."""

    number: int
    target: int | None = None
    protocol: str = "http"
    name: str = ""
    address: str = LOOPBACK


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """One workload to run; all values are checked already.

    ports: empty means that they follow from where the program listens, and port 80 served on $PORT until that is known.
    health_path: the path that answers 2xx when the program is healthy; None: it is when it accepts connections.
    data: the state folder, absolute. envoy: an Envoy to use instead of the installed one.
    drain_seconds: how long requests in flight may take once it ends; grace_seconds: how long the program may take
    after that.
    restart: whether a program that has ended is started again, a policy of `restarts`. log_format: `text` or `json`.
    log_file: where messages go in place of stderr. capture: how the program's connections come to its sidecar, one of
    `capture.choose`. weight: its share of the calls at first. locality: `region/zone/subzone`, as much as is known.
    workload_api: whether the program finds a SPIFFE Workload API. inbound_port: where its sidecar takes calls, for clients that
    have no sidecar to find it; None: on a port of the agent's choice. trace: whether the program passes a trace's context on.
    address: where other sidecars reach this one; "": on loopback or, when it joins, where it reaches the control plane from.
    join: the descriptor of a pipe with a join token, by which it joins a control plane on another machine; jwt_file: a file with
    the JWT by which it does so, where the token has no secret.
    metrics: where /metrics is served, `host:port` with port 0 for any free one; "" for nowhere. scrape: where the program's own
    are, as `[PORT]/path`; "" if they are not to be served. peer: what it is called in figures, as model/peer_text.py writes it.
    """

    service: str
    data: str
    command: tuple[str, ...]
    service_account: str
    namespace: str = "default"
    version: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[Port, ...] = ()
    health_path: str | None = None
    envoy: str | None = None
    drain_seconds: float = 30.0
    grace_seconds: float = 10.0
    log_format: str = "text"
    log_file: str | None = None
    capture: str = "auto"
    restart: str = "no"
    weight: int = 1
    locality: str = ""
    workload_api: bool = False
    address: str = ""
    join: int | None = None
    jwt_file: str | None = None
    inbound_port: int | None = None
    trace: bool = False
    metrics: str = ""
    scrape: str = ""
    peer: str = ""

    @property
    def service_ports(self) -> tuple[Port, ...]:
        """The ports with the default filled in."""
        return self.ports or (Port(DEFAULT_SERVICE_PORT),)

    def to_json(self) -> str:
        """Everything but the command, which is an argument list of its own and may hold any bytes."""
        fields = asdict(self)
        del fields["command"]
        return json.dumps(fields)

    def argv(self) -> list[str]:
        """The command line of the agent's process. -P: a `json.py` in the user's folder is not taken for Python's."""
        return [sys.executable, "-P", "-m", "tulle.agent", self.to_json(), "--", *self.command]


def from_json(text: str, command: Sequence[str]) -> AgentConfig:
    """The inverse of `to_json`. Raises ValueError or TypeError for anything else."""
    fields: dict[str, Any] = json.loads(text)
    fields["ports"] = tuple(Port(**port) for port in fields["ports"])
    fields["labels"] = tuple((key, value) for key, value in fields["labels"])
    return AgentConfig(command=tuple(command), **fields)


def from_argv(arguments: Sequence[str]) -> AgentConfig:
    """Reads `sys.argv[1:]` of a process that was started with `AgentConfig.argv`."""
    if len(arguments) < 3 or arguments[1] != "--":
        raise ValueError("expected: CONFIG -- COMMAND...; the agent is started by `tulle run`")
    return from_json(arguments[0], arguments[2:])
