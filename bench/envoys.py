"""Envoys with a configuration that is written by hand: programs that answer at once, and the pair to compare with.

JSON as Envoy reads it, so that nothing of tulle's own translation is in the comparison. Only the certificates are made
by tulle's authority; all Envoys run as an agent runs its own.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import Failed, process, wait_for
from tulle.envoy_api import binary
from tulle.identity.authority import Authority
from tulle.model.spiffe import workload_id
from tulle.translate.names import MESH_ALPN

Json = dict[str, Any]

BODY = json.dumps({"ok": True, "pad": "x" * 980})
_EXTENSIONS = "type.googleapis.com/envoy.extensions"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_NODE = ("--service-node", "bench", "--service-cluster", "bench")  # without one, no secret is read from a file
_OPTIONS = ("--disable-hot-restart", "--concurrency", "1", "-l", "warning", *_NODE)
_DAY = 86400.0


@dataclass(frozen=True)
class Credentials:
    """PEM: a workload's certificate and key, and the roots that it trusts."""

    chain: str
    key: str
    roots: str


def credentials(authority: Path, account: str) -> Credentials:
    """Of the service account in `default`, signed by the authority in that folder, which is made if there is none.

    With all names that a workload's have: Envoy reads anew for each request what it has not found in a certificate.
    """
    made = subprocess.run(
        (sys.executable, "-m", "tulle.agent.keys", "default", account, "bench"), capture_output=True, check=True
    )
    pair = json.loads(made.stdout)["identity"]
    signer = Authority.open(authority, time.time)
    peer = f"{account}.default.{account}.v1.{account}.v1.workload"
    issued = signer.issue(pair["csr"], workload_id("default", account), _DAY, instance=f"{account}-1", peer=peer)
    return Credentials(issued.chain_pem, pair["key"], signer.bundle_pem)


def command(folder: Path, name: str, listener: Json, *clusters: Json, settings: Json | None = None) -> tuple[str, ...]:
    """What runs an Envoy with these resources, with the options with which an agent runs its own.

    settings: what else its bootstrap says.
    """
    file = folder / f"{name}.json"
    resources = {"static_resources": {"listeners": [listener], "clusters": clusters}}
    file.write_text(json.dumps({**resources, **(settings or {})}))
    return (str(binary.find().path), "--config-path", str(file), *_OPTIONS)


@contextmanager
def envoy(folder: Path, name: str, listener: Json, *clusters: Json, settings: Json | None = None) -> Iterator[int]:
    """Runs an Envoy in that folder within the block, which gets its process id once the Envoy listens."""
    log = folder / f"{name}.log"
    at = listener["address"]["socket_address"]
    with process(command(folder, name, listener, *clusters, settings=settings), log, cwd=folder) as started:

        def listens() -> bool:
            if started.poll() is not None:
                raise Failed(f"the Envoy {name} ended:\n{log.read_text()}")
            return _is_open(at["address"], at["port_value"])

        wait_for(f"the Envoy {name} listens", listens)
        yield started.pid


def program(port: int, *, address: str = "127.0.0.1") -> Json:
    """A program that answers everything with 1 kB at once."""
    return _listener(port, _http([_answer()]), address=address)


def serving_sidecar(port: int, own: Credentials, *addresses: str) -> Json:
    """Sidecars and programs of any number of services in one, at all the addresses: mTLS, HTTP/2, the answer at once."""
    listener = _listener(port, _http([_answer()]), tls=_tls("Downstream", own), address=addresses[0])
    return {**listener, "additional_addresses": [{"address": _address(each, port)} for each in addresses[1:]]}


def calling_half(port: int) -> Json:
    """The calling half of the bare pair: HTTP in, and out by the cluster `out`."""
    return _listener(port, _http([_route("out")]))


def calling_several(port: int, hosts: Iterable[str]) -> Json:
    """As the calling half, but a request for one of these hosts goes out by the cluster of that name."""
    return _listener(port, _http([_route(host, host) for host in hosts]))


def to_sidecar(name: str, port: int, own: Credentials, sni: str) -> Json:
    """The cluster `name` to a sidecar of tulle's, which tells by the SNI which port of a service is meant."""
    tls = _tls("Upstream", own)
    tls["typed_config"] |= {"sni": sni}
    tls["typed_config"]["common_tls_context"]["alpn_protocols"] = [MESH_ALPN, "h2"]
    return {**_cluster(port, "http2_protocol_options"), "name": name, "transport_socket": tls}


def serving_half(port: int, own: Credentials) -> Json:
    """The serving half of the bare pair: mTLS in, and out by the cluster `out`."""
    return _listener(port, _http([_route("out")]), tls=_tls("Downstream", own))


def over_mtls(port: int, own: Credentials) -> Json:
    """The cluster `out` to a serving half: mutual TLS 1.3 and HTTP/2."""
    return {**_cluster(port, "http2_protocol_options"), "transport_socket": _tls("Upstream", own)}


def in_plain(port: int) -> Json:
    """The cluster `out` to a program."""
    return _cluster(port, "http_protocol_options")


def _cluster(port: int, version: str) -> Json:
    options = {"@type": f"type.googleapis.com/{_HTTP_OPTIONS}", "explicit_http_config": {version: {}}}
    return {
        "name": "out",
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {_HTTP_OPTIONS: options},
        "load_assignment": {
            "cluster_name": "out",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address("127.0.0.1", port)}}]}],
        },
    }


def _listener(port: int, manager: Json, *, tls: Json | None = None, address: str = "127.0.0.1") -> Json:
    chain = {"filters": [manager], **({"transport_socket": tls} if tls else {})}
    return {"name": "in", "address": _address(address, port), "filter_chains": [chain]}


def _http(routes: list[Json]) -> Json:
    """As lean as tulle's own (translate/listeners.py, `_http`), and with none of what tulle adds for its features."""
    router = {
        "@type": f"{_EXTENSIONS}.filters.http.router.v3.Router",
        "dynamic_stats": False,
        "suppress_envoy_headers": True,
    }
    manager = {
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "server_header_transformation": "PASS_THROUGH",
        "skip_xff_append": True,
        "generate_request_id": False,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _route(cluster: str, host: str = "") -> Json:
    only = {"headers": [{"name": ":authority", "string_match": {"exact": host}}]} if host else {}
    return {"match": {"prefix": "/", **only}, "route": {"cluster": cluster, "timeout": "0s"}}


def _answer() -> Json:
    return {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": BODY}}}


def _tls(side: str, own: Credentials) -> Json:
    common = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["h2"],
        "tls_certificates": [
            {"certificate_chain": {"inline_string": own.chain}, "private_key": {"inline_string": own.key}}
        ],
        "validation_context": {"trusted_ca": {"inline_string": own.roots}},
    }
    context = {"@type": f"{_EXTENSIONS}.transport_sockets.tls.v3.{side}TlsContext", "common_tls_context": common}
    mutual = {"require_client_certificate": True} if side == "Downstream" else {}
    return {"name": "envoy.transport_sockets.tls", "typed_config": {**context, **mutual}}


def _address(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def _is_open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True
