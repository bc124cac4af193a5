"""An attacker on another machine, who is root there and knows every address and port, but has no certificate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from declaring import apply
from machines import Machine, machines
from modes import why_not
from puppets import puppets
from running import Mesh, wait_for
from test_mutual_tls import peers
from test_other_machines import PLAIN, control_plane, token

# The mesh's TLS by all that is seen on the wire, without a certificate.
_TLS = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.set_alpn_protocols(["tulle", "http/1.1"])
try:
    plain = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
    connection = context.wrap_socket(plain, server_hostname="outbound_.80_._.web.default.svc.cluster.local")
    connection.sendall(b"GET / HTTP/1.1\\r\\nHost: web\\r\\n\\r\\n")
    print(connection.recv(100))
except OSError:
    print(b"")
"""
_NOTHING = "b''\n"


def answered(machine: Machine, code: str, address: str, port: int) -> bool:
    """Whether a program of that machine is answered at all."""
    done = subprocess.run(
        [*machine.prefix, sys.executable, "-c", code, address, str(port)], capture_output=True, text=True, check=False
    )
    assert done.stdout or "ConnectionRefusedError" in done.stderr, done.stderr
    return done.stdout not in ("", _NOTHING)


def test_a_connection_from_another_machine_to_a_programs_own_port(mesh: Mesh, tmp_path: Path) -> None:
    """Each program listens on all addresses, as careless ones do."""
    modes = [mode for mode in ("redirect", "seccomp", "netns", "none") if not why_not(mode)]
    with machines(tmp_path, 3) as (first, second, third):
        try:
            control_plane(mesh, first)
            second.does("ip", "route", "add", "default", "via", first.address)  # `redirect` wants to ask a nameserver
            env = {"TULLE_DATA": str(second.data), "TULLE_JOIN": token(mesh, "web", "--uses", str(len(modes)))}
            with mesh.behind(*second.prefix):
                programs = puppets(mesh, *(("web", "--capture", mode) for mode in modes), **env)
            ports = {}
            for mode, program in zip(modes, programs, strict=True):
                program.do(f"serve('0.0.0.0', int(os.environ['PORT']), {mode!r})")
                ports[mode] = program.port
            wait_for("all are healthy", lambda: mesh.healthy("web") == len(modes))

            def reached(code: str) -> list[str]:
                return [mode for mode in modes if answered(third, code, second.address, ports[mode])]

            assert reached(PLAIN) == ["none"], "where nothing is captured, only the program's own address protects it"
            assert reached(_TLS) == []
            doors = [each["inbound_port"] for each in mesh.proxies()]
            for code in (PLAIN, _TLS):
                assert not any(answered(third, code, second.address, door) for door in doors)

            # A port that may be called in plain text is that through its sidecar, also where the kernel leads there.
            apply(mesh, peers("PERMISSIVE"))
            wait_for("the door is open", lambda: all(answered(third, PLAIN, second.address, door) for door in doors))
            assert reached(PLAIN) == [mode for mode in modes if mode in ("redirect", "none")]
        finally:
            mesh.close()
