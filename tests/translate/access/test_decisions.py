"""Who decides: the order of actions, dry runs, audits, ports that carry bytes; and what is told and counted of it."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from guarded import CALLER, Guarded, Port, guarded
from tulle.model.workload import Protocol
from written_access import access

ALL = "{action: ALLOW, rules: [{}]}"
NOTHING = "{action: ALLOW}"
DENY_X = "{action: DENY, rules: [{to: [{operation: {paths: [/x]}}]}]}"
ALLOW_Y = "{action: ALLOW, rules: [{to: [{operation: {paths: [/y]}}]}]}"
DENY_CALLER = "{action: DENY, rules: [{from: [{source: {namespaces: [default]}}]}]}"
ALLOW_CALLER = "{rules: [{from: [{source: {namespaces: [default]}}]}]}"
AUDIT = "{action: AUDIT, rules: [{to: [{operation: {paths: [/x]}}]}]}"
DENY_GET = "{action: DENY, rules: [{from: [{source: {namespaces: [default]}}], to: [{operation: {methods: [GET]}}]}]}"
ALLOW_GET = "{rules: [{from: [{source: {namespaces: [default]}}], to: [{operation: {methods: [GET]}}]}]}"
LOGGED = "cluster.local/ns/default/sa/logged"
OTHER = "cluster.local/ns/other/sa/web"
HTTP: dict[str, tuple[str, ...]] = {
    "none": (),
    "nothing is allowed": (NOTHING,),
    "all is allowed": (NOTHING, ALL),
    "a denial wins": (DENY_X, ALL),
    "a denial without rules": ("{action: DENY}",),
    "one of two": (ALLOW_Y, "{rules: [{to: [{operation: {paths: [/x]}}]}]}"),
    "dry denial": ("dry run" + DENY_X,),
    "dry permission": ("dry run" + ALLOW_Y,),
    "dry permission beside another": ("dry run" + ALLOW_Y, ALL),
    "audit": (AUDIT, DENY_X),
}
TCP: dict[str, tuple[str, ...]] = {
    "tcp": (),
    "tcp denial": (DENY_CALLER,),
    "tcp permission": (ALLOW_CALLER,),
    "tcp nothing is allowed": (NOTHING,),
    "tcp denial of requests": (DENY_GET,),
    "tcp permission of requests": (ALLOW_GET,),
    "tcp dry denial": ("dry run" + DENY_CALLER,),
}


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while part := self.request.recv(1000):
            self.request.sendall(part)


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as echo:
        echo.daemon_threads = True
        threading.Thread(target=echo.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        ports: dict[str, Any] = {name: access(*policies) for name, policies in HTTP.items()}
        for name, policies in TCP.items():
            ports[name] = Port(access(*policies, protocol=Protocol.TCP), Protocol.TCP, echo.server_address[1])
        with guarded(tmp_path_factory.mktemp("envoy"), ports) as made:
            yield made
        echo.shutdown()


@pytest.mark.parametrize(
    ("port", "x", "y"),
    [
        ("none", 200, 200),
        ("nothing is allowed", 403, 403),
        ("all is allowed", 200, 200),
        ("a denial wins", 403, 200),
        ("a denial without rules", 200, 200),
        ("one of two", 200, 200),
        ("dry denial", 200, 200),
        ("dry permission", 200, 200),
        ("dry permission beside another", 200, 200),
        ("audit", 403, 200),
    ],
)
def test_denials_come_first_then_some_permission_must_fit(sidecar: Guarded, port: str, x: int, y: int) -> None:
    assert (sidecar.ask(port, "/x").status, sidecar.ask(port, "/y").status) == (x, y)


@pytest.mark.parametrize(
    ("port", "of_caller", "of_others"),
    [
        ("tcp", True, True),
        ("tcp denial", False, True),
        ("tcp permission", True, False),
        ("tcp nothing is allowed", False, False),
        # Of a rule that denies, what nobody can know of a connection is left out; a rule that allows then never fits.
        ("tcp denial of requests", False, True),
        ("tcp permission of requests", False, False),
        ("tcp dry denial", True, True),
    ],
)
def test_connections_are_decided_by_what_is_known_of_them(
    sidecar: Guarded, port: str, of_caller: bool, of_others: bool
) -> None:
    assert (echoes(sidecar, port, CALLER), echoes(sidecar, port, OTHER)) == (of_caller, of_others)


def test_each_decision_against_a_caller_is_logged_with_its_policy(sidecar: Guarded) -> None:
    for port in ("a denial wins", "nothing is allowed", "dry denial", "audit", "none", "dry permission"):
        sidecar.ask(port, "/x?token=secret", caller=LOGGED)
    echoes(sidecar, "tcp denial", LOGGED)
    echoes(sidecar, "tcp dry denial", LOGGED)
    found = logged(sidecar, 7)
    by = "rbac_access_denied_matched_policy[{}]"
    first = "AuthorizationPolicy default/policy-0 spec.rules[0]"
    assert [one.get("details") for one in found[:4]] == [
        by.format(first.replace(" ", "_")),
        by.format("none"),
        "via_upstream",
        by.format("AuthorizationPolicy_default/policy-1_spec.rules[0]"),
    ]
    assert found[0] == {
        "address": "127.0.0.1",
        "caller": f"spiffe://{LOGGED}",
        "details": by.format(first.replace(" ", "_")),
        "host": "guarded",
        "method": "GET",
        "path": "/x",
        "status": 403,
        "to": found[0]["to"],
    }
    assert found[2]["would_deny"] == found[3]["audit"] == first
    assert found[4]["would_not_allow_result"] == "denied"
    assert (found[5]["details"], found[6]["would_deny"]) == (by.format(first.replace(" ", "_")), first)
    assert "secret" not in json.dumps(found)


def test_decisions_are_counted(sidecar: Guarded) -> None:
    def counted() -> dict[str, int]:
        return sidecar.stats(r"rbac\..*denied$")

    before = counted()
    for port in ("a denial wins", "nothing is allowed", "dry denial", "dry permission", "audit"):
        sidecar.ask(port, "/x")
    echoes(sidecar, "tcp denial", CALLER)
    echoes(sidecar, "tcp dry denial", CALLER)
    after = counted()
    rule = "policy.AuthorizationPolicy default/policy-0 spec.rules[0]"
    assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)} == {
        "http.inbound.rbac.deny_.denied": 2,
        f"http.inbound.rbac.deny_.{rule}.denied": 1,
        f"http.inbound.rbac.deny_.{rule.replace('-0', '-1')}.denied": 1,
        "http.inbound.rbac.allow_.denied": 1,
        "http.inbound.rbac.dry_run_deny_.shadow_denied": 1,
        f"http.inbound.rbac.dry_run_deny_.{rule}.shadow_denied": 1,
        "http.inbound.rbac.dry_run_allow_.shadow_denied": 1,
        "http.inbound.rbac.audit_.shadow_denied": 1,
        f"http.inbound.rbac.audit_.{rule}.shadow_denied": 1,
        "tcp.inbound.rbac.denied": 1,
        "tcp.inbound.rbac.dry_run_deny_.shadow_denied": 1,
    }


def echoes(sidecar: Guarded, port: str, caller: str) -> bool:
    with sidecar.connected(port, caller) as connection:
        try:
            connection.sendall(b"hello")
            return connection.recv(100) == b"hello"
        except OSError:
            return False


def logged(sidecar: Guarded, number: int) -> list[dict[str, Any]]:
    """In the order in which they are written."""
    end = time.monotonic() + 10
    while True:
        lines = [line for line in sidecar.log.splitlines() if line.startswith('{"address":') and LOGGED in line]
        found = [json.loads(line) for line in lines]
        if len(found) >= number:
            assert len(found) == number
            return found
        assert time.monotonic() < end, found
        time.sleep(0.02)
