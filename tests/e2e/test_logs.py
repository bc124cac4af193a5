"""`tulle logs` of a running mesh: what control plane, agent and Envoy say, of which level, and never a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running import Mesh, Running, wait_for

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("m")) as mesh:
        mesh.up("--log-format", "json")
        yield mesh


@pytest.fixture(scope="module")
def server(mesh: Mesh) -> Running:
    return mesh.serve("service-b", options=("--port", "80"))


def lines(mesh: Mesh, *words: str) -> list[dict[str, Any]]:
    done = mesh.tulle("logs", *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_control_plane_and_agent_tell_with_the_same_fields(mesh: Mesh, server: Running) -> None:
    own, of_agent = lines(mesh), lines(mesh, "service-b")
    for line in (*own, *of_agent):
        assert RFC3339.fullmatch(line["time"]) and line["level"] and line["logger"] and line["message"]
    assert any("is in the mesh" in line["message"] for line in of_agent)
    assert own[0] == json.loads(mesh.running[0].output.splitlines()[0])
    text = mesh.tulle("logs", "service-b").stdout
    assert "is in the mesh" in text and len(text.splitlines()) >= len(of_agent)
    assert lines(mesh, "service-b", "--level", "error") == lines(mesh, "--since", "0s") == []


def test_the_level_of_a_sidecar_is_its_envoys_too(mesh: Mesh, server: Running) -> None:
    assert mesh.tulle("logs", "level", "service-b").stdout.endswith(": info\n")
    assert mesh.tulle("logs", "level", "service-b", "debug").stdout.endswith(": debug\n")
    mesh.caller("another").call("http://service-b/")
    wait_for("Envoy tells more", lambda: [x for x in lines(mesh, "service-b") if x["logger"].startswith("envoy.")])
    assert mesh.tulle("logs", "level", "service-b", "error").stdout.endswith(": error\n")
    assert mesh.tulle("logs", "level", "service-b", "info").returncode == 0


def test_what_comes_is_followed(mesh: Mesh, server: Running) -> None:
    following = mesh.start("logs", "logs", "service-b", "-f", "--since", "1s")
    assert mesh.tulle("logs", "level", "service-b", "debug").returncode == 0
    mesh.caller("third").call("http://service-b/")
    wait_for("a line has come", lambda: "envoy." in following.output)
    assert mesh.tulle("logs", "level", "service-b", "info").returncode == 0
    following.kill()
    mesh.running.remove(following)


def test_what_is_not_there_is_said(mesh: Mesh) -> None:
    assert "there is no sidecar nobody" in mesh.tulle("logs", "nobody").stderr
    assert "there is no level 'loud'" in mesh.tulle("logs", "level", "control-plane", "loud").stderr


def test_no_secret_is_in_any_log_at_any_level(mesh: Mesh, server: Running, tmp_path: Path) -> None:
    """Enrolment, tokens, users, and what programs send, all at debug."""
    for what in ("control-plane", "service-b"):
        assert mesh.tulle("logs", "level", what, "debug").returncode == 0
    found = [
        mesh.tulle("user", "create", "me", "-o", "json").stdout,
        mesh.tulle("token", "create", "-o", "json").stdout,
    ]
    secrets = {word for text in found for word in re.findall(r"[A-Za-z0-9_\-.]{24,}", text)}
    caller = mesh.caller("service-c")
    assert mesh.tulle("logs", "level", "service-c", "debug").returncode == 0
    headers = {"authorization": "Bearer the-programs-own-secret", "cookie": "session=also-its-secret"}
    assert caller.call("http://service-b/?token=in-the-query", headers=headers).status == 200
    folder = Path(mesh.env["TULLE_DATA"])
    secrets |= {(folder / "secret").read_text().strip(), "the-programs-own-secret", "also-its-secret"}
    secrets |= {
        line
        for key in folder.rglob("*")
        if key.is_file() and key.suffix in (".pem", ".key")
        for block in re.findall(r"PRIVATE KEY-----\n(.*?)\n-----END", key.read_text(errors="replace"), re.DOTALL)
        for line in block.splitlines()[:2]  # the others are of the public key
    }
    told = "\n".join(
        [
            *(running.output for running in mesh.running),
            *(mesh.tulle("logs", of, "-o", "json").stdout for of in ("control-plane", "service-b", "service-c")),
        ]
    )
    assert len(secrets) > 5 and "service-c" in told
    assert [line[:200] for line in told.splitlines() if any(secret in line for secret in secrets)] == []
