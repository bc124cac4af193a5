"""Bursts, a door that is shut or full, no descriptors left, the reaper killed: slower or refused, never past the mesh."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ground = Any
Until = Callable[..., Any]
VIP_80 = ("127.64.0.1", 80)
# In one write, for others write as well.
CALL = "import os, socket; s = socket.create_connection(('127.64.0.1', 80)); os.write(1, s.recv(100))"


def test_a_burst_of_thousands_of_connects_fails_none(ground: Ground) -> None:
    ran = ground.python("""
        import socket, threading
        failed = []
        def calls():
            for _ in range(250):
                try:
                    with socket.create_connection(("127.64.0.1", 80)) as s:
                        assert s.recv(100) == b"127.64.0.1:80\\n"
                except Exception as error: failed.append(error)
        threads = [threading.Thread(target=calls) for _ in range(16)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(len(failed), failed[:3])
    """)
    assert ran.words[0] == "0", ran.out
    assert ground.door.calls.count(VIP_80) == 4000


def test_a_thousand_connections_are_in_flight_at_once(ground: Ground) -> None:
    resource_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if resource_limit < 4096:
        pytest.skip("too few descriptors allowed here")
    ran = ground.python("""
        import asyncio, resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        async def main():
            streams = await asyncio.gather(*(asyncio.open_connection("127.64.0.1", 80) for _ in range(1000)))
            lines = await asyncio.gather(*(reader.readline() for reader, _ in streams))
            print(len(lines), set(lines))
        asyncio.run(main())
    """)
    assert ran.out == "1000 {b'127.64.0.1:80\\n'}\n"
    assert ground.door.most_open == 1000


def test_a_shut_door_is_tried_again_while_others_go_on(ground: Ground) -> None:
    ground.door.shut()
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        code = f"""
            import os, socket, threading
            def call():
                s = socket.create_connection(("127.64.0.1", 80)); os.write(1, s.recv(100))
            threads = [threading.Thread(target=call) for _ in range(20)]
            for t in threads: t.start()
            for _ in range(200):
                socket.create_connection(("127.0.0.1", {server.getsockname()[1]})).close()
            print("others", flush=True)
            for t in threads: t.join()
        """
        with ground.start(sys.executable, "-c", textwrap.dedent(code)) as captured:
            assert captured.read_line() == "others"
            ground.door.reopen()
            assert {captured.read_line() for _ in range(20)} == {"127.64.0.1:80"}


def test_a_door_that_stays_shut_is_a_refusal_after_which_the_socket_can_be_used(ground: Ground) -> None:
    ground.door.shut()
    code = """
        import os, socket
        s, n = socket.socket(), socket.socket()
        n.setblocking(False)
        print(s.connect_ex(("127.64.0.1", 80)), n.connect_ex(("127.64.0.1", 80)), os.get_blocking(s.fileno()), flush=True)
        while s.connect_ex(("127.64.0.1", 80)): pass
        print(n.connect_ex(("127.64.0.1", 80)))
        n.setblocking(True)
        print(s.makefile().readline().strip(), n.makefile().readline().strip(), flush=True)
    """
    with ground.start(sys.executable, "-c", textwrap.dedent(code)) as captured:
        assert captured.read_line() == "111 111 True"
        ground.door.reopen()
        assert captured.read_line() == "0"
        assert captured.read_line() == "127.64.0.1:80 127.64.0.1:80"


def test_a_full_door_holds_up_only_those_who_wait_for_it(ground: Ground) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as full:
        ground.plan["outbound"] = full.getsockname()[1]
        code = """
            import os, socket, threading
            def call():
                s = socket.create_connection(("127.64.0.1", 80)); s.recv(1)
            threads = [threading.Thread(target=call) for _ in range(12)]
            for t in threads: t.start()
            for _ in range(100): socket.socket().connect_ex(("127.0.0.1", 1))
            print("others", flush=True)
            for t in threads: t.join()
            print("all", flush=True)
        """
        with ground.start(sys.executable, "-c", textwrap.dedent(code)) as captured:
            assert captured.read_line() == "others"
            for _ in range(12):
                connection, _ = full.accept()
                with connection:
                    assert connection.recv(28)[:12] == b"\r\n\r\n\0\r\nQUIT\n"
            assert captured.read_line() == "all"


def test_a_caller_that_does_not_block_goes_on_while_the_door_is_full_and_the_header_is_first(ground: Ground) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        ground.plan["outbound"] = full.getsockname()[1]
        code = """
            import select, socket
            calls = [socket.socket() for _ in range(6)]
            for s in calls: s.setblocking(False)
            errors = {s.connect_ex(("127.64.0.1", 80)) for s in calls}
            print(errors == {0, 115}, flush=True)  # EINPROGRESS
            waiting = set(calls)
            while waiting:  # in any order: the kernel tries them again when it likes, and the door has room for one
                for s in select.select([], waiting, [])[1]:
                    assert s.connect_ex(("127.64.0.1", 80)) in (0, 106)  # EISCONN
                    s.send(b"mine")
                    waiting.remove(s)
            print("all", flush=True)
            for s in calls: s.setblocking(True); print(s.recv(9).decode(), flush=True)
        """
        with ground.start(sys.executable, "-c", textwrap.dedent(code)) as captured:
            assert captured.read_line() == "True"
            for _ in range(6):
                connection, _ = full.accept()
                with connection:
                    said = connection.recv(32, socket.MSG_WAITALL)
                    assert said[:12] == b"\r\n\r\n\0\r\nQUIT\n"
                    assert said[28:] == b"mine"
                    connection.send(b"yours")
            assert [captured.read_line() for _ in range(7)] == ["all"] + ["yours"] * 6


def test_a_program_that_is_killed_while_it_waits_leaves_nothing(ground: Ground, until: Until) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        ground.plan["outbound"] = full.getsockname()[1]
        code = "print('in', flush=True)\nimport socket\nfor _ in range(9): s = socket.create_connection(('127.64.0.1', 80))"
        with ground.start(sys.executable, "-c", code) as captured:
            program = int(captured.hear("started").split()[1])
            descriptors = Path(f"/proc/{captured.reaper.pid}/fd")
            before = len(os.listdir(descriptors))
            until(lambda: len(os.listdir(descriptors)) > before)
            os.kill(program, signal.SIGKILL)
            captured.hear("empty")
            until(lambda: len(os.listdir(descriptors)) == before - 1)  # its listener is gone as well


def test_a_program_without_descriptors_hears_so_and_one_with_them_goes_on(ground: Ground) -> None:
    ran = ground.python("""
        import os, resource, socket
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        s = socket.socket()
        held = []
        try:
            while True: held.append(os.dup(0))
        except OSError as error: print(error.errno)
        print(s.connect_ex(("127.64.0.1", 80)))
    """)
    assert ran.words == ["24", "0"]  # EMFILE


def test_a_reaper_without_descriptors_loses_no_call(ground: Ground) -> None:
    """The callers wait until there are some: here until the full door takes somebody in."""
    ground.prefix = ["prlimit", "--nofile=24:24"]
    if not shutil.which("prlimit"):
        pytest.skip("no prlimit here")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        ground.plan["outbound"] = full.getsockname()[1]
        code = """
            import subprocess, sys
            call = "import socket; s = socket.create_connection(('127.64.0.1', 80)); s.recv(1)"
            calls = [subprocess.Popen([sys.executable, "-c", call]) for _ in range(30)]
            print("begun", flush=True)
            print(sum(call.wait() == 0 for call in calls), flush=True)
        """
        with ground.start(sys.executable, "-c", textwrap.dedent(code)) as captured:
            assert captured.read_line() == "begun"
            for _ in range(30):
                connection, _ = full.accept()
                with connection:
                    assert connection.recv(28)[:12] == b"\r\n\r\n\0\r\nQUIT\n"
            assert captured.read_line() == "30"


def test_the_program_may_open_as_many_files_as_its_user_could(ground: Ground) -> None:
    ground.plan["open_files"] = 333  # the agent has raised its own, and so the reaper's
    ran = ground.python("import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])")
    assert ran.words == ["333"]


def test_only_the_reaper_may_have_more_descriptors(ground: Ground) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ran = ground.python("import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))")
    assert ran.words == [str(soft), str(hard)]


def test_a_killed_reaper_takes_the_program_with_it_and_none_of_its_children_calls_past_the_mesh(
    ground: Ground, until: Until, tmp_path: Path
) -> None:
    result = tmp_path / "result"
    grandchild = f"""
import os, socket, time
while os.getppid() == {{parent}}: time.sleep(0.01)
errors = [socket.socket().connect_ex(to) for to in (("127.64.0.1", 80), ("127.0.0.1", {ground.door.port}))]
open("{result}.new", "w").write(repr(errors)); os.rename("{result}.new", "{result}")
"""
    code = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {grandchild!r}.replace("{{parent}}", str(os.getpid()))])
print("in", flush=True)
time.sleep(60)
"""
    with ground.start(sys.executable, "-c", code) as captured:
        program = int(captured.hear("started").split()[1])
        assert captured.read_line() == "in"
        captured.reaper.kill()
        until(lambda: not Path(f"/proc/{program}").exists())
        until(result.exists)
    assert result.read_text() == "[38, 38]"  # ENOSYS
    assert ground.door.calls == []


def test_a_process_that_cannot_be_looked_into_is_refused_and_told_of_once(ground: Ground) -> None:
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv here")
    ground.prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]  # with capabilities one may look everywhere
    ran = ground.python("""
        import ctypes, socket
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
        for _ in range(3): print(socket.socket().connect_ex(("127.64.0.1", 80)))
    """)
    assert ran.words == ["111"] * 3
    assert len(ran.said("note")) == 1
    assert "can't be looked into" in ran.said("note")[0]


