"""Certificates that prove nobody, on a real Envoy: as a caller's at an instance's door, as a server's before a caller.

The door and the caller have the TLS settings of every sidecar; nothing else is between them and the test.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certificates import write_identity_of
from forging import Forger, Signed
from one_envoy import at
from started import started
from tulle.envoy_api.messages import message, pack, to_dict
from tulle.model.spiffe import CONTROL_PLANE_ID, WORKLOAD_PREFIX, proxy_id, workload_id
from tulle.translate.bootstrap import bootstrap
from tulle.translate.sources import IDENTITY
from tulle.translate.tls import client_socket, server_socket

WEB = workload_id("default", "web")
API = workload_id("default", "api")
Make = Callable[[Forger], Signed]


class Server:
    """A program's sidecar as somebody else would play it; `shows` says with which certificate."""

    def __init__(self) -> None:
        self.shows: ssl.SSLContext | None = None
        self.reused: list[bool] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            plain.settimeout(10)
            with plain, suppress(OSError):
                assert self.shows
                with self.shows.wrap_socket(plain, server_side=True) as connection:
                    self.reused.append(bool(connection.session_reused))
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


class Ends:
    """Both ends of the mesh's TLS in one Envoy: a door for callers, and a caller of the service `api`."""

    def __init__(self, folder: Path, forger: Forger, server: Server, door: int, caller: int) -> None:
        self.folder, self.forger = folder, forger
        self.server, self._door, self._caller = server, door, caller

    def client(self, signed: Signed | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if signed:
            context.load_cert_chain(signed.written(self.folder))
        return context

    def comes_in(self, signed: Signed | None) -> bool:
        return self.is_answered(self.client(signed))[0]

    def is_answered(
        self, context: ssl.SSLContext, session: ssl.SSLSession | None = None
    ) -> tuple[bool, bool, ssl.SSLSession | None]:
        """Whether a request at the door is; whether that session was taken up again; the session that is offered."""
        try:
            with (
                socket.create_connection(("127.0.0.1", self._door), timeout=10) as plain,
                context.wrap_socket(plain, session=session) as connection,
            ):
                connection.sendall(b"GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
                answer = connection.recv(4096)
                return answer.startswith(b"HTTP/1.1 200 "), bool(connection.session_reused), connection.session
        except OSError:
            return False, False, None

    def is_believed(self, signed: Signed) -> bool:
        """Whether the caller speaks to a server that shows this."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed.written(self.folder))
        self.server.shows = context
        return self.is_believed_again()

    def is_believed_again(self) -> bool:
        """Whether another connection is made to the same server."""
        status = httpx.get(f"http://127.0.0.1:{self._caller}/", headers={"host": "api"}, timeout=20).status_code
        assert status in (200, 503)
        return status == 200


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    folder = tmp_path_factory.mktemp("envoy")
    forger, server = Forger(folder, "mesh"), Server()
    write_identity_of(folder, forger, API)
    config = bootstrap("test", "127.0.0.1", 1, CONTROL_PLANE_ID)
    config.pop("dynamic_resources")
    config["static_resources"] = {"clusters": [_cluster(server.port)], "listeners": [_door(), _caller()]}
    try:
        with started(folder, config) as ports:
            yield Ends(folder, forger, server, ports["door"], ports["caller"])
    finally:
        server.close()


def _http(name: str, route: dict[str, Any]) -> dict[str, Any]:
    router = pack(message("envoy.extensions.filters.http.router.v3.Router")())
    routes = [{"match": {"prefix": "/"}, **route}]
    manager = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")(
        stat_prefix=name,
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        http_filters=[{"name": "router", "typed_config": router}],
    )
    return {"name": "http", "typed_config": pack(manager)}


def _listener(name: str, chain: dict[str, Any]) -> dict[str, Any]:
    listener = message("envoy.config.listener.v3.Listener")(
        name=name, address={"socket_address": {"address": "127.0.0.1", "port_value": 0}}, filter_chains=[chain]
    )
    return to_dict(listener)


def _door() -> dict[str, Any]:
    filters = [_http("door", {"direct_response": {"status": 200}})]
    tls = server_socket(IDENTITY, [WORKLOAD_PREFIX], ["http/1.1"])
    return _listener("door", {"transport_socket": tls, "filters": filters})


def _caller() -> dict[str, Any]:
    return _listener("caller", {"filters": [_http("caller", {"route": {"cluster": "api"}})]})


def _cluster(port: int) -> dict[str, Any]:
    made = message("envoy.config.cluster.v3.Cluster")(
        name="api",
        type="STATIC",
        connect_timeout={"seconds": 5},
        load_assignment={"cluster_name": "api", "endpoints": [{"lb_endpoints": [at(port)]}]},
        transport_socket=client_socket(IDENTITY, [API], ["http/1.1"]),
    )
    return to_dict(made)


def of_a_leaf(forger: Forger, **settings: Any) -> Signed:
    """Signed by a workload that plays an authority."""
    return forger.sign(API, by=forger.sign(WEB, subject="web", **settings))


def foreign(forger: Forger) -> Signed:
    """By an authority of the same name, with the same id."""
    elsewhere = forger.folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return Forger(elsewhere, "mesh").sign(API)


# By what is wrong with each; the first part of the id that is wanted is right in all of them.
REFUSED: dict[str, Make] = {
    "it has ended": lambda by: by.sign(API, since=-3600, until=-1),
    "it has not begun": lambda by: by.sign(API, since=600),
    "another authority of the same name": foreign,
    "signed by a workload": of_a_leaf,
    "below an authority that has ended": lambda by: of_a_leaf(by, is_ca=True, since=-3600, until=-1),
    "of another trust domain": lambda by: by.sign("spiffe://cluster.example/ns/default/sa/api"),
    "of a trust domain that begins alike": lambda by: by.sign("spiffe://cluster.local.example/ns/default/sa/api"),
    "of a user in a trust domain": lambda by: by.sign("spiffe://cluster.local@example/ns/default/sa/api"),
    "of a port in a trust domain": lambda by: by.sign("spiffe://cluster.local:80/ns/default/sa/api"),
    "an encoded slash": lambda by: by.sign("spiffe://cluster.local%2fns/default/sa/api"),
    "an encoded letter": lambda by: by.sign("spiffe://cluster.local/%6es/default/sa/api"),
    "a slash too many": lambda by: by.sign("spiffe://cluster.local//ns/default/sa/api"),
    "a dot too many": lambda by: by.sign("spiffe://cluster.local/./ns/default/sa/api"),
    "a scheme in capitals": lambda by: by.sign("SPIFFE://cluster.local/ns/default/sa/api"),
    "a trust domain in capitals": lambda by: by.sign("spiffe://Cluster.local/ns/default/sa/api"),
    "another scheme": lambda by: by.sign("https://cluster.local/ns/default/sa/api"),
    "a space before it": lambda by: by.sign(" spiffe://cluster.local/ns/default/sa/api"),
    "a proxy": lambda by: by.sign(proxy_id("api-000001")),
    "the control plane": lambda by: by.sign(CONTROL_PLANE_ID),
    "the trust domain alone": lambda by: by.sign("spiffe://cluster.local"),
    "an id as a DNS name": lambda by: by.sign(x509.DNSName(API)),
    "an id as an e-mail address": lambda by: by.sign(x509.RFC822Name(API)),
    "an id as its subject": lambda by: by.sign(subject=API),
    "no name": lambda by: by.sign(),
    "for e-mail": lambda by: by.sign(API, usages=[ExtendedKeyUsageOID.EMAIL_PROTECTION]),
}

# What only a caller's whole id tells apart: these are workloads of the mesh, and none is the service `api`.
OTHERS: dict[str, str] = {
    "another service account": WEB,
    "another namespace": workload_id("other", "api"),
    "a slash at its end": f"{API}/",
    "an id that goes on": f"{API}-2",
    "an id that goes on below": f"{API}/ns/default/sa/web",
    "an encoded letter": "spiffe://cluster.local/ns/default/sa/%61pi",
    "capitals": "spiffe://cluster.local/ns/default/sa/API",
    "a wildcard": "spiffe://cluster.local/ns/default/sa/*",
    "a query": f"{API}?",
    "steps": "spiffe://cluster.local/ns/default/sa/web/../api",
}


def test_the_right_ones_are_taken(ends: Ends) -> None:
    assert ends.comes_in(ends.forger.sign(WEB))
    assert ends.is_believed(ends.forger.sign(API))


@pytest.mark.parametrize("what", REFUSED)
def test_what_proves_no_workload_is_refused_on_both_ends(ends: Ends, what: str) -> None:
    signed = REFUSED[what](ends.forger)
    assert (ends.comes_in(signed), ends.is_believed(signed)) == (False, False)


@pytest.mark.parametrize("what", OTHERS)
def test_a_server_is_believed_by_its_whole_id(ends: Ends, what: str) -> None:
    assert not ends.is_believed(ends.forger.sign(OTHERS[what]))


def test_a_caller_shows_a_certificate(ends: Ends) -> None:
    assert not ends.comes_in(None)


def test_no_older_tls_is_spoken(ends: Ends) -> None:
    context = ends.client(ends.forger.sign(WEB))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert not ends.is_answered(context)[0]


def test_no_session_is_taken_up_again_after_its_certificate_has_ended(ends: Ends) -> None:
    """Nobody would look at a certificate then."""
    context, server = ends.client(ends.forger.sign(WEB, until=3)), ends.forger.sign(API, until=3)
    is_in, _, session = ends.is_answered(context)
    assert is_in and ends.is_believed(server) and ends.is_believed_again()
    assert not any(ends.server.reused)
    assert not ends.is_answered(context, session)[1]
    time.sleep(3.1)
    assert not ends.is_answered(context, session)[0]
    assert not ends.is_believed_again()
