"""Who is revoked is out within seconds, whatever its agent does; nobody else notices."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from running import Mesh, Running, wait_for
from test_identity import ask_inbound, client_context
from tulle.agent.api import ControlPlane, Refused
from tulle.agent.exits import AGENT_FAILED

WITHIN = 10.0
SNI = "outbound_.80_._.service-b.default.svc.cluster.local"


class Thief:
    """A connection to a sidecar that was opened with a stolen certificate."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._connection.sock = context.wrap_socket(plain, server_hostname=SNI)

    def ask(self) -> int:
        """The status; 0 if the connection was ended."""
        assert self._connection.sock, "this is about one connection"
        try:
            self._connection.request("GET", "/data", headers={"Host": "service-b"})
            answer = self._connection.getresponse()
            answer.read()
            return answer.status
        except OSError:
            return 0

    def close(self) -> None:
        self._connection.close()


def soon(what: str, condition: Callable[[], bool], since: float) -> None:
    wait_for(what, condition)
    assert time.monotonic() - since < WITHIN, f"{what} took too long"


def csr() -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def enrol(mesh: Mesh, proxy: str) -> None:
    """As whoever has the state folder's secret."""
    asked = {"proxy": proxy, "namespace": "default", "service": "service-a", "service_account": "service-a"}
    asyncio.run(ControlPlane(mesh.data).enrol({**asked, "csr": csr(), "proxy_csr": csr()}))


def test_a_revoked_instance_is_out_on_open_and_on_new_connections_and_nobody_else_loses_a_call(
    mesh: Mesh, tmp_path: Path
) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    lost, kept, other = mesh.caller(), mesh.caller(), mesh.caller("service-c")
    port = next(p["inbound_port"] for p in mesh.proxies() if p["service"] == "service-b")
    stolen = client_context(mesh.data / "proxies" / lost.proxy, tmp_path, "identity")
    assert lost.call("http://service-b/data").status == 200
    url = "http://service-b/data"
    with closing(Thief(port, stolen)) as thief, kept.load(url, 2) as load, other.load(url, 2) as more:
        assert thief.ask() == 200
        # Its agent does nothing of what it is told, so its Envoy keeps its connections and its certificates.
        lost.running.signal(signal.SIGSTOP)
        since = time.monotonic()
        done = mesh.tulle("revoke", lost.proxy, "--reason", "laptop stolen")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"proxy {lost.proxy} (service-a.default) is revoked\n"
        soon("its calls are denied on HTTP/2", lambda: lost.call(url).status == 403, since)
        soon("the thief is denied on the open connection", lambda: thief.ask() == 403, since)
        soon("new handshakes fail", lambda: ask_inbound(port, stolen) == b"", since)
        assert thief.ask() == 403
        assert lost.proxy not in {proxy["id"] for proxy in mesh.proxies()}
        with pytest.raises(Refused, match=f"proxy {lost.proxy} is revoked: laptop stolen") as refused:
            enrol(mesh, lost.proxy)
        assert refused.value.status == 403

        lost.running.signal(signal.SIGCONT)
        assert lost.running.wait() == AGENT_FAILED
        assert f"proxy {lost.proxy} is revoked: laptop stolen" in lost.running.output
        assert mesh.caller().call(url).status == 200, "a new instance has new keys"

        # A control plane that is killed knows it when it is there again.
        mesh.running[0].kill()
        mesh.up()
        assert ask_inbound(port, stolen) == b""
        [listed] = mesh.json("revoke", "--list")
        assert (listed["kind"], listed["name"], listed["reason"]) == ("proxy", lost.proxy, "laptop stolen")
        load.more(50)
        more.more(50)

        since = time.monotonic()
        assert mesh.tulle("revoke", "--undo", lost.proxy).returncode == 0
        soon("its certificate is good again", lambda: b"200 OK" in ask_inbound(port, stolen), since)
        assert thief.ask() == 200
    assert not load.failed
    assert not more.failed
    told = [json.loads(line) for line in (mesh.data / "audit.log").read_text().splitlines()]
    said = [(each["event"], each["what"], each["reason"]) for each in told if "revo" in each["event"]]
    what = f"proxy {lost.proxy}"
    assert said == [("revoked", what, "laptop stolen"), ("revocation undone", what, "laptop stolen")]


def test_all_instances_of_a_service_account_are_out_and_none_gets_in_until_that_is_undone(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    gone = mesh.serve("service-b", "b2", options=("--service-account", "leaked"))
    with mesh.caller().load("http://service-b/data", 2) as load:
        wait_for("both answer", lambda: len(load.by_instance) == 2)
        done = mesh.tulle("revoke", "ns/default/sa/leaked")
        assert done.returncode == 0, done.stderr
        assert gone.wait() == AGENT_FAILED, gone.output
        before = load.by_instance["b2"]
        load.more(50)
        assert load.by_instance["b2"] == before
        assert not load.failed
    refused = mesh.run("service-b", "server.py", "b3", options=("--service-account", "leaked"))
    assert refused.wait() == AGENT_FAILED
    assert "the service account leaked in namespace default is revoked" in refused.output
    assert mesh.tulle("revoke", "--undo", "ns/default/sa/leaked").returncode == 0
    mesh.serve("service-b", "b3", options=("--service-account", "leaked"))


def test_a_stolen_join_token_is_worth_nothing_and_who_came_by_it_can_be_thrown_out(mesh: Mesh, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mesh.up("--listen", f"127.0.0.1:{port}")
    token = mesh.json("token", "create", "--service", "service-a", "--uses", "5")

    def join(name: str) -> Running:
        elsewhere = {"TULLE_DATA": str(tmp_path / name), "TULLE_JOIN": token["token"]}
        return mesh.run("service-a", "sleeper.py", options=("--capture", "proxy"), **elsewhere)

    first = join("first")
    [proxy] = wait_for("it has joined", mesh.proxies)
    assert mesh.tulle("token", "revoke", token["id"]).returncode == 0
    thief = join("thief")
    assert thief.wait() == AGENT_FAILED
    assert "403" in thief.output or "token" in thief.output
    assert first.process.poll() is None, "who has enrolled by it stays"

    # It is away while it is revoked, so it comes to a door that does not open.
    first.signal(signal.SIGSTOP)
    assert mesh.tulle("revoke", "service-a").returncode == 0
    wait_for("it is out", lambda: not mesh.proxies())
    mesh.running[0].kill()
    mesh.up("--listen", f"127.0.0.1:{port}")
    first.signal(signal.SIGCONT)
    assert first.wait() == AGENT_FAILED
    assert f"proxy {proxy['id']} is revoked" in first.output
