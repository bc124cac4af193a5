"""An Envoy that calls refuses a server whose certificate is on the lists that its agent writes, and no other."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from one_envoy import at
from started import started
from tulle.agent.api import Enrolment
from tulle.agent.credentials import write_pairs, write_trust
from tulle.agent.folder import Folder, agent_folder
from tulle.agent.trusts import Trust
from tulle.envoy_api.messages import message, to_dict
from tulle.identity.authority import Authority, IssuedCertificate
from tulle.identity.ca import key_pem
from tulle.identity.crl import Revoked
from tulle.identity.root import new_root
from tulle.translate.bootstrap import bootstrap
from tulle.translate.sources import IDENTITY
from tulle.translate.tls import client_socket

SERVER, CALLER = "spiffe://cluster.local/ns/default/sa/server", "spiffe://cluster.local/ns/default/sa/caller"
DOOR = {"address": "127.0.0.1", "port_value": 0}
PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


def issued(authority: Authority, spiffe_id: str) -> tuple[str, IssuedCertificate]:
    """The key, and the chain."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    return key_pem(key).decode(), authority.issue(pem, spiffe_id, 600)


@contextmanager
def server(authority: Authority, folder: Path) -> Iterator[tuple[int, IssuedCertificate]]:
    """Greets whoever comes; its port and its certificate."""
    key, certificate = issued(authority, SERVER)
    (folder / "server.pem").write_text(key + certificate.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.sendall(b"hello")
            except OSError:
                plain.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1], certificate
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@contextmanager
def caller(folder: Path, target: int) -> Iterator[int]:
    """An Envoy that leads connections to the target with the mesh's mutual TLS; where it takes them."""
    cluster = {
        "name": "server",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "server", "endpoints": [{"lb_endpoints": [at(target)]}]},
        "transport_socket": transport(),
    }
    proxy = {"name": "tcp", "typed_config": {"@type": PROXY, "stat_prefix": "tcp", "cluster": "server"}}
    listener = {"name": "door", "address": {"socket_address": DOOR}, "filter_chains": [{"filters": [proxy]}]}
    config = dict(bootstrap("test", "127.0.0.1", 1, "spiffe://test"))
    config.pop("dynamic_resources")
    config["admin"] = {"address": {"pipe": {"path": str(folder / "admin.sock"), "mode": 0o600}}}
    config["static_resources"] = {"clusters": [cluster], "listeners": [listener]}
    with started(folder, config) as ports:
        yield ports["door"]


def transport() -> dict[str, Any]:
    socket_of = message("envoy.config.core.v3.TransportSocket")
    return to_dict(socket_of(**client_socket(IDENTITY, [SERVER], ["tulle"])))


def greeting(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            return connection.recv(100)
        except ConnectionResetError:
            return b""


def waits_for(port: int, said: bytes) -> None:
    end = time.monotonic() + 20
    while greeting(port) != said:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_server_is_refused_when_it_is_revoked_and_for_no_list_of_others(tmp_path: Path) -> None:
    authority = Authority(new_root(datetime.now(UTC)), time.time)

    def tell(folder: Folder, *serials: str) -> None:
        authority.revoke([Revoked(int(serial, 16), time.time()) for serial in serials])
        trust = authority.trust
        write_trust(folder, Trust(trust.bundle_pem, trust.crl_pem, trust.version))

    key, certificate = issued(authority, CALLER)
    given = Enrolment(certificate.chain_pem, certificate.chain_pem, "", 0, 0, {}, "", "", "")
    with agent_folder(tmp_path, "caller-000001") as folder, server(authority, tmp_path) as (target, shown):
        write_pairs(folder, {IDENTITY: {"key": key}, "proxy": {"key": key}}, given)
        tell(folder)
        with caller(folder.path, target) as port:
            assert greeting(port) == b"hello"
            tell(folder, shown.serial)
            waits_for(port, b"")
            tell(folder, certificate.serial)
            waits_for(port, b"hello")
            authority.rotate()
            tell(folder, shown.serial)
            waits_for(port, b"")
            tell(folder)
            waits_for(port, b"hello")
