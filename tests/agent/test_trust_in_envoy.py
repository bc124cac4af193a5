"""What an agent writes of the mesh's trust, taken up by a real Envoy: two roots, and lists of revoked certificates."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from sys import stderr

from tulle.agent import credentials
from tulle.agent.api import ControlPlane, Enrolment
from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.envoy import Envoy
from tulle.agent.folder import agent_folder
from tulle.agent.key_making import Keys
from tulle.agent.keys import _pair
from tulle.agent.trusts import Trusts
from tulle.envoy_api import binary
from tulle.envoy_api.messages import message, pack, to_dict
from tulle.identity.authority import Authority
from tulle.identity.crl import Revoked
from tulle.identity.root import new_root
from tulle.model.spiffe import WORKLOAD_PREFIX, proxy_id, workload_id
from tulle.translate.tls import server_socket

WEB = workload_id("default", "web")


class Client:
    """A workload with a certificate; `get` makes a new connection."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        pair = _pair(WEB)
        issued = authority.issue(pair["csr"], WEB, 3600)
        self.serial = int(issued.serial, 16)
        file = folder / f"{issued.serial}.pem"
        file.write_text(pair["key"] + issued.chain_pem)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._context.load_cert_chain(file)

    def get(self, port: int) -> int:
        """The status; 0 if the handshake is refused."""
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=self._context)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


class Door:
    """An Envoy that takes workloads of the mesh, and the trust that its agent keeps for it."""

    def __init__(self, authority: Authority, port: int, trusts: Trusts, told: asyncio.Event) -> None:
        self.authority, self.port, self.trusts, self._told = authority, port, trusts, told

    async def follow(self) -> None:
        """Waits until Envoy has taken up what is to be trusted now."""
        trust = self.authority.trust
        told = {"bundle": trust.bundle_pem, "crl": trust.crl_pem, "version": trust.version}
        self.trusts.hear({"trust": told})
        async with asyncio.timeout(20):
            while self.trusts.holds.get("trust") != trust.version:
                self._told.clear()
                await self._told.wait()

    async def revoke(self, *clients: Client) -> None:
        self.authority.revoke([Revoked(client.serial, time.time()) for client in clients])
        await self.follow()

    async def answers(self, *clients: Client) -> list[int]:
        return [await asyncio.to_thread(client.get, self.port) for client in clients]


@asynccontextmanager
async def door(data: Path) -> AsyncIterator[Door]:
    since = time.time() - 4 * 24 * 3600
    authority = Authority(new_root(datetime.fromtimestamp(since, UTC)), lambda: since)
    authority._clock = time.time
    proxy, told = "web-000001", asyncio.Event()
    keys: Keys = {"identity": _pair(WEB), "proxy": _pair(proxy_id(proxy))}
    issued = [authority.issue(keys[n]["csr"], i, 3600) for n, i in (("identity", WEB), ("proxy", proxy_id(proxy)))]
    trust = authority.trust
    enrolment = Enrolment(
        *(issued[0].chain_pem, issued[1].chain_pem, trust.bundle_pem, issued[0].not_before, issued[0].not_after),
        *(_config(), trust.crl_pem, trust.version, issued[0].root),
    )
    trusts, console = Trusts(told.set), Console("text", proxy, stderr)
    with agent_folder(data, proxy) as folder:
        credentials.write_secrets(folder, keys, enrolment)
        folder.replace(folder.bootstrap.name, json.dumps(enrolment.bootstrap))
        envoy = Envoy(str(binary.find().path), folder, console, partial(str, ""), 1)
        config = AgentConfig("web", str(data), ("true",), "web")
        work = credentials.Credentials(config, proxy, ControlPlane(data), console)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(envoy.keep_running(lambda _: None)),
                group.create_task(work.keep_fresh(folder, enrolment, trusts, envoy)),
            ]
            async with asyncio.timeout(20):
                while not all(trusts.holds.get(what) for what in ("trust", "root")):
                    told.clear()
                    await told.wait()
            assert trusts.holds == {"trust": trust.version, "root": issued[0].root}
            current = envoy._current
            assert current
            listeners = json.loads(await current._ask("/listeners?format=json") or b"")
            port = listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]
            yield Door(authority, port, trusts, told)
            for task in tasks:
                task.cancel()


def _config() -> dict[str, object]:
    manager = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    router = message("envoy.extensions.filters.http.router.v3.Router")()
    http = manager(
        stat_prefix="door",
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        http_filters=[{"name": "router", "typed_config": pack(router)}],
    )
    listener = message("envoy.config.listener.v3.Listener")(
        name="door",
        address={"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        filter_chains=[
            {
                "transport_socket": server_socket("identity", [WORKLOAD_PREFIX], []),
                "filters": [{"name": "http", "typed_config": pack(http)}],
            }
        ],
    )
    return {
        "node": {"id": "web-000001", "cluster": "tulle"},
        "admin": {"address": {"pipe": {"path": "admin.sock"}}},
        "static_resources": {"listeners": [to_dict(listener)]},
    }


async def test_a_revoked_certificate_opens_no_new_connection_and_all_others_do(tmp_path: Path) -> None:
    async with door(tmp_path) as envoy:
        authority = envoy.authority
        bad, good = Client(authority, tmp_path), Client(authority, tmp_path)
        assert await envoy.answers(bad, good) == [200, 200]
        await envoy.revoke(bad)
        assert await envoy.answers(bad, good) == [0, 200]
        await envoy.revoke()
        assert await envoy.answers(bad, good) == [200, 200]


async def test_lists_hold_below_two_intermediates(tmp_path: Path) -> None:
    async with door(tmp_path) as envoy:
        authority = envoy.authority
        old = [Client(authority, tmp_path) for _ in range(2)]
        await envoy.revoke(old[0])
        authority.renew()  # the first intermediate has passed half of its life
        assert authority.known.upcoming
        await envoy.follow()
        authority.activate()
        new = [Client(authority, tmp_path) for _ in range(2)]
        assert await envoy.answers(*old, *new) == [0, 200, 200, 200]
        await envoy.revoke(old[0], new[0])
        assert await envoy.answers(*old, *new) == [0, 200, 0, 200]


async def test_certificates_of_a_new_root_are_taken_once_it_is_trusted_and_of_the_old_one_until_it_is_not(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as envoy:
        authority = envoy.authority
        old = [Client(authority, tmp_path) for _ in range(2)]
        await envoy.revoke(old[0])
        authority.rotate()
        await envoy.follow()
        authority.activate()
        new = [Client(authority, tmp_path) for _ in range(2)]
        assert await envoy.answers(*old, *new) == [0, 200, 200, 200]
        await envoy.revoke(old[0], new[0])
        assert await envoy.answers(*old, *new) == [0, 200, 0, 200]
        authority.finish()
        await envoy.follow()
        assert await envoy.answers(*old, *new) == [0, 0, 0, 200]
