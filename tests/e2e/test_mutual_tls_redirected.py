"""Who connects to the program's own ports where the kernel leads that to its sidecar: each port as its policy says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from declaring import apply
from modes import skip_unless_possible
from puppets import Puppet
from running import Mesh, wait_for
from test_mutual_tls import peers
from wires import dialer, wired

_ANYBODY = 65534
_ASK = """
import encodings.idna, socket  # while it may still read them
def asked(port, text):
    with socket.create_connection(({address!r}, port), 10) as made:
        made.sendall(text.encode())
        said = made.makefile("rb")
        return (said.read() if "Connection: close" in text else said.readline()).decode()
def asked_or_not(port, text):
    try:
        return asked(port, text)
    except OSError:
        return ""
"""
_HTTP = "GET / HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    skip_unless_possible("redirect")
    with Mesh(tmp_path_factory.mktemp("m")) as mesh:
        mesh.up()
        wired(mesh, "several", "several", "80=http", "90/http=http", "5432/tcp=echo", options=("--capture", "redirect"))
        yield mesh


@pytest.fixture(scope="module")
def ports(mesh: Mesh) -> dict[int, int]:
    """Where the program listens, by the service's ports."""
    config = mesh.json("proxy", proxy_of(mesh), "config")
    clusters = {c["name"]: c["resource"] for c in config["clusters"] if c["name"].startswith("inbound|")}
    found = {}
    for name, cluster in clusters.items():
        (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        found[int(name.split("|")[1])] = int(endpoint["endpoint"]["address"]["socket_address"]["port_value"])
    return found


def proxy_of(mesh: Mesh) -> str:
    (found,) = (one["id"] for one in mesh.proxies() if one["service"] == "several")
    return str(found)


def by_another_user(port: int, text: str, address: str = "127.0.0.1") -> str:
    """What the program answers to a process of nobody's; "" if that is not let in."""
    become = f"import os\nos.setgid({_ANYBODY})\nos.setuid({_ANYBODY})\n"
    code = f"{_ASK.format(address=address)}{become}import sys\nsys.stdout.write(asked_or_not({port}, {text!r}))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_another_program(caller: Puppet, port: int, text: str) -> str:
    return str(caller.do(f"{_ASK.format(address='127.0.0.1')}\nresult = asked_or_not({port}, {text!r})"))


def test_each_port_takes_what_its_policy_says(mesh: Mesh, ports: dict[int, int]) -> None:
    caller = dialer(mesh, "redirect")
    assert by_another_user(ports[80], _HTTP) == by_another_program(caller, ports[80], _HTTP) == ""
    mixed: dict[str, Any] = {
        "selector": {"matchLabels": {"app": "several"}},
        "portLevelMtls": {str(ports[90]): {"mode": "STRICT"}},
    }
    for mode in ("PERMISSIVE", "DISABLE"):
        apply(mesh, peers(mode, "mixed", **mixed))
        wait_for("plain text to be taken", lambda: by_another_user(ports[80], _HTTP))
        for ask in (by_another_user, lambda *words: by_another_program(caller, *words)):
            assert ask(ports[80], _HTTP).endswith("several ")
            assert ask(ports[5432], "line\n") == "several line\n"
            assert ask(ports[5432], "GET / HTTP/1.1\n") == "several GET / HTTP/1.1\n"
            assert ask(ports[90], _HTTP) == ""
        assert caller.get("http://several:90/")[1].startswith("several")
        assert caller.do("result = ask('several', 5432, 'called')") == "several called"
    apply(mesh, peers("STRICT", "mixed"))
    wait_for("plain text to be refused", lambda: not by_another_user(ports[80], _HTTP))
