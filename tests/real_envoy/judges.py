"""One Envoy with a listener for each set of access rules, which says of each request what it has decided, and why.

Everything before the program is what a sidecar gets. In place of the program Envoy itself answers: with the path as it saw it,
with what dry runs came to, and with the rule by which it refused.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from msgspec import Struct

from certificates import Authority, write_identity_of
from one_envoy import Server
from policy_mesh import bootstrap
from started import started
from tulle.envoy_api.messages import message, pack, unpack
from tulle.ir.access import Access
from tulle.ir.tokens import Issuer
from tulle.ir.types import Inbound, InboundPort, Paths
from tulle.model.mutual_tls import MutualTls
from tulle.model.names import Destination, ServiceName
from tulle.model.spiffe import WORKLOAD_PREFIX
from tulle.model.workload import Protocol
from tulle.translate import names
from tulle.translate.clusters import program_clusters
from tulle.translate.inbound_listener import inbound_listener
from tulle.translate.inbound_routes import inbound_routes

DESTINATION = Destination(ServiceName("default", "guarded"), 80)
SNI = names.sni(DESTINATION).replace("_", "-")
ISSUER, SPACED = "https://issuer.example", ("scope",)
_KEY = ec.generate_private_key(ec.SECP256R1())
_MANAGER = "envoy.filters.network.http_connection_manager"
_SECONDS = 20.0
_TOLD = {
    "x-path": "%REQ(:PATH)%",
    "x-denying": "%DYNAMIC_METADATA(envoy.filters.http.rbac:dry_run_deny_shadow_engine_result)%",
    "x-allowing": "%DYNAMIC_METADATA(envoy.filters.http.rbac:dry_run_allow_shadow_engine_result)%",
}


class Judge(Struct, frozen=True):
    """What one listener goes by."""

    access: Access
    paths: Paths = Paths.BASE


class Ruling(Struct, frozen=True):
    """status: 0 if the connection was closed. why: by which rule Envoy says that it refused it."""

    status: int
    path: str = ""
    why: str = ""
    dry_runs_deny: bool = False


class Bench:
    """callers: `` is one without mutual TLS. Connections are kept: one for each judge and caller."""

    def __init__(self, ports: Sequence[int], authority: Authority) -> None:
        self._ports, self._authority = ports, authority
        self._contexts: dict[str, ssl.SSLContext] = {}

    def ask(self, number: int, caller: str, source_ip: str, requests: Sequence[bytes]) -> list[Ruling]:
        """One after the other; a connection that is closed is opened again."""
        found: list[Ruling] = []
        connection: socket.socket | None = None
        for request in requests:
            connection = connection or self._connected(number, caller, source_ip)
            ruling, closed = _ruling(connection, request)
            found.append(ruling)
            if closed:
                connection.close()
                connection = None
        if connection:
            connection.close()
        return found

    def carries(self, number: int, caller: str, source_ip: str) -> bool:
        """Whether a port of TCP passes on what the caller sends."""
        connection = self._connected(number, caller, source_ip)
        with connection, suppress(OSError):
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return bool(b"".join(iter(lambda: connection.recv(4096), b"")))
        return False

    def _connected(self, number: int, caller: str, source_ip: str) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self._ports[number]), _SECONDS, (source_ip, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._context(caller).wrap_socket(plain, server_hostname=SNI) if caller else plain

    def _context(self, caller: str) -> ssl.SSLContext:
        if caller not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.load_cert_chain(*self._authority.issue(f"spiffe://{caller}"))
            context.set_alpn_protocols([names.MESH_ALPN, "http/1.1"])
            self._contexts[caller] = context
        return self._contexts[caller]


def _ruling(connection: socket.socket, request: bytes) -> tuple[Ruling, bool]:
    """And whether the connection is of no more use."""
    try:
        connection.sendall(request)
        response = HTTPResponse(connection)
        response.begin()
        body = response.read().decode()
    except (OSError, HTTPException) as error:
        return Ruling(0, why=repr(error)), True
    told = {name: response.getheader(name, "") for name in _TOLD}
    denies = "denied" in (told["x-denying"], told["x-allowing"])
    closed = response.will_close or (response.status >= 400 and response.status != 403)
    return Ruling(response.status, told["x-path"].encode("latin-1").decode("utf-8", "replace"), body, denies), closed


@contextmanager
def bench(folder: Path, judges: Sequence[Judge], trusted: Sequence[str] = (WORKLOAD_PREFIX,)) -> Iterator[Bench]:
    authority = Authority(folder, "mesh")
    write_identity_of(folder, authority, f"{WORKLOAD_PREFIX}default/sa/guarded")
    program = Server("guarded")
    try:
        inbounds = [_inbound(number, judge, program.port, tuple(trusted)) for number, judge in enumerate(judges)]
        clusters = [cluster for one in inbounds for cluster in program_clusters(one.workload, one.ports[0])]
        config = bootstrap(clusters, [_listening(one) for one in inbounds])
        with started(folder, config, level="error") as ports:
            yield Bench([ports[names.inbound_listener(one.workload)] for one in inbounds], authority)
    finally:
        program.shutdown()
        program.server_close()


def _inbound(number: int, judge: Judge, target: int, trusted: tuple[str, ...]) -> Inbound:
    protocol = Protocol.TCP if judge.access.tcp else Protocol.HTTP
    port = InboundPort(DESTINATION, target, protocol, "127.0.0.1", mutual_tls=MutualTls.PERMISSIVE, access=judge.access)
    return Inbound(f"guarded-{number}", "127.0.0.1", 0, (port,), trusted, judge.paths, (issuer(),))


def _listening(inbound: Inbound) -> Any:
    listener = inbound_listener(inbound)
    for chain in listener.filter_chains:
        # Python's `ssl` sends no names with underscores.
        dashed = [name.replace("_", "-") for name in chain.filter_chain_match.server_names]
        chain.filter_chain_match.server_names[:] = dashed
        for filter_ in chain.filters:
            if filter_.name == _MANAGER:
                filter_.typed_config.CopyFrom(pack(_telling(unpack(filter_.typed_config), inbound)))
    return listener


def _telling(manager: Any, inbound: Inbound) -> Any:
    routes = inbound_routes(inbound, inbound.ports[0])
    told = [{"header": {"key": name, "value": value}} for name, value in _TOLD.items()]
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    kind = message("envoy.config.route.v3.RouteConfiguration")
    host = {"name": "all", "domains": ["*"], "routes": [answer]}
    routes.ClearField("virtual_hosts")
    routes.MergeFrom(kind(virtual_hosts=[host], response_headers_to_add=told))
    manager.ClearField("rds")
    manager.route_config.CopyFrom(routes)
    manager.ClearField("local_reply_config")
    details = {"text_format_source": {"inline_string": "%RESPONSE_CODE_DETAILS%"}}
    manager.MergeFrom(type(manager)(local_reply_config={"body_format": details}))
    return manager


def token(claims: Mapping[str, Any]) -> str:
    """A good one."""
    return jwt.encode(dict(claims), _KEY, "ES256", {"kid": "tests"})


def issuer() -> Issuer:
    """Of the tokens."""
    key = {**json.loads(ECAlgorithm.to_jwk(_KEY.public_key())), "kid": "tests", "alg": "ES256"}
    return Issuer(ISSUER, "RequestAuthentication default/tests", jwks=json.dumps({"keys": [key]}), spaced=SPACED)
