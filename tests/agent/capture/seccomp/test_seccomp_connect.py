"""Calls to mesh addresses: every kind of socket reaches the door, behind a header that tells where it wanted to go."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

Ground = Any
VIP_80 = ("127.64.0.1", 80)

_IFF_UP = 1
_STATIC_C = """
#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
    inet_pton(AF_INET, "127.64.0.1", &to.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (void *)&to, sizeof to)) { perror("connect"); return 1; }
    char line[100] = {0};
    if (read(s, line, 99) < 0) return 2;
    printf("%s", line);
    return 0;
}
"""


def test_a_blocking_socket_reaches_the_door_and_stays_blocking(ground: Ground) -> None:
    ran = ground.python("""
        import os, socket
        s = socket.socket()
        s.connect(("127.64.0.1", 80))
        f = s.makefile("rw")
        print(f.readline().strip(), os.get_blocking(s.fileno()))
        f.write("hello\\n"); f.flush(); print(f.readline().strip())
    """)
    assert ran.words == ["127.64.0.1:80", "True", "hello"]
    assert ground.door.calls == [VIP_80]
    assert ground.door.sources == {("127.1.2.3", 4567)}, "by which the door knows that it is no stranger's"


def test_a_socket_that_does_not_block_stays_so_and_asyncio_works(ground: Ground) -> None:
    ran = ground.python("""
        import asyncio, os, socket
        s = socket.socket(); s.setblocking(False)
        print(s.connect_ex(("127.64.0.1", 80)), os.get_blocking(s.fileno()))

        async def call(port):
            reader, writer = await asyncio.open_connection("127.95.1.2", port)
            line = await reader.readline()
            writer.close()
            return line.decode().strip()

        async def main():
            print(*await asyncio.gather(*(call(port) for port in (80, 5432, 65535))))
        asyncio.run(main())
    """)
    assert ran.words == ["0", "False", "127.95.1.2:80", "127.95.1.2:5432", "127.95.1.2:65535"]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_an_ipv6_socket_with_a_mapped_address_is_a_call_to_the_vip(ground: Ground) -> None:
    ran = ground.python("""
        import socket
        s = socket.socket(socket.AF_INET6)
        s.connect(("::ffff:127.64.0.1", 8080))
        print(s.makefile().readline())
        only = socket.socket(socket.AF_INET6)
        only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        print(only.connect_ex(("::ffff:127.64.0.1", 8080)))
    """)
    assert ran.words == ["127.64.0.1:8080", "101"]  # ENETUNREACH, as the kernel says of any mapped address


def test_the_borders_of_the_range_are_kept(ground: Ground) -> None:
    ran = ground.python("""
        import socket
        for host in ("127.63.255.255", "127.64.0.0", "127.127.255.255", "127.128.0.0"):
            print(socket.socket().connect_ex((host, 9)))
    """)
    assert ran.words == ["111", "0", "0", "111"]


def test_a_socket_that_is_connected_already_says_so(ground: Ground) -> None:
    ran = ground.python("""
        import socket
        for blocking in (True, False):
            s = socket.socket(); s.setblocking(blocking)
            print(s.connect_ex(("127.64.0.1", 80)), s.connect_ex(("127.64.0.1", 80)), s.connect_ex(("127.64.0.2", 80)))
            s.setblocking(True)
            print(s.makefile().readline())
    """)
    assert ran.words == ["0", "106", "106", "127.64.0.1:80"] * 2  # EISCONN
    assert ground.door.calls == [VIP_80] * 2


def test_what_is_no_tcp_socket_is_refused_or_told_what_it_is(ground: Ground) -> None:
    ran = ground.python("""
        import ctypes, os, socket
        print(socket.socket(type=socket.SOCK_DGRAM).connect_ex(("127.64.0.1", 80)))
        libc = ctypes.CDLL(None, use_errno=True)
        vip = b"\\2\\0\\0\\x50\\x7f\\x40\\0\\1" + bytes(8)
        s = socket.socket()
        for descriptor, address, size in ((999, vip, 16), (s.fileno(), ctypes.c_void_p(8), 16),
                                          (s.fileno(), None, 16), (s.fileno(), vip, 3)):
            print(libc.connect(descriptor, address, size), ctypes.get_errno())
    """)
    # ECONNREFUSED, EBADF, EFAULT twice, EINVAL
    assert ran.words == ["111", "-1", "9", "-1", "14", "-1", "14", "-1", "22"]
    assert ground.door.calls == []


def test_destinations_outside_the_mesh_are_untouched(ground: Ground) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ran = ground.python(f"""
            import socket
            s = socket.create_connection(("127.0.0.1", {server.getsockname()[1]}))
            print(s.getpeername()[1])
            u = socket.socket(type=socket.SOCK_DGRAM); u.connect(("127.0.0.1", 9)); print(u.getpeername()[1])
            a, b = socket.socketpair(); a.send(b"x"); print(b.recv(1).decode())
        """)
        assert ran.words == [str(server.getsockname()[1]), "9", "x"]
        connection, _ = server.accept()
        with connection:
            assert connection.recv(10) == b"", "no header"
    assert ground.door.calls == []


def test_fast_open_by_either_way_carries_the_header_first(ground: Ground) -> None:
    ran = ground.python("""
        import socket
        s = socket.socket()
        print(s.sendto(b"early\\n", socket.MSG_FASTOPEN, ("127.64.0.1", 80)))
        f = s.makefile(); print(f.readline(), f.readline())
        for cookie_free in (0, 1):
            s = socket.socket()
            s.setsockopt(socket.IPPROTO_TCP, 30, 1)  # TCP_FASTOPEN_CONNECT
            s.setsockopt(socket.IPPROTO_TCP, 34, cookie_free)  # TCP_FASTOPEN_NO_COOKIE
            s.connect(("127.64.0.2", 81))
            s.sendall(b"later\\n")
            f = s.makefile(); print(f.readline(), f.readline())
    """)
    assert ran.words == ["6", "127.64.0.1:80", "early", *(["127.64.0.2:81", "later"] * 2)]


def test_a_bound_source_or_device_that_cannot_reach_loopback_is_a_clear_error(ground: Ground, device: str) -> None:
    ran = ground.python(f"""
        import socket
        s = socket.socket(); s.bind(("127.0.0.1", 0)); s.connect(("127.64.0.1", 80)); print(s.makefile().readline())
        s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\\0")
        print(s.connect_ex(("127.64.0.1", 80)))
        s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"{device}\\0")
        print(s.connect_ex(("127.64.0.1", 80)))
        if socket.has_dualstack_ipv6():
            s = socket.socket(socket.AF_INET6); s.bind(("::1", 0)); print(s.connect_ex(("::ffff:127.64.0.1", 80)))
    """)
    by_ipv6 = ["101"] if socket.has_dualstack_ipv6() else []
    assert ran.words == ["127.64.0.1:80", "0", "101", *by_ipv6]  # ENETUNREACH


def test_threads_forks_and_execs_are_all_captured(ground: Ground) -> None:
    ran = ground.python("""
        import os, socket, subprocess, sys, threading
        def call(port):
            s = socket.create_connection(("127.64.0.1", port)); os.write(1, s.recv(100))  # in one write
        threads = [threading.Thread(target=call, args=(1000 + i,)) for i in range(10)]
        for t in threads: t.start()
        for t in threads: t.join()
        if os.fork() == 0:
            call(2000)
            os.execv(sys.executable, [sys.executable, "-c",
                "import socket; s = socket.create_connection(('127.64.0.1', 3000)); print(s.makefile().readline())"])
        os.wait()
    """)
    ports = sorted(int(word.split(":")[1]) for word in ran.words)
    assert ports == [*range(1000, 1010), 2000, 3000]


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")
def test_curl_is_captured(ground: Ground) -> None:
    ran = ground.run(shutil.which("curl"), "--http0.9", "-sS", "-m", "1", "http://127.64.0.1:8080/data")
    assert ran.out.startswith("127.64.0.1:8080\nGET /data")


@pytest.mark.skipif(not shutil.which("node"), reason="no node here")
def test_node_is_captured(ground: Ground) -> None:
    ran = ground.run(
        shutil.which("node"),
        "-e",
        "const s = require('net').connect(80, '127.64.0.1'); s.once('data', d => { console.log(String(d)); s.end(); })",
    )
    assert ran.out.startswith("127.64.0.1:80"), ran.err


@pytest.mark.skipif(not shutil.which("gcc"), reason="no compiler here")
def test_a_static_binary_is_captured(ground: Ground, tmp_path: Path) -> None:
    source, binary = tmp_path / "call.c", tmp_path / "call"
    source.write_text(_STATIC_C)
    nothing = tmp_path / "nothing.c"
    nothing.write_text("int main(void) { return 0; }\n")
    if subprocess.run(["gcc", "-static", "-o", tmp_path / "nothing", nothing], capture_output=True).returncode:
        pytest.skip("no static libc here")
    subprocess.run(["gcc", "-static", "-o", binary, source], check=True)
    assert ground.run(str(binary)).out == "127.64.0.1:80\n"


@pytest.fixture
def device() -> str:
    """A network device that is up and not loopback."""
    for _, name in socket.if_nameindex():
        flags = Path(f"/sys/class/net/{name}/flags")  # many a virtual device's operstate is "unknown"
        if name != "lo" and flags.exists() and int(flags.read_text(), 16) & _IFF_UP:
            return name
    pytest.skip("no network device here")


def test_io_uring_and_x32_are_no_way_round(ground: Ground) -> None:
    ran = ground.python("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.syscall(425, 1, 0), ctypes.get_errno())
        print(libc.syscall(0x40000000 + 42, 0, 0, 0), ctypes.get_errno())
    """)
    assert ran.words == ["-1", "38", "-1", "38"]  # ENOSYS
