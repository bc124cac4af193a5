"""The canary tells the whole way apart, from the libc's resolver to the sidecar that answers, and never hangs.

The way is made by a launch hook of the test: a network namespace in which the canary's address is served, and a mount
namespace with an /etc/hosts of our own.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tulle.agent import program as program_module
from tulle.agent.folder import agent_folder
from tulle.agent.program import under_reaper
from tulle.model.addresses import CANARY_HOST, CANARY_VIP

SOURCES = str(Path(__file__).parents[3] / "src")
PROXY = "service-b-00c0de"

NAMESPACES = """
import ctypes, fcntl, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)

def enter(hosts):
    NEWNS, NEWUSER, NEWNET, BIND, REC, PRIVATE = 0x20000, 0x10000000, 0x40000000, 4096, 16384, 1 << 18
    def check(result):
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    check(libc.unshare(NEWNS | NEWUSER | NEWNET))
    check(libc.mount(None, b"/", None, REC | PRIVATE, None))
    if hosts:
        check(libc.mount(hosts.encode(), b"/etc/hosts", None, BIND, None))
    with socket.socket() as device:
        fcntl.ioctl(device, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
"""

REAPER = f"""
import sys
sys.path.append({SOURCES!r})
from tulle.agent import reaper
from tulle.agent.capture import launch
from tulle.agent.descendants import die_with_parent
{NAMESPACES}

class Mode(launch.Launch):
    def __init__(self, plan, tell):
        self.plan = plan
    def in_child(self):
        if self.plan.get("hangs"):
            import time
            time.sleep(600)
        enter(self.plan["hosts"])
        if self.plan["answer"] is None:
            return
        listener = socket.create_server(({CANARY_VIP!r}, 80))
        parent = os.getpid()
        if os.fork() == 0:
            die_with_parent(parent)
            kept = []
            while True:
                client = listener.accept()[0]
                client.recv(4096)
                if self.plan["answer"]:
                    client.sendall(self.plan["answer"].encode())
                    kept.append(client)
                    if not self.plan.get("stays_open"):
                        kept.pop().close()

launch.of = Mode
reaper.main(int(sys.argv[1]), *sys.argv[2:5], sys.argv[5:])
"""


def answer(status: str, body: str) -> str:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}"


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[str | None]]:
    """Lets the canary try a way that the options describe."""
    probe = subprocess.run([sys.executable, "-c", f"{NAMESPACES}\nenter(None)"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this machine allows no user namespaces")
    script = tmp_path / "reaper.py"
    script.write_text(REAPER)
    monkeypatch.setattr(program_module, "_REAPER", str(script))

    async def tried(seconds: float = 20.0, hosts: str = f"{CANARY_VIP} {CANARY_HOST}", **plan: Any) -> str | None:
        (tmp_path / "hosts").write_text(f"{hosts}\n")
        plan = {"mode": "netns", "proxy": PROXY, "hosts": str(tmp_path / "hosts"), **plan}
        with agent_folder(tmp_path, "a-000001") as folder:
            async with under_reaper("/bin/true", ("true",), dict(os.environ), folder, plan) as program:
                return await program.canary(seconds)

    return tried


async def test_the_whole_way_is_right(canary: Any) -> None:
    assert await canary(answer=answer("200 OK", f"{PROXY}\n")) is None


async def test_a_sidecar_that_answers_need_not_close_the_connection(canary: Any) -> None:
    assert await canary(answer=answer("200 OK", f"{PROXY}\n"), stays_open=True) is None


async def test_the_canary_can_be_asked_again_before_the_program_starts(tmp_path: Path) -> None:
    plan = {"mode": "proxy", "proxy": PROXY}
    server = await asyncio.start_server(proxy_that_answers, "127.0.0.1", 0)
    async with server:
        plan["outbound"] = server.sockets[0].getsockname()[1]
        with agent_folder(tmp_path, "a-000001") as folder:
            async with under_reaper("/bin/true", ("true",), dict(os.environ), folder, plan) as program:
                assert await program.canary(20) is None
                assert await program.canary(20) is None
                await program.start()
                assert await program.ended() == 0
                await program.gone()


async def proxy_that_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    right = head.startswith(f"GET http://{CANARY_HOST}/ HTTP/1.1\r\nHost: {CANARY_HOST}\r\n")
    writer.write(answer("200 OK" if right else "400 Bad Request", PROXY).encode())
    writer.close()


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"answer": None}, f"{CANARY_VIP}:80 does not answer: Connection refused"),
        ({"answer": answer("404 Not Found", "")}, "answers 'HTTP/1.1 404 Not Found', not 200"),
        ({"answer": answer("200 OK", "someone else")}, f"is answered by 'someone else', not by {PROXY}"),
        ({"answer": None, "hosts": "127.0.0.1 localhost"}, f"{CANARY_HOST} is not found"),
        ({"answer": None, "hosts": f"127.0.0.1 {CANARY_HOST}"}, f"is 127.0.0.1 to the program, not {CANARY_VIP}"),
        ({"answer": "", "seconds": 2}, f"no end in time of the request to {CANARY_VIP}:80"),
        ({"answer": None, "hangs": True, "seconds": 0.5}, "no end in time of the start of the check"),
    ],
    ids=["refused", "status", "stranger", "unknown-name", "wrong-address", "silent", "hook-hangs"],
)
async def test_what_is_wrong_is_said(canary: Any, plan: dict[str, Any], said: str) -> None:
    reason = await canary(**plan)
    assert reason is not None
    assert said in reason
