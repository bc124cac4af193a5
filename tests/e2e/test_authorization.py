"""AuthorizationPolicies through the whole mesh: who may call what, on ports for HTTP and for bytes, and what is told of it."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import Any

from running import Caller, Mesh, wait_for
from wires import dialer, wired

TULLE_SECONDS = 1.0  # that a command takes to start, on a busy machine


def apply(mesh: Mesh, **policies: dict[str, Any]) -> None:
    """By name; in force when this returns."""
    documents = [
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": name, "annotations": {"istio.io/dry-run": "true"} if name.startswith("dry") else {}},
            "spec": {"selector": {"matchLabels": {"app": "store"}}, **spec},
        }
        for name, spec in policies.items()
    ]
    file = mesh.folder / "policies.yaml"
    file.write_text("\n---\n".join(map(json.dumps, documents)))
    done = mesh.tulle("apply", "-f", str(file), "--wait")
    assert done.returncode == 0, done.stdout + done.stderr


def delete(mesh: Mesh, *names: str) -> None:
    done = mesh.tulle("delete", *(f"AuthorizationPolicy/{name}" for name in names), "--wait")
    assert done.returncode == 0, done.stdout + done.stderr


def of(*names: str) -> list[dict[str, Any]]:
    return [{"source": {"principals": [f"cluster.local/ns/default/sa/{name}" for name in names]}}]


def status(caller: Caller, path: str = "/", **more: Any) -> int:
    return caller.call(f"http://store{path}", **more).status


def test_policies_say_who_may_call_what(mesh: Mesh) -> None:
    mesh.up()
    store = wired(mesh, "store", "s1", "80/http=http", "7001/tcp=echo")
    friend, stranger = mesh.caller("friend"), mesh.caller("stranger")
    programs = {name: dialer(mesh, "proxy", f"{name}-program") for name in ("good", "bad")}

    def echoed(name: str) -> bool:
        return bool(
            programs[name].do("try:\n result = ask('store', 7001, 'x') == 's1 x'\nexcept OSError:\n result = False")
        )

    assert [status(friend), status(stranger), echoed("good"), echoed("bad")] == [200, 200, True, True]
    apply(
        mesh,
        callers={
            "rules": [{"from": of("friend")}, {"from": of("good-program"), "to": [{"operation": {"ports": ["7001"]}}]}]
        },
        private={"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/private", "/private/{**}"]}}]}]},
        dry={"action": "DENY", "rules": [{"from": of("friend"), "to": [{"operation": {"paths": ["/soon"]}}]}]},
    )
    assert [status(friend), status(stranger), status(friend, "/private/x"), status(friend, "/soon")] == [
        200,
        403,
        403,
        200,
    ]
    assert status(friend, "/x/%2e%2e/%70rivate/x") == 403
    # The rule for the private part is about requests, of which nothing is known of a connection: so it denies all of them.
    assert [echoed("good"), echoed("bad")] == [False, False]
    apply(
        mesh, private={"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/private"], "ports": ["80"]}}]}]}
    )
    assert [echoed("good"), echoed("bad")] == [True, False]
    assert status(friend, "/", headers={"connection": "upgrade", "upgrade": "websocket"}) == 101
    assert status(friend, "/private", headers={"connection": "upgrade", "upgrade": "websocket"}) == 403

    answer = stranger.call("http://store/?token=secret")
    assert answer.json() == {"code": 403, "error": "access denied"}
    by = "AuthorizationPolicy default/private spec.rules[0]"
    who = "spiffe://cluster.local/ns/default/sa"
    for told in (
        f"denied {who}/stranger at 127.0.0.1, GET store /: no ALLOW policy fits",
        f"denied {who}/friend at 127.0.0.1, GET store /private/x: {by}",
        f"dry run: would deny {who}/friend at 127.0.0.1, GET store /soon: AuthorizationPolicy default/dry spec.rules[0]",
        "no ALLOW policy fits",
    ):
        wait_for(told, lambda told=told: told in store.output)  # type: ignore[misc]
    assert "secret" not in store.output
    described = mesh.tulle("describe", "AuthorizationPolicy/callers").stdout
    assert "1 of 1" in described, described
    what_is_counted_is_shown(mesh, stranger)

    delete(mesh, "callers", "private", "dry")
    assert [status(friend), status(stranger), echoed("good"), echoed("bad")] == [200, 200, True, True]


def what_is_counted_is_shown(mesh: Mesh, stranger: Caller) -> None:
    """With the rules that have decided, and what a dry run would have denied as such; within 2 s."""
    sa = "cluster.local/ns/default/sa"

    def explained() -> dict[tuple[str, str, str], int]:
        (guard,) = json.loads(mesh.tulle("authz", "explain", "store:80", "-o", "json").stdout)["guards"]
        assert (guard["others"], guard["lost"]) == (0, 0)
        return {
            (one["what"], " ".join(filter(None, (one["source"], one["place"]))), one["caller"]): one["count"]
            for one in guard["decisions"]
        }

    rule = "AuthorizationPolicy default/{} spec.rules[0]".format
    # Over HTTP: a normal path, one in disguise, an upgrade. And what was cut of the port that carries bytes.
    wait_for("all is counted", lambda: explained().get(("denied", rule("private"), f"{sa}/friend"), 0) >= 3)
    before = explained()
    assert before[("denied", rule("private"), f"{sa}/friend")] == 3
    assert before[("would deny", rule("dry"), f"{sa}/friend")] == 1
    assert ("denied", rule("dry"), f"{sa}/friend") not in before
    nothing_fits = ("denied", "", f"{sa}/stranger")
    for _ in range(3):
        status(stranger)
    denied = time.monotonic()
    wait_for("counted", lambda: explained().get(nothing_fits) == before[nothing_fits] + 3)
    assert time.monotonic() - denied < 2.0 + 2 * TULLE_SECONDS
    printed = mesh.tulle("authz", "explain", "store:80").stdout
    assert re.search(rf"\n    would have denied: 1, the last \d+s ago; {sa}/friend \(1\)\n", printed), printed
    assert re.search(rf"\n  denied: \d+, the last \d+s ago; {sa}/stranger \(\d+\)", printed), printed
    described = mesh.tulle("describe", "AuthorizationPolicy/dry").stdout
    assert re.search(r"decisions +would have denied: 1, the last", described), described


def test_policies_change_under_load_and_count_on_open_connections(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("store", "s1")
    wired(mesh, "bytes", "b1", "7001/tcp=echo", options=("--label", "app=store"))
    friend, stranger = mesh.caller("friend"), mesh.caller("stranger")
    program = dialer(mesh, "proxy", "program")
    program.do("kept = dial('bytes', 7001)\nkept.sendall(b'a\\n')\nresult = line(kept)")
    connection = http.client.HTTPConnection("127.0.0.1", stranger.port, timeout=20)
    statuses = [status(stranger, connection=connection)]
    with friend.load("http://store/", threads=2) as load:
        for _ in range(2):
            apply(mesh, callers={"rules": [{"from": of("friend", "program")}]})
            statuses.append(status(stranger, connection=connection))
            apply(
                mesh, callers={"rules": [{"from": [{"source": {"notPrincipals": of("x")[0]["source"]["principals"]}}]}]}
            )
            statuses.append(status(stranger, connection=connection))
            apply(mesh, others={"action": "DENY", "rules": [{"from": [{"source": {"serviceAccounts": ["stranger"]}}]}]})
            statuses.append(status(stranger, connection=connection))
            delete(mesh, "callers", "others")
            statuses.append(status(stranger, connection=connection))
            load.more(50)
    connection.close()
    assert load.failed == []
    assert statuses == [200, *[403, 200, 403, 200] * 2]
    # A connection that carries bytes was decided when it began, and no change of rules cuts it.
    assert program.do("kept.sendall(b'b\\n')\nresult = line(kept)") == "b1 b"
