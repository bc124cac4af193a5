"""`tulle authz suggest`: what it prints can be applied, lets those call who called, and would deny others."""

from __future__ import annotations

from typing import Any

import yaml

from running import Mesh, wait_for

URL = "http://service-b/data"


def would_deny(mesh: Mesh) -> dict[str, int]:
    """How often dry runs would have denied a call, by whom."""
    guards = mesh.json("authz", "explain", "service-b")["guards"]
    found = [one for guard in guards for one in guard["decisions"] if one["what"] == "would deny"]
    return {one["caller"].rpartition("/")[2]: one["count"] for one in found}


def test_a_suggestion_lets_calls_go_on_and_would_deny_others(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    caller, other = mesh.caller(), mesh.caller("stranger")
    assert [caller.call(URL).status for _ in range(5)] == [200] * 5

    def suggestion() -> Any:
        done = mesh.tulle("authz", "suggest", "service-b")
        return done if "#   cluster.local/ns/default/sa/service-a: 5 requests to port 80\n" in done.stdout else None

    done = wait_for("the calls are counted", suggestion)
    assert done.returncode == 0
    (document,) = yaml.safe_load_all(done.stdout)
    assert document["metadata"]["annotations"] == {"istio.io/dry-run": "true"}
    everybody = mesh.tulle("authz", "suggest")
    assert "nothing is suggested for those without calls: default/service-a" in everybody.stderr
    file = mesh.folder / "suggested.yaml"
    file.write_text(done.stdout)
    applied = mesh.tulle("apply", "-f", str(file), "--wait")
    assert applied.returncode == 0, applied.stderr

    # A dry run: who did not call before still may, and is counted.
    assert caller.call(URL).status == other.call(URL).status == 200
    assert wait_for("it is counted", lambda: would_deny(mesh)) == {"stranger": 1}

    with_requests = mesh.start("watching", "authz", "suggest", "service-b", "--watch", "3s", "--paths", "--enforce")
    wait_for("it watches", lambda: "watching requests" in with_requests.output)

    def ended() -> bool:
        caller.call(URL)
        return with_requests.process.poll() is not None

    wait_for("it has watched", ended)
    text = with_requests.output
    assert "paths:" in text and "- /data\n" in text and "- GET\n" in text and "dry-run" not in text
    assert "AuthorizationPolicy default/service-b-callers is there" in text
    file.write_text(text[text.index("# default/service-b") : text.index("figures go back")])
    assert mesh.tulle("apply", "-f", str(file), "--wait").returncode == 0
    assert caller.call(URL).status == 200 and caller.call("http://service-b/else").status == 403
