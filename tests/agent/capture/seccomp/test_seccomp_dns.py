"""Questions to the machine's resolvers reach the agent's DNS server; other servers are left alone."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

Ground = Any
NAME = "service-b.tulle.internal"
VIP = "127.64.0.1"
NOWHERE = "127.1.2.53"  # of the plan, in conftest.py
QUESTION = "b'\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\x09service-b\\5tulle\\x08internal\\0\\0\\1\\0\\1'"


@pytest.mark.parametrize(("options", "by"), [("", "udp"), ("use-vc", "tcp")])
def test_the_libc_resolves_names_of_the_mesh_and_the_call_goes_there(ground: Ground, options: str, by: str) -> None:
    ran = ground.python(
        f"""
        import socket
        print(socket.gethostbyname("{NAME}."))
        s = socket.create_connection(("{NAME}.", 80)); print(s.makefile().readline())
        try: socket.getaddrinfo("nothing.tulle.internal.", 80)
        except socket.gaierror as error: print(error.errno == socket.EAI_NONAME)
        """,
        environment={"RES_OPTIONS": options},
    )
    assert ran.words == [VIP, f"{VIP}:80", "True"]
    assert {(NAME, by), ("nothing.tulle.internal", by)} == set(ground.resolver.asked)


@pytest.mark.parametrize("options", ["", "use-vc"])
def test_the_canary_goes_the_programs_way_before_the_program_does(ground: Ground, options: str) -> None:
    ground.door.page = b"HTTP/1.1 200 OK\r\n\r\np"
    with ground.start("/bin/true", environment={"RES_OPTIONS": options}, first="canary 20") as captured:
        assert captured.hear("canary") == "canary ok"
        assert ground.door.calls == [("127.127.255.254", 80)]
        captured.say("start")
        assert captured.hear("exited") == "exited 0"


@pytest.mark.skipif(not shutil.which("node"), reason="no node here")
def test_c_ares_asks_by_tcp_and_takes_the_answer(ground: Ground) -> None:
    ran = ground.run(
        *(shutil.which("node"), "-e"),
        f"require('dns').resolve4('{NAME}', (error, found) => console.log(error ? error.code : found[0]))",
        environment={"RES_OPTIONS": "use-vc"},
    )
    assert ran.words == [VIP]


def test_any_resolver_of_the_machine_is_answered_for_by_udp_tcp_and_on_ipv6_sockets(ground: Ground) -> None:
    ground.resolv_conf.write_text(ground.resolv_conf.read_text() + "nameserver fd00:db8::53%eth0\n")
    ran = ground.python(f"""
        import socket
        question = {QUESTION}
        by_ipv6 = ((10, "::ffff:{NOWHERE}"), (10, "fd00:db8::53")) if socket.has_dualstack_ipv6() else ()
        for family, host in ((2, "{NOWHERE}"), *by_ipv6):
            u = socket.socket(family, socket.SOCK_DGRAM); u.connect((host, 53))
            u.send(question); print(u.recv(512)[-4:].hex())
            t = socket.socket(family); t.settimeout(5); t.connect((host, 53))
            t.sendall(len(question).to_bytes(2, "big") + question); print(t.recv(512)[-4:].hex())
    """)
    assert ran.words == ["7f400001"] * (6 if socket.has_dualstack_ipv6() else 2)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_a_socket_of_ipv6_only_is_answered_on_the_loopback_of_ipv6(ground: Ground) -> None:
    other = ground.resolver.like("::1")
    try:
        ground.plan["nameservers"] = ["fd00:db8::53"]
        ran = ground.python(f"""
            import socket
            u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            u.connect(("fd00:db8::53", 53)); u.send({QUESTION}); print(u.recvfrom(512)[1][0])
        """)
    finally:
        other.close()
    assert ran.words == ["::1"]


def test_a_resolver_that_is_named_later_is_answered_for_and_the_old_ones_as_well(ground: Ground) -> None:
    ran = ground.python(f"""
        import socket, time
        question = {QUESTION}
        def asks(host):
            u = socket.socket(type=socket.SOCK_DGRAM); u.settimeout(0.1); u.connect((host, 53))
            try: u.send(question); return u.recv(512)[-4:].hex()
            except OSError: return "none"
        print(asks("127.1.2.54"))
        with open("{ground.resolv_conf}", "w") as file: file.write("# new\\nnameserver 127.1.2.54\\n")
        while asks("127.1.2.54") == "none": time.sleep(0.1)
        print(asks("127.1.2.54"), asks("{NOWHERE}"))
    """)
    assert ran.words == ["none", "7f400001", "7f400001"]


def test_other_servers_and_unconnected_sockets_are_left_alone(ground: Ground) -> None:
    """Who sends without connecting compares the sender of the answer, so ours would be of no use."""
    ran = ground.python(f"""
        import socket
        u = socket.socket(type=socket.SOCK_DGRAM); u.connect(("198.51.100.7", 53)); print(u.getpeername())
        u = socket.socket(type=socket.SOCK_DGRAM); u.connect(("{NOWHERE}", 5353)); print(u.getpeername())
        u = socket.socket(type=socket.SOCK_DGRAM); u.sendto({QUESTION}, ("{NOWHERE}", 53)); print(u.getsockname())
    """)
    assert ran.out.splitlines()[:2] == ["('198.51.100.7', 53)", f"('{NOWHERE}', 5353)"]
    assert ground.resolver.asked == []


def test_a_local_resolver_is_answered_for_from_its_own_address(ground: Ground) -> None:
    own = ground.resolver.like("127.0.0.53")
    try:
        ground.plan.update(nameservers=["127.0.0.53"], answers_at=["127.0.0.53"])
        ran = ground.python(f"""
            import socket
            u = socket.socket(type=socket.SOCK_DGRAM); u.connect(("127.0.0.53", 53))
            u.send({QUESTION}); print(u.recvfrom(512)[1][0])
        """)
    finally:
        own.close()
    assert ran.words == ["127.0.0.53"]


def test_the_sockets_of_name_services_that_we_do_not_see_are_refused(ground: Ground, tmp_path: Path) -> None:
    cache, other = tmp_path / "nscd", tmp_path / "other"
    ground.plan["refused_sockets"] = [str(cache)]
    servers = []
    for path in (cache, other):
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        servers.append(server)
    try:
        ran = ground.python(f"""
            import socket
            for path in ("{cache}", "{other}", "\\0" + "{cache}"):
                print(socket.socket(socket.AF_UNIX).connect_ex(path))
        """)
    finally:
        for server in servers:
            server.close()
    assert ran.words == ["111", "0", "111"]  # the last is an abstract one that nobody has
