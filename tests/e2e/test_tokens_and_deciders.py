"""Tokens of an issuer, and a service that decides: declared by a user, felt by a caller."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from declaring import applied, document, mesh_config
from issuing import Issuing
from running import Caller, Mesh, wait_for

URL = "http://service-b/data"
TARGET = {"targetRefs": [{"kind": "Service", "name": "service-b"}]}


class Idp:
    """An issuer on loopback. keys: what it answers; None: it is down."""

    def __init__(self, port: int) -> None:
        self.uri = f"http://127.0.0.1:{port}/keys"
        self.keys: str | None = None


@contextmanager
def idp() -> Iterator[Idp]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = (made.keys or "").encode()
            self.send_response(200 if text else 503)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Idp(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


OPTIONS = ("--jwks-allow", "127.0.0.1", "--jwks-refresh", "1s")


class Town:
    """service-b, authz, and a caller."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.control_plane = mesh.up(*OPTIONS)
        mesh.serve("service-b", "b1")
        self.authz = mesh.serve("authz", "authz")
        self.caller = mesh.caller()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Mesh(tmp_path_factory.mktemp("town")) as mesh:
        yield Town(mesh)


def security(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {**document(kind, name, {**TARGET, **spec}), "apiVersion": "security.istio.io/v1"}


def status(caller: Caller, token: str = "", url: str = URL) -> int:
    return caller.call(url, headers={"authorization": f"Bearer {token}"} if token else {}).status


def until(caller: Caller, wanted: int, token: str = "", url: str = URL) -> None:
    wait_for(f"{url} is answered with {wanted}", lambda: status(caller, token, url) == wanted)


def test_tokens_from_the_documents_to_the_callers_answer(town: Town) -> None:
    mesh, caller, control_plane = town.mesh, town.caller, town.control_plane
    first, second, foreign = (Issuing("https://idp.example", kid) for kid in ("1", "2", "1"))
    only = [{"from": [{"source": {"requestPrincipals": ["https://idp.example/alice"]}}]}]
    with idp() as issuer:
        issuer.keys = first.jwks
        rules = [
            {"issuer": first.name, "jwksUri": issuer.uri},
            {"issuer": "https://other.example", "jwksUri": "http://169.254.169.254/keys"},
        ]
        tokens = security("RequestAuthentication", "tokens", jwtRules=rules)
        with applied(mesh, tokens, security("AuthorizationPolicy", "alice", rules=only)):
            until(caller, 200, first.token())
            assert (status(caller), status(caller, first.token(sub="bob"))) == (403, 403)
            answer = caller.call(URL, headers={"authorization": f"Bearer {foreign.token()}"})
            assert answer.status == 401
            assert answer.json() == {
                "code": 401,
                "error": "the token of this request is not good: Jwt verification fails",
            }
            assert status(caller, first.token(exp=time.time() - 120)) == 401
            assert status(caller, Issuing("https://other.example").token()) == 401

            def described() -> str:
                return mesh.tulle("describe", "RequestAuthentication", "tokens").stdout

            wait_for("what can't be fetched is told", lambda: "no public address" in described())
            assert "--jwks-allow 169.254.169.254" in control_plane.output
            issuer.keys = second.jwks  # the issuer has another key from now on
            until(caller, 200, second.token())
            until(caller, 401, first.token())
            issuer.keys = None  # and is down
            wait_for("that is told", lambda: "it answers 503" in described())
            assert status(caller, second.token()) == 200
            control_plane.stop()
            mesh.up(*OPTIONS)
            mesh.serve("service-b", "b2")  # who comes now has the keys too, which nobody can fetch
            for _ in range(20):
                assert status(caller, second.token()) == 200
            seen = {
                caller.call(URL, headers={"authorization": f"Bearer {second.token()}"}).json()["instance"]
                for _ in range(20)
            }
            assert seen == {"b1", "b2"}
        until(caller, 200)
    assert second.token().split(".")[2] not in control_plane.output


def test_a_service_of_the_mesh_decides(town: Town) -> None:
    mesh, caller = town.mesh, town.caller
    provider = {"service": "authz.default.svc.cluster.local", "port": 80, "timeout": "2s"}
    config = mesh_config(extensionProviders=[{"name": "ours", "envoyExtAuthzHttp": provider}])
    asks = security("AuthorizationPolicy", "ask", action="CUSTOM", provider={"name": "ours"}, rules=[{}])
    with applied(mesh, config, asks):
        until(caller, 418, url=f"{URL}?code=418")
        answer = wait_for(
            "authz decides", lambda: (a := caller.call(f"{URL}?code=418")).json().get("instance") == "authz" and a
        )
        assert "/sa/service-b" in json.dumps(answer.json()["headers"])  # asked by the sidecar, by mutual TLS
        # What comes on a connection from before the policy is denied, as nobody is asked there, until that connection ends.
        wait_for("each sidecar of service-b asks", lambda: all(status(caller) == 200 for _ in range(20)))
        assert caller.call(URL).json()["instance"] in ("b1", "b2")
        town.authz.stop()
        answer = wait_for("nobody can be asked", lambda: (a := caller.call(URL)).status == 403 and a)
        assert answer.json() == {"code": 403, "error": "access can't be decided now"}
    until(caller, 200)
