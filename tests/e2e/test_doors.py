"""The control plane's own doors: who comes in from elsewhere by a user's token, and what listens at all."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from running import Mesh, children
from tulle.model.api_token import ApiToken, decode, encode
from wires import free_ports

LOOPBACK = ("127.", "::1")


@pytest.fixture
def door(mesh: Mesh) -> int:
    """The port of a control plane's door for other machines."""
    (port,) = free_ports(1)
    mesh.up("--listen", f"127.0.0.1:{port}")
    return port


def elsewhere(mesh: Mesh, tmp_path: Path, token: str, *words: str) -> tuple[int, str]:
    """A command where there is no state folder: how it ends, and what it says."""
    before = mesh.env
    mesh.env = {**before, "TULLE_DATA": str(tmp_path / "nothing"), "TULLE_API": token}
    try:
        done = mesh.tulle(*words)
        return done.returncode, done.stdout + done.stderr
    finally:
        mesh.env = before


def test_a_users_token_is_good_on_other_machines_and_only_in_its_role(mesh: Mesh, door: int, tmp_path: Path) -> None:
    vera = mesh.json("user", "create", "vera", "--role", "viewer")["token"]
    ada = mesh.json("user", "create", "ada", "--role", "admin")["token"]
    assert decode(vera).addresses == (f"127.0.0.1:{door}",)
    code, said = elsewhere(mesh, tmp_path, vera, "status", "-o", "json")
    assert (code, json.loads(said)["services"]) == (0, 0)
    code, said = elsewhere(mesh, tmp_path, vera, "user", "list")
    assert (code, "user vera has the role viewer" in said) == (1, True)
    assert elsewhere(mesh, tmp_path, ada, "user", "revoke", "vera")[0] == 0
    code, said = elsewhere(mesh, tmp_path, vera, "status")
    assert (code, "the token is not valid" in said) == (1, True)
    events = [json.loads(line) for line in mesh.tulle("audit", "-o", "json").stdout.splitlines()]
    [revoked] = [event for event in events if event.get("what", "").startswith("DELETE ")]
    assert (revoked["who"], revoked["before"]["name"]) == ("user ada", "vera")


def test_a_token_is_told_to_nobody_but_the_control_plane(mesh: Mesh, door: int, tmp_path: Path) -> None:
    vera = decode(mesh.json("user", "create", "vera", "--role", "viewer")["token"])
    other = encode(ApiToken(vera.user, vera.secret, vera.addresses, ("ab" * 32,)))
    code, said = elsewhere(mesh, tmp_path, other, "status")
    assert (code, "is not the control plane of the token" in said) == (1, True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nowhere = f"127.0.0.1:{silent.getsockname()[1]}"
    code, said = elsewhere(mesh, tmp_path, encode(ApiToken(vera.user, vera.secret, (nowhere,), ("ab" * 32,))), "status")
    assert (code, f"no control plane runs at {nowhere}" in said) == (3, True)


def test_the_folders_secret_is_nothing_to_the_door_for_others(mesh: Mesh, door: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    secret = (mesh.data / "secret").read_text().strip()
    asked = http.client.HTTPSConnection("127.0.0.1", door, timeout=20, context=context)
    asked.request("GET", "/v1/status", headers={"Authorization": f"Bearer {secret}"})
    assert asked.getresponse().status == 401
    asked.close()


def listening(mesh: Mesh, mode: str) -> set[str]:
    """Addresses and ports on which any process of a mesh of two takes connections or datagrams."""
    mesh.serve("service-b", "b1", options=("--capture", mode))
    mesh.caller()
    pids = [pid for running in mesh.running for pid in (running.pid, *children(running.pid))]
    found = {address for pid in pids for address in _sockets(pid)}
    assert f"127.0.0.1 {mesh.json('status')['xds_port']}" in found, "this way of looking finds sockets"
    return found


def _sockets(pid: int) -> list[str]:
    """As /proc shows them to that process, in its own network namespace."""
    inodes = set()
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:  # it was one for a moment, such as the maker of keys
        return []
    for descriptor in descriptors:
        with suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = []
    for kind, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        table = Path(f"/proc/{pid}/net/{kind}")
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == state and fields[9] in inodes:
                found.append(_address(fields[1]))
    return found


def _address(text: str) -> str:
    """proc(5): words of 32 bits in the machine's order, and the port."""
    words, _, port = text.partition(":")
    raw = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return f"{socket.inet_ntop(family, raw).removeprefix('::ffff:')} {int(port, 16)}"


def test_nothing_listens_beyond_loopback(mesh: Mesh, mode: str) -> None:
    mesh.up()
    found = listening(mesh, mode)
    assert len(found) >= 4
    assert [address for address in found if not address.startswith(LOOPBACK)] == []


def test_what_is_told_to_listen_elsewhere_listens_there_and_nowhere_else(mesh: Mesh) -> None:
    (port,) = free_ports(1)
    mesh.up("--listen", f"127.0.0.2:{port}")  # a loopback too, so that the test opens nothing
    found = listening(mesh, "proxy")
    xds_port = mesh.json("status")["xds_port"]
    assert {address for address in found if not address.startswith(("127.0.0.1 ", "::1 "))} == {
        f"127.0.0.2 {port}",
        f"127.0.0.2 {xds_port}",
    }
