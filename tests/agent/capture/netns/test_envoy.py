"""The real Envoy outside, with its outbound door inside the program's namespace."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tulle.agent import http1
from tulle.agent.descendants import die_with_parent
from tulle.envoy_api import binary

EXTENSIONS = "type.googleapis.com/envoy.extensions"

# Asks all the time, on a new connection each, until it is told to stop; says how often, and what went wrong.
ASK_ALL_THE_TIME = """
asked, wrong = 0, []
while not os.path.exists(sys.argv[2]):
    try:
        if (said := ask("10.1.2.3", 80, words=REQUEST)) != "outside": wrong.append(said)
    except OSError as error:
        wrong.append(repr(error))
    asked += 1
    if asked == 20: say("going")
say(asked > 20, wrong[:3])
"""
REQUEST = 'REQUEST = b"GET / HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n"\n'


def bootstrap(outbound: int) -> dict[str, Any]:
    """Answers with where a call was meant to go: a service's own address, one of IPv6, or anywhere else."""
    six = {"prefix_ranges": [{"address_prefix": "2001:db8::", "prefix_len": 32}], "destination_port": 8080}
    places = {
        "service": {"prefix_ranges": [{"address_prefix": "127.64.0.2", "prefix_len": 32}], "destination_port": 80},
        **({"six": six} if socket.has_dualstack_ipv6() else {}),  # else Envoy takes no such address
        "outside": None,
    }
    chains = [
        {"filters": [answering(body)], **({"filter_chain_match": match} if match else {})}
        for body, match in places.items()
    ]
    listener = {
        "name": "outbound",
        "address": address("127.0.0.1", outbound),
        "additional_addresses": [{"address": address("::1", outbound)}] if socket.has_dualstack_ipv6() else [],
        "listener_filters": [
            {
                "name": "original_dst",
                "typed_config": {"@type": f"{EXTENSIONS}.filters.listener.original_dst.v3.OriginalDst"},
            }
        ],
        "filter_chains": chains[:-1],
        "default_filter_chain": chains[-1],
    }
    return {
        "admin": {"address": {"pipe": {"path": "admin.sock", "mode": 0o600}}},
        "static_resources": {"listeners": [listener]},
    }


def address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


async def ready(admin: Path) -> bytes:
    """What Envoy says of itself; nothing if it does not answer yet."""
    with suppress(OSError):
        async with http1.over_unix(admin) as connection:
            await connection.request("GET", "/ready", {})
            await connection.response()
            return await connection.body()
    return b""


def answering(body: str) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": body}}}
    return {
        "name": "http",
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": body,
            "delayed_close_timeout": "0s",  # or each call waits a second for its end
            "http_filters": [
                {"name": "router", "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"}}
            ],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        },
    }


@pytest.fixture
def real_envoy(until: Any) -> Callable[..., Any]:
    @asynccontextmanager
    async def start(isolated: Any, workers: int, *options: str) -> AsyncIterator[Process]:
        parent = os.getpid()

        def in_child() -> None:
            die_with_parent(parent)
            isolated.prepared.envoy_launch()

        folder: Path = isolated.folder.path
        (folder / "bootstrap.json").write_text(json.dumps(bootstrap(isolated.settings.outbound)))
        (folder / "admin.sock").unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            *(
                str(binary.find().path),
                "--config-path",
                "bootstrap.json",
                "--concurrency",
                str(workers),
                "-l",
                "warning",
            ),
            *options,
            cwd=folder,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            preexec_fn=in_child,
        )
        try:
            async with asyncio.timeout(30):
                while b"LIVE" not in await ready(folder / "admin.sock"):
                    assert process.returncode is None, await process.stderr.read()  # type: ignore[union-attr]
                    await asyncio.sleep(0.02)
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    return start


@pytest.mark.parametrize("workers", [1, 2])
async def test_envoy_sees_where_each_connection_was_meant_to_go(isolate: Any, real_envoy: Any, workers: int) -> None:
    code = (
        REQUEST
        + """
for n in range(20): assert ask("10.1.2.3", 80 + n, words=REQUEST) == "outside"
say(ask("127.64.0.2", 80, words=REQUEST))
say(ask("::ffff:127.64.0.2", 80, words=REQUEST) if socket.has_dualstack_ipv6() else "service")
say(ask("127.64.0.2", 81, words=REQUEST))
say(ask("2001:db8::9", 8080, words=REQUEST) if socket.has_dualstack_ipv6() else "six")
"""
    )
    async with isolate(envoy=False) as isolated, real_envoy(isolated, workers, "--disable-hot-restart"):
        assert (await isolated.run(code)).split() == ["service", "service", "outside", "six"]


async def test_a_burst_of_a_thousand_calls_by_name_fails_none(isolate: Any, real_envoy: Any) -> None:
    code = (
        REQUEST
        + """
import threading
said = []
def call():
    for n in range(25): said.append(ask("canary.tulle.internal", 80, words=REQUEST))
threads = [threading.Thread(target=call) for n in range(40)]
for thread in threads: thread.start()
for thread in threads: thread.join()
say(len(said), set(said))
"""
    )
    async with isolate(envoy=False) as isolated, real_envoy(isolated, 1, "--disable-hot-restart"):
        assert await isolated.run(code) == "1000 {'outside'}\n"


async def test_calls_wait_for_a_crashed_envoy_to_come_back(isolate: Any, real_envoy: Any, until: Any) -> None:
    async with isolate(envoy=False) as isolated:
        async with real_envoy(isolated, 1, "--disable-hot-restart") as first:
            first.kill()
            await first.wait()
        async with isolated.program(REQUEST + 'say("calling"); say(ask("10.1.2.3", 80, words=REQUEST))') as program:
            await until(lambda: isolated.said)
            async with real_envoy(isolated, 1, "--disable-hot-restart"):
                assert await program.ended() == 0
        assert isolated.said == "calling\noutside\n"


async def test_a_new_epoch_takes_the_door_over_without_a_failed_call(isolate: Any, real_envoy: Any, until: Any) -> None:
    async with isolate(envoy=False) as isolated:
        end, number = isolated.folder.path.parent / "end", isolated.folder.path.parent / "base-id"
        first_options = ("--use-dynamic-base-id", "--base-id-path", str(number), "--restart-epoch", "0")
        both = ("--drain-time-s", "1", "--parent-shutdown-time-s", "2")
        asking = isolated.program(REQUEST + ASK_ALL_THE_TIME, str(end))
        async with real_envoy(isolated, 2, *first_options, *both) as first, asking as program:
            await until(lambda: "going" in isolated.said)
            base = number.read_text().strip()
            async with real_envoy(isolated, 2, "--base-id", base, "--restart-epoch", "1", *both):
                await asyncio.wait_for(first.wait(), 20)
                end.touch()
                assert await program.ended() == 0
        assert isolated.said.splitlines()[-1] == "True []"
        for left in Path("/dev/shm").glob(f"envoy_shared_memory_{int(base) * 10}"):
            left.unlink()
