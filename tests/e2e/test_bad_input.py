"""Bad input: a clear error that names the fix, and nothing else changes."""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
from pathlib import Path

import pytest

from running import Mesh, wait_for

PYTHON = sys.executable


@pytest.mark.parametrize("name", ["Service_B", "b-", "b.c", "", "x" * 64, "größe"])
def test_a_name_that_is_no_dns_label_is_refused(mesh: Mesh, name: str) -> None:
    done = mesh.tulle("run", name, "--", PYTHON, "-c", "pass")
    assert done.returncode == 2
    assert "label" in done.stderr
    assert not mesh.data.exists()


def test_a_program_that_does_not_exist(mesh: Mesh) -> None:
    mesh.up()
    running = mesh.run("service-b", "no-such-program")
    assert running.wait() == 127
    assert "no-such-program" in running.output
    assert not mesh.proxies()


def test_a_program_that_ends_at_once_passes_its_exit_code_on(mesh: Mesh) -> None:
    mesh.up()
    running = mesh.run("service-b", PYTHON, "-c", "raise SystemExit(7)")
    assert running.wait() == 7
    assert not mesh.proxies()
    assert not list((mesh.data / "proxies").iterdir())


def test_a_program_that_never_listens_is_told_where_it_should(mesh: Mesh) -> None:
    mesh.up()
    running = mesh.run("service-b", "sleeper.py", options=("--port", "8080:18080"))
    wait_for("it is said", lambda: "18080" in running.output.partition("starting the program")[2])
    assert mesh.healthy("service-b") == 0


def test_a_wrong_secret(mesh: Mesh) -> None:
    mesh.up()
    (mesh.data / "secret").write_text("0" * 64 + "\n")
    running = mesh.run("service-b", "sleeper.py")
    assert running.wait() == 125
    assert "secret" in running.output
    refused = mesh.tulle("status")
    assert refused.returncode != 0
    assert "secret" in refused.stderr


def test_a_control_plane_that_is_not_there_is_waited_for(mesh: Mesh) -> None:
    running = mesh.run("service-b", "server.py", "b1")
    wait_for("it says how to start one", lambda: "tulle up" in running.output)
    status = mesh.tulle("status")
    assert status.returncode == 3
    assert "tulle up" in status.stderr
    mesh.up()
    wait_for("it goes on", lambda: mesh.healthy("service-b") == 1)


def test_a_taken_port_is_named(mesh: Mesh) -> None:
    mesh.up()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        running = mesh.run("service-b", "server.py", options=("--capture", "proxy", "--port", f"80:{port}"))
        assert running.wait() == 125
        assert f"port {port} is taken" in running.output
        other = Mesh(mesh.folder)
        other.env["TULLE_DATA"] = str(mesh.folder / "other")
        up = other.start("other", "up", "--xds-port", str(port))
        assert up.wait() == 1
        assert f"port {port}" in up.output
        assert "taken" in up.output


def test_a_second_control_plane_on_the_same_state_is_refused(mesh: Mesh) -> None:
    first = mesh.up()
    second = mesh.up(wait=False)
    assert second.wait() == 1
    assert f"process {first.pid}" in second.output
    assert mesh.json("status")["pid"] == first.pid


def test_a_state_folder_that_cannot_be_made(mesh: Mesh) -> None:
    blocking = mesh.folder / "file"
    blocking.write_text("")
    mesh.env["TULLE_DATA"] = str(blocking / "state")
    up = mesh.up(wait=False)
    assert up.wait() == 1
    assert "--data" in up.output


def test_a_corrupt_store_is_named_and_left_as_it_is(mesh: Mesh) -> None:
    mesh.up().stop()
    garbage = random.Random(1).randbytes(20_000)
    (mesh.data / "store.db").write_bytes(garbage)
    for aside in mesh.data.glob("store.db-*"):
        aside.unlink()
    up = mesh.up(wait=False)
    assert up.wait() == 1
    assert "store.db" in up.output
    assert "Traceback" not in up.output
    assert (mesh.data / "store.db").read_bytes() == garbage


def test_no_envoy_or_one_that_is_none(mesh: Mesh) -> None:
    mesh.env["TULLE_ENVOY"] = "/nonexistent/envoy"
    up = mesh.up(wait=False)
    assert up.wait() == 1
    assert "/nonexistent/envoy" in up.output
    fake = mesh.folder / "envoy"
    fake.write_text("#!/bin/sh\necho envoy  version: abc/1.29.0/Clean/RELEASE/BoringSSL\n")
    fake.chmod(0o755)
    mesh.env["TULLE_ENVOY"] = str(fake)
    old = mesh.up(wait=False)
    assert old.wait() == 1
    assert "1.29.0" in old.output
    assert "1.40" in old.output
    assert "Traceback" not in old.output


def test_garbage_to_every_listening_port_changes_nothing(mesh: Mesh) -> None:
    mesh.up()
    mesh.serve("service-b", "b1")
    caller = mesh.caller()
    proxies = mesh.proxies()
    ports = {mesh.json("status")["xds_port"], *(p["outbound_port"] for p in proxies)}
    ports |= {p["inbound_port"] for p in proxies if p["service"] == "service-b"}
    noise = random.Random(5)
    http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise.randbytes(300)
    texts = [
        noise.randbytes(4000),
        b"\x16\x03\x01" + noise.randbytes(500),
        b"GET / HTTP/1.1\r\n" + b"a" * 100_000,
        b"\0" * 10_000,
        http2,
    ]
    for text in texts:
        for port in sorted(ports):
            _throw(socket.AF_INET, ("127.0.0.1", port), text)
        folder = os.open(mesh.data, os.O_RDONLY)
        _throw(socket.AF_UNIX, f"/proc/self/fd/{folder}/api.sock", text)
        os.close(folder)
    assert caller.call("http://service-b/data").status == 200
    assert all(r.process.poll() is None for r in mesh.running)
    assert all(p["in_sync"] for p in mesh.proxies())
    assert "Traceback" not in "".join(r.output for r in mesh.running)


def _throw(family: socket.AddressFamily, address: object, text: bytes) -> None:
    with socket.socket(family) as connection:
        connection.settimeout(5)
        try:
            connection.connect(address)  # type: ignore[arg-type]
            connection.sendall(text)
            connection.recv(1000)
        except OSError:
            pass  # it may end the connection as it likes


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small filesystem")
def test_a_full_disk_is_said_and_survived(mesh: Mesh) -> None:
    disk = mesh.folder / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=3m tmpfs {disk}") != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        mesh.data = disk / "state"
        mesh.env["TULLE_DATA"] = str(mesh.data)
        mesh.up()
        mesh.serve("service-b", "b1")
        caller = mesh.caller()
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        assert caller.call("http://service-b/data").status == 200
        refused = mesh.run("service-c", "server.py", "c1")
        wait_for("it says that there is no space", lambda: "space" in refused.output or "full" in refused.output)
        ballast.unlink()
        mesh.serve("service-d", "d1")
        assert caller.call("http://service-b/data").status == 200
        assert "none are kept: " in mesh.tulle("status").stdout  # traces give way to that
    finally:
        mesh.close()
        os.system(f"umount {disk}")
        shutil.rmtree(disk, ignore_errors=True)


def test_a_folder_with_a_long_path_works(mesh: Mesh) -> None:
    mesh.data = Path(mesh.folder, *["a-folder-with-quite-a-long-name"] * 6)
    mesh.env["TULLE_DATA"] = str(mesh.data)
    mesh.up()
    mesh.serve("service-b", "b1")
    assert mesh.caller().call("http://service-b/data").status == 200
