"""What is secret is in the files that are there for it, and nowhere else that anybody could look at.

A mesh of everything is run, all that it says and shows is collected, and each of its secrets is looked for in that: as it is, in
base64, and in hex. Whoever adds a place where something is said adds it to `shown`.
"""

from __future__ import annotations

import base64
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Mesh, children, command_line, wait_for
from test_identity import _admin
from tulle.model import api_token, join_token

DOCUMENTS = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: service-b}
spec:
  hosts: [service-b]
  http: [{route: [{destination: {host: service-b}}], timeout: 5s}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: service-b}
spec: {host: service-b, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
"""
ADMIN = (
    "/config_dump?include_eds",
    "/certs",
    "/stats",
    "/clusters",
    "/listeners",
    "/server_info",
    "/runtime",
    "/init_dump",
)
# By what is in them, which is what they are for; all others have no key and no secret in them.
KEEPS_KEYS = re.compile(r"(ca/.*|proxies/[^/]+/sds/(identity|proxy)\.json)")
KEEPS_THE_SECRET = "secret"


class Found:
    """Secrets by what they are."""

    def __init__(self) -> None:
        self.by_name: dict[str, bytes] = {}

    def add(self, name: str, text: str | bytes) -> None:
        raw = text.encode() if isinstance(text, str) else text
        assert len(raw) >= 16, name
        self.by_name[name] = raw

    def in_(self, content: bytes) -> list[str]:
        squeezed = content.replace(b"\\n", b"").replace(b"\n", b"")
        return [name for name, raw in self.by_name.items() if any(f in content or f in squeezed for f in _forms(raw))]


def _forms(raw: bytes) -> Iterator[bytes]:
    """base64 at each of its three offsets, less what depends on the neighbours."""
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for offset in range(3):
        padded = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        yield padded[4 if offset else 0 : -2]
        yield base64.urlsafe_b64encode(b"\0" * offset + raw).rstrip(b"=")[4 if offset else 0 : -2]


def keys_of(path: Path) -> list[bytes]:
    """The private keys in a file, DER."""
    text = path.read_text(errors="replace").replace("\\n", "\n")
    return [
        base64.b64decode("".join(body.split()))
        for body in re.findall(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.+?)-----END", text, re.S)
    ]


@pytest.fixture
def secrets(mesh: Mesh) -> Found:
    """Of a mesh that has been used in all ways."""
    found = Found()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mesh.up("--listen", f"127.0.0.1:{port}", "--log-format", "json")
    tokens = {name: mesh.json("user", "create", name, "--role", name)["token"] for name in ("viewer", "admin")}
    for name, token in tokens.items():
        found.add(f"{name}'s token", token)
        found.add(f"{name}'s secret", api_token.decode(token).secret)
    joins = [mesh.json("token", "create", "--service", service)["token"] for service in ("service-b", "service-c")]
    for token in joins:
        found.add("join token", token)
        found.add("join token's secret", join_token.decode(token).secret)
    mesh.run("service-b", "server.py", "b1", TULLE_JOIN=joins[0], TULLE_DEBUG="1", TULLE_API=tokens["viewer"])
    wait_for("service-b is healthy", lambda: mesh.healthy("service-b"))
    caller = mesh.caller()
    (mesh.folder / "mesh.yaml").write_text(DOCUMENTS)
    assert mesh.tulle("apply", "-f", str(mesh.folder / "mesh.yaml"), "--wait").returncode == 0
    for proxy in mesh.data.glob("proxies/*/admin.sock"):
        _admin(proxy, "/logging?level=debug", "POST")
    assert caller.call("http://service-b/").status == 200
    mesh.env["TULLE_API"] = tokens["viewer"]
    assert mesh.tulle("forget", "service-a").returncode == 1
    mesh.env["TULLE_API"] = tokens["viewer"][:-3]
    mesh.tulle("status")
    mesh.env["TULLE_API"] = api_token.encode(api_token.ApiToken("admin", "x" * 43))
    assert mesh.tulle("status").returncode == 1
    del mesh.env["TULLE_API"]
    # A second use of a token that is spent, and a token that was revoked.
    spent = mesh.run("service-b", "server.py", "b2", TULLE_JOIN=joins[0])
    assert spent.wait() != 0
    assert mesh.tulle("token", "revoke", join_token.decode(joins[1]).id).returncode == 0
    assert mesh.tulle("proxy", caller.proxy, "restart").returncode == 0
    found.add("the folder's secret", (mesh.data / "secret").read_text().strip())
    for path in mesh.data.rglob("*"):
        if path.is_file() and not path.is_symlink():
            for number, key in enumerate(keys_of(path)):
                found.add(f"key {number} of {path.relative_to(mesh.data)}", key)
    assert len([name for name in found.by_name if name.startswith("key ")]) >= 5
    return found


def shown(mesh: Mesh) -> Iterator[tuple[str, bytes]]:
    """All that the system says, prints, answers and leaves open."""
    for running in mesh.running:
        yield f"the log of {running.name}", running.log.read_bytes()
    commands = [
        "status",
        "services",
        "proxies",
        "version",
        "user list",
        "token list",
        "audit",
        "get all -A",
        "analyze -A",
    ]
    commands += ["describe vs service-b", "describe dr service-b", "get vs -A -o yaml"]
    for proxy in mesh.proxies():
        commands += [f"proxy {proxy['id']} {part}" for part in ("status", "config", "clusters", "listeners", "routes")]
        commands.append(f"proxy {proxy['id']} endpoints")
    for command in commands:
        for form in ([], ["-o", "json"]) if "yaml" not in command else ([],):
            done = mesh.tulle(*command.split(), *form)
            yield f"tulle {command} {' '.join(form)}", (done.stdout + done.stderr).encode()
    for admin in mesh.data.glob("proxies/*/admin.sock"):
        for path in ADMIN:
            yield f"{admin}{path}", _admin(admin, path).encode()
    for running in [each for each in mesh.running if each.process.poll() is None]:
        for pid in (running.pid, *children(running.pid)):
            yield f"the command line of {pid}", Path(f"/proc/{pid}/cmdline").read_bytes()
            yield f"the environment of {pid}, {command_line(pid)}", Path(f"/proc/{pid}/environ").read_bytes()


def test_what_is_secret_is_in_its_file_and_nowhere_else(mesh: Mesh, secrets: Found) -> None:
    everything = dict(shown(mesh))
    assert len(everything) > 60
    assert {name: what for name, content in everything.items() if (what := secrets.in_(content))} == {}
    assert [name for name, content in everything.items() if b"PRIVATE KEY" in content] == []
    for path in mesh.data.rglob("*"):
        if path.is_file() and not path.is_symlink():
            place, content = str(path.relative_to(mesh.data)), path.read_bytes()
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, place
            there = secrets.in_(content)
            if KEEPS_KEYS.fullmatch(place):
                there = [each for each in there if not each.startswith("key ")]
            elif place == KEEPS_THE_SECRET:
                there.remove("the folder's secret")
            else:
                assert b"PRIVATE KEY" not in content, place
            assert there == [], place


def test_what_is_looked_for_would_be_found() -> None:
    found = Found()
    found.add("it", "a secret that is told nobody")
    raw = b"a secret that is told nobody"
    for form in (raw, base64.b64encode(b"x" + raw + b"y"), base64.urlsafe_b64encode(b"xx" + raw), raw.hex().encode()):
        assert found.in_(b"..." + form + b"...") == ["it"]
    assert found.in_(b"nothing") == []


def test_no_golden_file_has_a_key() -> None:
    for path in (Path(__file__).parents[1] / "golden").rglob("*.yaml"):
        assert b"PRIVATE KEY" not in path.read_bytes(), path