def test_root_without_capabilities_is_an_ordinary_user(ground: Ground) -> None:
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv here")
    ground.prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    ran = ground.python("""
        import socket, threading
        def call(): print(socket.create_connection(("127.64.0.1", 80)).makefile().readline())
        t = threading.Thread(target=call); t.start(); t.join()
        print(socket.create_server(("0.0.0.0", 0)).getsockname()[0])
        print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith(("CapEff", "NoNewPrivs"))])
    """)
    assert ran.words == ["127.64.0.1:80", "127.0.0.1", "0000000000000000", "1"]


def test_lives_of_the_program_one_after_another_and_what_they_leave_are_served_at_once(ground: Ground) -> None:
    """A daemon of an earlier life is under a filter of its own."""
    code = f"""
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while not os.path.exists("{ground.folder}/go"): time.sleep(0.01)
                {CALL}
                os._exit(0)
            os._exit(0)
        os.wait()
        {CALL}
    """
    with ground.start(sys.executable, "-c", textwrap.dedent(code)) as captured:
        for _ in range(3):
            captured.lines.clear()
            captured.hear("exited")
            assert captured.read_line() == "127.64.0.1:80"
            captured.say("start")
        captured.lines.clear()
        captured.hear("exited")
        assert captured.read_line() == "127.64.0.1:80"
        (ground.folder / "go").touch()
        assert [captured.read_line() for _ in range(4)] == ["127.64.0.1:80"] * 4


