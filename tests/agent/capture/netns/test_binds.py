"""What a program listens on in its namespace: reached from outside, by itself, and beside others on the same port."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest

SERVER = """
import http.server, socketserver
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("", 8080), Answer)
"""


async def got(port: int, host: str = "127.0.0.1") -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        return (await reader.read()).rpartition(b"\r\n\r\n")[2].decode()
    finally:
        writer.close()


async def outside(isolated: Any, inside: int, until: Any) -> int:
    """Where the port is outside, once it is."""
    await until(lambda: inside in dict(isolated.moved))
    return int(dict(isolated.moved)[inside])


async def test_two_programs_listen_on_the_same_port(isolate: Any, until: Any) -> None:
    serve = SERVER + "server.serve_forever()"
    async with (
        isolate("a-000001") as one,
        isolate("b-000002") as two,
        one.program(serve, "ONE"),
        two.program(serve, "TWO"),
    ):
        ports = [await outside(isolated, 8080, until) for isolated in (one, two)]
        assert len(set(ports)) == 2
        await until(lambda: listens(ports[0]) and listens(ports[1]))
        assert [await got(port) for port in ports] == ["ONE", "TWO"]


async def test_the_program_calls_itself_by_its_own_localhost(isolate: Any, until: Any) -> None:
    code = (
        SERVER
        + """
import threading
threading.Thread(target=server.serve_forever, daemon=True).start()
say(ask("127.0.0.1", 8080))
os._exit(0)
"""
    )
    async with isolate() as isolated:
        assert await isolated.run(code, "SELF") == "SELF\n"
        assert len(isolated.moved) == 1


async def test_much_passes_both_ways_in_a_call_to_itself(isolate: Any) -> None:
    code = """
import hashlib, threading
listening = socket.create_server(("127.0.0.1", 5000))
def echo():
    call, _ = listening.accept()
    while part := call.recv(65536): call.sendall(part)
    call.shutdown(socket.SHUT_WR)
threading.Thread(target=echo, daemon=True).start()
sent = os.urandom(1 << 20) * 8
call = socket.create_connection(("127.0.0.1", 5000))
def write():
    call.sendall(sent)
    call.shutdown(socket.SHUT_WR)
threading.Thread(target=write, daemon=True).start()
got = hashlib.sha256()
while part := call.recv(65536): got.update(part)
say(got.digest() == hashlib.sha256(sent).digest())
"""
    async with isolate() as isolated:
        assert await isolated.run(code) == "True\n"


async def test_a_port_keeps_its_place_when_the_program_binds_it_again(isolate: Any) -> None:
    code = """
for n in range(50):
    with socket.create_server(("127.0.0.1", 8080)) as server:
        with socket.create_connection(("127.0.0.1", 8080)) as call, server.accept()[0] as taken:
            taken.sendall(b"hello")
            assert call.recv(5) == b"hello"
say("fine", len(os.listdir("/proc/self/fd")) < 20)
"""
    async with isolate() as isolated:
        before = len(os.listdir("/proc/self/fd"))
        assert await isolated.run(code) == "fine True\n"
        assert len(isolated.moved) == 1
        assert len(os.listdir("/proc/self/fd")) <= before + 1  # the one inside


async def test_a_port_keeps_its_place_over_the_programs_lives(isolate: Any, until: Any) -> None:
    code = 'server = socket.create_server(("", 8080)); say(server.getsockname()[1], ask("10.1.2.3", 7))'
    async with isolate() as isolated, isolated.program(code) as program:
        assert await program.ended() == 0
        await program.restart()
        assert await program.ended() == 0
        [(_, port)] = isolated.moved
        assert isolated.said == f"{port} 10.1.2.3 7\n" * 2


async def test_a_taken_port_is_taken(isolate: Any) -> None:
    code = """
import errno
first = socket.create_server(("", 8080))
for address in ("0.0.0.0", "127.0.0.1"):
    try:
        socket.create_server((address, 8080))
        say("bound")
    except OSError as error:
        say(errno.errorcode[error.errno])
try:
    first.bind(("", 8081))
except OSError as error:
    say(errno.errorcode[error.errno])
