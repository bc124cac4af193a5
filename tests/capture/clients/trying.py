"""How the programs of this folder tell what came of each client: a line of JSON each, {client: outcome}.

An outcome is `ok`, `failed: REASON`, `untried: REASON` where this machine lacks what it takes, or `pointless` where the
mode has nothing of the kind.
"""

import json
import os
import shutil
import socket
import subprocess

SETTINGS = json.loads(os.environ["MATRIX"])
HOST = "service-b"
URL = "http://service-b/data"


class Untried(Exception):
    """This machine lacks what it takes."""


class Pointless(Exception):
    """The mode has nothing of the kind."""


def run(clients):
    for name, call in clients.items():
        print(json.dumps({name: outcome(call)}), flush=True)


def outcome(call):
    try:
        call()
    except Untried as reason:
        return f"untried: {reason}"
    except Pointless:
        return "pointless"
    except subprocess.CalledProcessError as error:
        said = ((error.stderr or b"") + (error.stdout or b"")).decode(errors="replace")
        return f"failed: exit code {error.returncode}: {said[-300:].strip()}"
    except Exception as error:
        return f"failed: {type(error).__name__}: {str(error)[:300]}"
    return "ok"


def same(value, wanted):
    if value != wanted:
        raise AssertionError(f"{str(value)[:200]!r}, not {str(wanted)[:200]!r}")


def from_b(body, instance="b-80"):
    """The answer is service-b's."""
    same(json.loads(body)["instance"], instance)


def command(*words, **environment):
    """What a program of the machine prints."""
    if shutil.which(words[0]) is None:
        raise Untried(f"there is no {words[0]}")
    done = subprocess.run(
        words, capture_output=True, check=True, timeout=60, env={**os.environ, **environment}, stdin=subprocess.DEVNULL
    )
    return done.stdout


def no_new_privs():
    """Whether this process has the flag of that name."""
    with open("/proc/self/status") as file:
        return "NoNewPrivs:\t1\n" in file.read()


def exchange(connection, host=HOST):
    """An HTTP request by hand, on a blocking socket; the body."""
    with connection:
        connection.settimeout(30)
        connection.sendall(f"GET /data HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return received(connection)


def received(connection):
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer.partition(b"\r\n\r\n")[2]


def connected(port=80, host=HOST):
    return socket.create_connection((host, port), timeout=30)
