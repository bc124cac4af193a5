"""A sidecar of a real Envoy with a port for each set of access rules, and callers that prove who they are.

Everything in front of the program is as in a mesh: the listener, mutual TLS, the filters. Routes come from a file.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from certificates import Authority, write_identity_of
from one_envoy import Server
from policy_mesh import bootstrap
from routes_by_file import MANAGER, listening, tell
from started import admin, started
from tulle.envoy_api.messages import from_dict, message, pack, unpack
from tulle.ir.access import Access
from tulle.ir.authorizers import Authorizer
from tulle.ir.tokens import Issuer
from tulle.ir.types import Inbound, InboundPort, Paths
from tulle.model.names import Destination, ServiceName
from tulle.model.spiffe import WORKLOAD_PREFIX
from tulle.model.workload import Protocol
from tulle.translate import names
from tulle.translate.access.tokens import METADATA, PAYLOAD
from tulle.translate.clusters import program_clusters

SERVICE = ServiceName("default", "guarded")
CLAIMS = "x-test-claims"
CALLER = "cluster.local/ns/default/sa/caller"
_SECONDS = 20.0


class Port(Struct, frozen=True):
    """One port of the workload. target: where its program is; any HTTP program if it is 0.

    issuers, authorizer: of its workload.
    """

    access: Access = Access()
    protocol: Protocol = Protocol.HTTP
    target: int = 0
    issuers: tuple[Issuer, ...] = ()
    authorizer: Authorizer | None = None


class Said(Struct, frozen=True):
    """An answer. seen: what the program says that it was asked; None if it was not."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def seen(self) -> dict[str, Any] | None:
        return json.loads(self.body) if "x-server" in self.headers else None