def test_a_32_bit_program_is_not_captured_but_refused_and_told_of(ground: Ground, tmp_path: Path) -> None:
    source, binary = tmp_path / "call.c", tmp_path / "call"
    source.write_text("""
        static int call(int n, int a, int b, int c) {
            int r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory"); return r;
        }
        void _start(void) {
            static unsigned char to[16] = {2, 0, 0, 80, 127, 64, 0, 1};
            int s = call(359, 2, 1, 0);
            int old[3] = {s, (int)to, 16};
            int direct = -call(362, s, (int)to, 16), by_old = -call(102, 3, (int)old, 0);
            call(1, direct == 111 && by_old == 111 ? 7 : 8, 0, 0);
        }
    """)
    flags = ["-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector"]
    if not shutil.which("gcc") or subprocess.run(["gcc", *flags, "-o", binary, source], capture_output=True).returncode:
        pytest.skip("no compiler for 32 bits here")
    if subprocess.run([binary]).returncode not in (7, 8):
        pytest.skip("this kernel runs no 32-bit programs")
    ran = ground.run(str(binary))
    assert ran.code == 7
    assert [line for line in ran.said("note") if "32 bits" in line] == ran.said("note") != []


_SIGNALS = """
    import signal, socket, sys
    hits = 0
    def hit(*_):
        global hits
        hits += 1
    signal.signal(signal.SIGALRM, hit)
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    for _ in range(300):
        s = socket.socket()
        s.connect(("127.64.0.1", 80))
        assert s.recv(100) == b"127.64.0.1:80\\n"
        s.close()
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(hits > 0)
"""
# Of before 5.19 and 6.9: no SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, no PIDFD_THREAD.
_OLDER_KERNEL = """
import ctypes, errno, os, sys
sys.path.insert(0, "SOURCES")
from tulle.agent.capture.notify import _ANY_BIT, _ERROR, _EQUAL, _LOAD, _RETURN, _Program, _step, machine
from tulle.agent.capture.linux import set_no_new_privileges
from tulle.agent.libc import libc
steps = []
for number, bit in ((machine().seccomp, 32), (434, os.O_EXCL)):
    steps += [_step(_LOAD, 0), _step(_EQUAL, number, no=3), _step(_LOAD, 24), _step(_ANY_BIT, bit, no=1),
              _step(_RETURN, _ERROR | errno.EINVAL)]
code = b"".join([*steps, _step(_RETURN, 0x7fff0000)])
room = ctypes.create_string_buffer(code, len(code))
set_no_new_privileges()
assert libc.prctl(22, 2, ctypes.byref(_Program(len(code) // 8, ctypes.addressof(room)))) == 0  # PR_SET_SECCOMP
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_signals_in_a_connect_do_not_break_it(ground: Ground) -> None:
    assert ground.python(_SIGNALS).words == ["True"]


def test_on_an_older_kernel_a_call_that_a_signal_has_made_twice_is_answered_well(ground: Ground) -> None:
    older_kernel(ground)
    assert ground.python(_SIGNALS).words == ["True"]


def test_on_an_older_kernel_threads_are_captured(ground: Ground) -> None:
    older_kernel(ground)
    ran = ground.python("""
        import os, socket, threading
        def call(): os.write(1, socket.create_connection(("127.64.0.1", 80)).recv(100))
        threads = [threading.Thread(target=call) for _ in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
    """)
    assert ran.words == ["127.64.0.1:80"] * 3


def test_on_an_older_kernel_a_call_that_waits_goes_on_after_signals(ground: Ground) -> None:
    older_kernel(ground)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        ground.plan["outbound"] = full.getsockname()[1]
        code = _SIGNALS.replace("range(300)", "range(4)").replace("s.close()", "held.append(s)")
        code = code.replace("hits = 0", "hits, held = 0, []\n    print('in', flush=True)", 1)
        code = code.replace('assert s.recv(100) == b"127.64.0.1:80\\n"', "assert s.getblocking()")
        with ground.start(sys.executable, "-c", textwrap.dedent(code)) as captured:
            assert captured.read_line() == "in"
            for _ in range(4):
                time.sleep(0.1)  # the caller is to be interrupted while it waits
                connection, _ = full.accept()
                with connection:
                    assert connection.recv(28, socket.MSG_WAITALL)[:12] == b"\r\n\r\n\0\r\nQUIT\n"
            assert captured.read_line() == "True"


def older_kernel(ground: Ground) -> None:
    sources = str(Path(__file__).parents[4] / "src")
    ground.prefix = [sys.executable, "-c", _OLDER_KERNEL.replace("SOURCES", sources)]
