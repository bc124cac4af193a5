"""Programs of many threads and processes; each calls with requests, which works in every mode by itself."""

import os
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import requests

from trying import SETTINGS, URL, Untried, command, from_b, no_new_privs, run, same


def call(_=None):
    from_b(requests.get(URL, timeout=30).content)
    return True


def in_threads():
    with ThreadPoolExecutor(16) as pool:
        same(list(pool.map(call, range(64))), [True] * 64)


def in_a_pool_of(start):
    with ProcessPoolExecutor(2, get_context(start)) as pool:
        same(list(pool.map(call, range(4))), [True] * 4)


def in_a_fork(before=lambda: None):
    """before: what the new process does first."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            before()
            call()
            os.write(writer, b"ok")
        except BaseException:
            os.write(writer, traceback.format_exc()[-300:].encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader, "rb") as answer:
        same(answer.read().decode(), "ok")


def daemonised():
    os.setsid()
    if os.fork():
        os._exit(0)


def as_another_user():
    if os.geteuid() != 0:
        raise Untried("only root can become another user")

    def change():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    in_a_fork(change)


def with_more_rights():
    """As sudo has them: only a process without no_new_privs gets more by exec (prctl(2))."""
    if SETTINGS["no_new_privs"]:
        raise Untried("nobody gets more rights here")
    same(no_new_privs(), False)


def by_exec():
    """The call before exec is this process's own; the one after it the new program's."""
    call()
    program = (
        "import os, sys; import requests; requests.get(sys.argv[1]); os.execv('/bin/sh', ['sh', '-c', sys.argv[2]])"
    )
    again = f"exec {sys.executable} -c 'import requests; print(requests.get(\"{URL}\").text)'"
    from_b(command(sys.executable, "-c", program, URL, again))


if __name__ == "__main__":
    run(
        {
            "threads": in_threads,
            "`os.fork`": in_a_fork,
            "`os.exec`": by_exec,
            "a daemon (forked twice, its own session)": lambda: in_a_fork(daemonised),
            "a process that changes its user": as_another_user,
            "set-user-id programs have their rights (sudo)": with_more_rights,
            "`multiprocessing`, fork": lambda: in_a_pool_of("fork"),
            "`multiprocessing`, spawn": lambda: in_a_pool_of("spawn"),
        }
    )