class Guarded:
    """ports: by a word for each."""

    def __init__(self, folder: Path, authority: Authority, port: int, inbound: Inbound, numbers: Mapping[str, int]):
        self.folder, self.port = folder, port
        self._authority = authority
        self._inbound = inbound
        self._numbers = numbers
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}

    def ask(
        self, port: str, path: str = "/", method: str = "GET", caller: str = CALLER, headers: Mapping[str, str] = {}
    ) -> Said:
        given = {"host": "guarded", **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        return self.say(port, "\r\n".join(lines).encode(), caller)

    def say(self, port: str, request: bytes, caller: str = CALLER, offered: str = names.MESH_ALPN) -> Said:
        """What is answered to these bytes."""
        with self.connected(port, caller, offered) as connection:
            return talk(connection, request)

    @contextmanager
    def connected(self, port: str, caller: str = CALLER, offered: str = names.MESH_ALPN) -> Iterator[ssl.SSLSocket]:
        """offered: the mesh's protocol (ALPN) that the caller says that it speaks."""
        destination = Destination(SERVICE, self._numbers[port])
        with socket.create_connection(("127.0.0.1", self.port), _SECONDS) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the request is sent right after the handshake
            context = self._context(caller, offered)
            with context.wrap_socket(plain, server_hostname=names.sni(destination).replace("_", "-")) as connection:
                yield connection

    def change(self, **ports: Access) -> None:
        """The rules of these ports are others from now on; it is in force when this returns."""
        self.update(self._changed(ports))

    def change_routes(self, access: Access, authorizer: Authorizer) -> None:
        """All ports have these rules from now on; the listener stays as it is."""
        ports = tuple(replace(port, access=access) for port in self._inbound.ports)
        self.update(replace(self._inbound, ports=ports, authorizer=authorizer))

    def revoke(self, *subjects: str) -> None:
        self.update(replace(self._inbound, revoked=subjects))

    def renew(self, caller: str) -> None:
        """It shows another certificate from now on."""
        for key in [key for key in self._contexts if key[0] == caller]:
            del self._contexts[key]

    def update(self, inbound: Inbound) -> None:
        self._inbound = inbound
        before = self._updates()
        changed = tell(self.folder, inbound)
        end = time.monotonic() + _SECONDS
        while any(self._updates()[name] == before[name] for name in changed):
            assert time.monotonic() < end
            time.sleep(0.01)

    def _changed(self, ports: Mapping[str, Access]) -> Inbound:
        by_number = {self._numbers[name]: access for name, access in ports.items()}
        made = (replace(p, access=by_number.get(p.destination.port, p.access)) for p in self._inbound.ports)
        return replace(self._inbound, ports=tuple(made))

    def _updates(self) -> dict[str, int]:
        """How often each route configuration has come."""
        found = self.stats("rds.*config_reload$")
        return {name.split(".rds.")[1].removesuffix(".config_reload"): value for name, value in found.items()}

    def stats(self, pattern: str) -> dict[str, int]:
        text = admin(self.folder, f"/stats?filter={pattern}").text
        pairs = [line.rpartition(": ") for line in text.splitlines()]
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    @property
    def log(self) -> str:
        return (self.folder / "envoy.log").read_text()

    def _context(self, caller: str, offered: str = names.MESH_ALPN) -> ssl.SSLContext:
        if (caller, offered) not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.load_cert_chain(*self._authority.issue(f"spiffe://{caller}"))
            context.set_alpn_protocols([offered, "http/1.1"])
            self._contexts[caller, offered] = context
        return self._contexts[caller, offered]


def talk(connection: ssl.SSLSocket, request: bytes) -> Said:
    """One request more on a connection; status 0 if it is closed in place of an answer."""
    try:
        connection.sendall(request)
        response = HTTPResponse(connection, method=request.partition(b" ")[0].decode())
        response.begin()
        text = response.read().decode() if response.status != 101 else ""
    except (OSError, ssl.SSLError, ConnectionError, ValueError) as error:
        return Said(0, {}, repr(error))
    return Said(response.status, {name.lower(): value for name, value in response.getheaders()}, text)


@contextmanager
def guarded(
    folder: Path,
    ports: Mapping[str, Access | Port],
    *,
    paths: Paths = Paths.BASE,
    trusted: tuple[str, ...] = (WORKLOAD_PREFIX,),
    live: bool = False,
    clusters: Iterable[Any] = (),
) -> Iterator[Guarded]:
    """live: rules are to be changed under way. clusters: beside those of the program."""
    authority = Authority(folder, "mesh")
    write_identity_of(folder, authority, f"{WORKLOAD_PREFIX}default/sa/guarded")
    with ExitStack() as stack:
        program = Server("guarded")
        stack.callback(program.server_close)
        stack.callback(program.shutdown)
        given = {name: port if isinstance(port, Port) else Port(port) for name, port in ports.items()}
        numbers = {name: number for number, name in enumerate(given, 1)}
        inbound = Inbound(
            "guarded-1",
            "127.0.0.1",
            0,
            tuple(
                InboundPort(
                    Destination(SERVICE, numbers[name]),
                    port.target or program.port,
                    port.protocol,
                    "127.0.0.1",
                    access=port.access,
                )
                for name, port in given.items()
            ),
            trusted,
            paths,
        )
        own = [cluster for port in inbound.ports for cluster in program_clusters(inbound.workload, port)]
        tell(folder, inbound)
        made = _as_one(folder if live else None, inbound, given.values())
        config = bootstrap([*own, *clusters], [_for_tests(made)])
        (port,) = stack.enter_context(started(folder, config, "--file-flush-interval-msec", "20")).values()
        yield Guarded(folder, authority, port, inbound, numbers)


def _as_one(folder: Path | None, inbound: Inbound, ports: Iterable[Port]) -> Any:
    """One listener, whose ports are as those of workloads of their own."""
    own = [
        replace(inbound, ports=(made,), issuers=port.issuers, authorizer=port.authorizer)
        for made, port in zip(inbound.ports, ports, strict=True)
    ]
    listener, *others = (listening(one, folder) for one in own)
    for other in others:
        listener.filter_chains.extend(other.filter_chains)
    return listener


def _for_tests(listener: Any) -> Any:
    """Python's `ssl` sends no names with underscores. A header stands for a token that was good, with these claims."""
    claims = message("envoy.extensions.filters.http.header_to_metadata.v3.Config")(
        request_rules=[
            {
                "header": CLAIMS,
                "on_header_present": {
                    "metadata_namespace": METADATA,
                    "key": PAYLOAD,
                    "type": "PROTOBUF_VALUE",
                    "encode": "BASE64",
                },
            }
        ]
    )
    for chain in listener.filter_chains:
        dashed = [name.replace("_", "-") for name in chain.filter_chain_match.server_names]
        chain.filter_chain_match.server_names[:] = dashed
        for filter_ in chain.filters:
            if filter_.name == MANAGER:
                manager = unpack(filter_.typed_config)
                first = type(manager.http_filters[0])(name="claims", typed_config=pack(claims))
                filters = [first, *manager.http_filters]
                del manager.http_filters[:]
                manager.http_filters.extend(filters)
                filter_.typed_config.CopyFrom(pack(manager))
    return listener


def claims(**values: Any) -> dict[str, str]:
    """The header of a request whose token has these claims."""
    value = from_dict("google.protobuf.Struct", values)
    text = message("google.protobuf.Value")(struct_value=value).SerializeToString()
    return {CLAIMS: base64.b64encode(text).decode()}