"""
    async with isolate() as isolated:
        assert await isolated.run(code) == "EADDRINUSE\nEADDRINUSE\nEINVAL\n"


async def test_workers_share_a_port_with_reuseport(isolate: Any, until: Any) -> None:
    code = """
servers = [socket.create_server(("", 8080), reuse_port=True) for _ in range(4)]
if os.fork() == 0:
    servers.append(socket.create_server(("", 8080), reuse_port=True))
    time.sleep(600)
say("up")
time.sleep(600)
"""
    async with isolate() as isolated:
        async with isolated.program(code):
            await until(lambda: isolated.said)
        assert len(isolated.moved) == 1


async def test_workers_inherit_a_socket_that_their_parent_has_bound(isolate: Any, until: Any) -> None:
    """As uvicorn does: bound in the parent, listened on in each child."""
    code = """
bound = socket.socket()
bound.bind(("0.0.0.0", 8080))
for n in range(2):
    if os.fork() == 0:
        bound.listen()
        while True:
            call, _ = bound.accept()
            call.recv(999)
            call.sendall(b"\\r\\n\\r\\n" + str(os.getpid()).encode())
            call.close()
os.wait()
"""
    async with isolate() as isolated, isolated.program(code):
        port = await outside(isolated, 8080, until)
        await until(lambda: listens(port))
        assert int(await got(port))


async def test_both_families_are_moved(isolate: Any, until: Any) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("there is no IPv6 here")
    code = """
import selectors
servers = []
for host, only in (("::1", 1), ("0.0.0.0", 0), ("::", 0)):
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if ":" in host: server.setsockopt(41, 26, only)
    server.bind((host, 8080 if only or ":" not in host else 8081))
    server.listen()
    servers.append(server)
say([server.getsockname()[0] for server in servers])
def answer(server):
    call, _ = server.accept()
    call.recv(999)
    call.sendall(b"\\r\\n\\r\\n" + server.getsockname()[0].encode())
    call.close()
import threading
for n in range(5): threading.Thread(target=lambda: [answer(s) for s in servers]).start()
for host, port in (("::1", 8080), ("127.0.0.1", 8080), ("::1", 8081)): say(ask(host, port))
say("asked")
"""
    async with isolate() as isolated, isolated.program(code):
        await until(lambda: "asked" in isolated.said)
        assert isolated.said.splitlines()[:4] == [
            "['::1', '127.0.0.1', '::ffff:127.0.0.1']",
            *("::1", "127.0.0.1", "::ffff:127.0.0.1"),
        ]
        ports = dict(isolated.moved)
        assert set(ports) == {8080, 8081}
        assert await got(ports[8080], "::1") == "::1"
        assert await got(ports[8080]) == "127.0.0.1"
        assert await got(ports[8081]) == "::ffff:127.0.0.1"


async def test_a_moved_socket_is_as_it_was_made(isolate: Any) -> None:
    code = """
