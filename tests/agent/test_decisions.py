"""What the agent tells of decisions of access rules."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tulle.agent.decisions import Decisions
from tulle.agent.epoch import Epoch
from tulle.agent.folder import agent_folder

CALLER = {"address": "127.0.0.1", "caller": "spiffe://cluster.local/ns/a/sa/web"}
WHO = "spiffe://cluster.local/ns/a/sa/web at 127.0.0.1"


class Told:
    def __init__(self) -> None:
        self.now = 0.0
        self.messages: list[str] = []
        self.decisions = Decisions(self.messages.append, lambda: self.now)

    def decided(self, **record: object) -> list[str]:
        self.messages.clear()
        self.decisions.decided(json.dumps({**CALLER, **record}).encode())
        return list(self.messages)


def test_a_denial_names_the_caller_what_it_asked_for_and_the_rule() -> None:
    asked = {"method": "GET", "host": "b", "path": "/admin", "status": 403}
    details = "rbac_access_denied_matched_policy[AuthorizationPolicy_default/no-admin_spec.rules[1]]"
    assert Told().decided(**asked, details=details) == [
        f"denied {WHO}, GET b /admin: AuthorizationPolicy default/no-admin spec.rules[1]"
    ]
    none = "rbac_access_denied_matched_policy[none]"
    assert Told().decided(**asked, details=none) == [f"denied {WHO}, GET b /admin: no ALLOW policy fits"]
    assert Told().decided(to="outbound_.1_._.db", details=none) == [
        f"denied {WHO}, a connection to outbound_.1_._.db: no ALLOW policy fits"
    ]


def test_tokens_that_are_not_good_and_what_providers_deny_are_told_with_why() -> None:
    asked = {"method": "GET", "host": "b", "path": "/", "asked": "AuthorizationPolicy a/ask spec.rules[0]"}
    assert Told().decided(**asked, details="jwt_authn_access_denied{Jwt_is_expired}") == [
        f"denied {WHO}, GET b /: the token is not good: Jwt is expired"
    ]
    assert Told().decided(**asked, details="ext_authz_denied") == [
        f"denied {WHO}, GET b /: AuthorizationPolicy a/ask spec.rules[0]: its provider denies it"
    ]
    assert Told().decided(**asked, details="ext_authz_error") == [
        f"denied {WHO}, GET b /: AuthorizationPolicy a/ask spec.rules[0]: its provider can't be asked"
    ]


def test_what_a_dry_run_would_have_denied_is_told_as_such() -> None:
    asked = {"method": "GET", "host": "b", "path": "/", "details": "via_upstream"}
    tried = {"would_deny": "AuthorizationPolicy a/b spec.rules[0]", "would_deny_result": "denied"}
    assert Told().decided(**asked, **tried) == [
        f"dry run: would deny {WHO}, GET b /: AuthorizationPolicy a/b spec.rules[0]"
    ]
    assert Told().decided(**asked, would_not_allow_result="denied") == [
        f"dry run: would deny {WHO}, GET b /: no ALLOW policy would fit"
    ]
    assert Told().decided(**asked, audit="AuthorizationPolicy a/b spec.rules[0]", audit_result="denied") == [
        f"audit: {WHO}, GET b /: AuthorizationPolicy a/b spec.rules[0]"
    ]


def test_who_keeps_asking_does_not_fill_the_log() -> None:
    told = Told()
    denied = {"method": "GET", "host": "b", "path": "/", "details": "rbac_access_denied_matched_policy[none]"}
    assert sum(len(told.decided(**denied)) for _ in range(1000)) == 20
    told.now = 1.0
    (message,) = told.decided(**denied)
    assert message.endswith("(980 more like it were not told)")


def test_what_a_caller_writes_stays_within_its_line() -> None:
    denied = {
        "method": "GET",
        "host": "b\n\x1b[2Jx",
        "path": "/" * 10_000,
        "details": "rbac_access_denied_matched_policy[none]",
    }
    (message,) = Told().decided(**denied)
    assert "\n" not in message
    assert "\x1b" not in message
    assert len(message) < 500


def test_half_a_line_is_nothing() -> None:
    told = Told()
    told.decisions.decided(b'{"address":"127')
    assert told.messages == []
    assert told.decisions.counts.told() == {"counts": [], "other": 0, "lost": 1}


def test_decisions_are_counted_by_rule_and_caller() -> None:
    told = Told()
    rule = "rbac_access_denied_matched_policy[AuthorizationPolicy_a/b_spec.rules[1]]"
    for _ in range(1000):
        told.decided(method="GET", path="/", details=rule)
    told.now = 2.0
    tried = {"would_deny": "AuthorizationPolicy a/c spec.rules[0]", "would_deny_result": "denied"}
    told.decided(details="rbac_access_denied_matched_policy[none]", **tried)
    told.decided(details="jwt_authn_access_denied{Jwt_is_expired}", caller="spiffe://x\n\u00e9")
    told.decided(details="rbac_access_denied_matched_policy[revoked_certificate]")
    told.decided(details="ext_authz_error", asked="AuthorizationPolicy a/ask spec.rules[0]")
    told.decided(audit="AuthorizationPolicy a/d spec.rules[0]", audit_result="denied")
    web = "cluster.local/ns/a/sa/web"
    counts = told.decisions.counts.told()["counts"]
    assert [tuple(one.values()) for one in reversed(counts)] == [
        ("denied", "AuthorizationPolicy a/b", "spec.rules[1]", web, 1000, 2.0),
        ("denied", "", "", web, 1, 0.0),
        ("would deny", "AuthorizationPolicy a/c", "spec.rules[0]", web, 1, 0.0),
        ("token refused", "", "", "x??", 1, 0.0),
        ("denied", "revoked certificate", "", web, 1, 0.0),
        ("provider denied", "AuthorizationPolicy a/ask", "spec.rules[0]", web, 1, 0.0),
        ("audited", "AuthorizationPolicy a/d", "spec.rules[0]", web, 1, 0.0),
    ]


def test_of_too_many_kinds_the_last_are_told_apart_and_none_is_forgotten() -> None:
    told = Told()
    for number in (*range(500), 0):
        told.decided(details="rbac_access_denied_matched_policy[none]", caller=f"spiffe://{number}")
    said = told.decisions.counts.told()
    assert [one["caller"] for one in said["counts"]] == ["0", *map(str, range(499, 300, -1))]
    assert said["other"] == 301
    for number in range(300):
        told.decided(details="rbac_access_denied_matched_policy[none]", caller=f"spiffe://{number}" + "x" * 4000)
    said = told.decisions.counts.told()
    assert len(json.dumps(said)) < 50_000
    assert sum(one["count"] for one in said["counts"]) + said["other"] == 801


async def test_who_waits_for_counts_hears_of_each_change() -> None:
    told = Told()
    counts = told.decisions.counts
    waiting = asyncio.create_task(counts.after(0))
    await asyncio.sleep(0)
    told.decided(details="rbac_access_denied_matched_policy[none]")
    assert await waiting == await counts.after(0) == 1
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(counts.after(1), 0.01)


async def test_a_decision_on_a_long_request_is_read_however_it_comes(tmp_path: Path) -> None:
    parts = [b'{"address":"127.0.0.1","path":"/', b"x" * 30_000, b"y" * 30_000 + b'"}\n', b'warning\n{"address":"cut']
    said = f"import sys, time\nfor part in {parts}: sys.stderr.buffer.write(part); sys.stderr.flush(); time.sleep(0.05)"
    lines: list[bytes] = []
    with agent_folder(tmp_path, "a-000001") as folder:
        async with asyncio.TaskGroup() as group:
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", said, stderr=asyncio.subprocess.PIPE)
            ended = await Epoch(process, folder, group, {b'{"address":': lines.append}).ended()
    assert "warning" in ended and "address" not in ended
    assert lines == [b"".join(parts[:3]).rstrip(), b'{"address":"cut']