import fcntl
options = {
    "REUSEADDR": (1, 2, 1), "REUSEPORT": (1, 15, 1), "KEEPALIVE": (1, 9, 1), "OOBINLINE": (1, 10, 1), "PRIORITY": (1, 12, 3),
    "RCVLOWAT": (1, 18, 7), "NODELAY": (6, 1, 1), "MAXSEG": (6, 2, 1000), "KEEPIDLE": (6, 4, 33), "KEEPINTVL": (6, 5, 11),
    "KEEPCNT": (6, 6, 4), "SYNCNT": (6, 7, 3), "LINGER2": (6, 8, 9), "DEFER_ACCEPT": (6, 9, 7), "QUICKACK": (6, 12, 0),
    "USER_TIMEOUT": (6, 18, 4321), "FASTOPEN": (6, 23, 5), "NOTSENT_LOWAT": (6, 25, 16384), "SAVE_SYN": (6, 27, 1),
    "TOS": (0, 1, 16), "TTL": (0, 2, 9), "FREEBIND": (0, 15, 1), "RCVBUF": (1, 8, 50000), "SNDBUF": (1, 7, 60000),
}
plain, made = socket.socket(), socket.socket()
made.setblocking(False)
os.set_inheritable(made.fileno(), True)
for level, name, value in options.values(): made.setsockopt(level, name, value)
made.setsockopt(1, 13, b"\\1\\0\\0\\0\\5\\0\\0\\0")
made.setsockopt(1, 20, (3).to_bytes(8, "little") + bytes(8))
before = {name: made.getsockopt(level, option) for name, (level, option, _) in options.items()}
unset = {name: plain.getsockopt(level, option) for name, (level, option, _) in options.items()}
assert all(unset[name] != before[name] for name in options), [n for n in options if unset[n] == before[n]]
number, cookie = made.fileno(), made.getsockopt(1, 57, 8)
made.bind(("127.0.0.1", 8080))
assert made.getsockopt(1, 57, 8) != cookie and made.fileno() == number
after = {name: made.getsockopt(level, option) for name, (level, option, _) in options.items()}
assert after == before, {name: (before[name], after[name]) for name in options if before[name] != after[name]}
assert made.getsockopt(1, 13, 8) == b"\\1\\0\\0\\0\\5\\0\\0\\0", made.getsockopt(1, 13, 8)
assert made.getsockopt(1, 20, 16)[:1] == b"\\3", made.getsockopt(1, 20, 16)
assert (os.get_blocking(number), os.get_inheritable(number)) == (False, True), os.get_inheritable(number)
plain.bind(("127.0.0.1", 8081))
assert os.get_blocking(plain.fileno()) and not os.get_inheritable(plain.fileno())
assert plain.getsockopt(1, 8) == socket.socket().getsockopt(1, 8)
six = socket.socket(socket.AF_INET6)
for level, option, value in ((41, 26, 1), (41, 67, 8), (41, 16, 9)): six.setsockopt(level, option, value)
six.bind(("::", 8082))
assert [six.getsockopt(41, option) for option in (26, 67, 16)] == [1, 8, 9]
say("fine")
"""
    if not socket.has_dualstack_ipv6():
        code = code.partition("six = ")[0] + 'say("fine")'
    async with isolate() as isolated:
        assert await isolated.run(code) == "fine\n"


async def test_what_a_sandbox_of_the_program_binds_stays_in_it(isolate: Any) -> None:
    code = """
import ctypes
new_network, new_user = 0x40000000, 0x10000000
if ctypes.CDLL(None).unshare(new_network) != 0: assert ctypes.CDLL(None).unshare(new_user | new_network) == 0
say(socket.create_server(("", 8080)).getsockname()[1])
"""
    async with isolate() as isolated:
        assert await isolated.run(code) == "8080\n"
        assert not isolated.moved


async def test_a_privileged_port_needs_no_privilege(isolate: Any) -> None:
    async with isolate() as isolated:
        assert await isolated.run('socket.create_server(("", 80)); say("bound")') == "bound\n"
        assert isolated.moved[0][0] == 80


async def test_a_call_to_itself_is_reset_when_the_program_does_not_listen_any_more(isolate: Any) -> None:
    code = """
socket.create_server(("127.0.0.1", 8080)).close()
try:
    say(ask("127.0.0.1", 8080) or "nothing")
except OSError as error:
    say(type(error).__name__)
"""
    async with isolate() as isolated:
        assert await isolated.run(code) in ("ConnectionResetError\n", "BrokenPipeError\n")


async def test_a_program_that_binds_a_hundred_ports(isolate: Any) -> None:
    code = """
servers = [socket.create_server(("", port)) for port in range(20000, 20100)]
say(len({server.getsockname()[1] for server in servers}))
"""
    async with isolate() as isolated:
        assert await isolated.run(code) == "100\n"
        assert len(set(isolated.moved)) == 100


async def test_threads_bind_at_once_and_signals_do_not_disturb(isolate: Any) -> None:
    code = """
import signal, threading
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)  # a bind that nobody looks at is never interrupted, so nobody repeats it
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
bound = []
def bind(first):
    for port in range(first, first + 20):
        bound.append(socket.create_server(("", port)))
threads = [threading.Thread(target=bind, args=(20000 + 20 * n,)) for n in range(5)]
for thread in threads: thread.start()
bind(20100)
for thread in threads: thread.join()
signal.setitimer(signal.ITIMER_REAL, 0)
say(len(bound))
"""
    async with isolate() as isolated:
        assert await isolated.run(code) == "120\n"


def listens(port: int) -> bool:
    with socket.socket() as call:
        return call.connect_ex(("127.0.0.1", port)) == 0
