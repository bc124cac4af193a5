"""Keys that resources name: fetched, kept, refreshed and forgotten, with a real store and a real issuer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tulle.api.key_findings import key_findings
from tulle.control_plane.facts import merged
from tulle.control_plane.key_sets import records
from tulle.control_plane.key_sets.addresses import allowed
from tulle.control_plane.key_sets.keeper import KeySets
from tulle.control_plane.key_sets.schedule import MOST_SETS, Source, sources, wait
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.timeline import Timeline
from tulle.model.resources.request_authentication import JWTRule, RequestAuthentication
from tulle.model.resources.resource import Ref, Resource
from tulle.resolve import declared as declared_index
from tulle.sources.stored import Declared
from tulle.store.contract import Store
from tulle.store.sqlite import open_store

REF = Ref("RequestAuthentication", "default", "tokens")


class Issuer:
    """On loopback. keys: what it answers; None: it fails."""

    def __init__(self) -> None:
        self.keys: bytes | None = new_keys()
        self.asked: list[str] = []
        self.port = 0

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        self.asked.append(path)
        body = self.keys
        if path.endswith("/openid-configuration"):
            body = json.dumps({"jwks_uri": self.uri}).encode()
        writer.write(b"HTTP/1.1 503 No\r\n\r\n" if body is None else b"HTTP/1.1 200 OK\r\n\r\n" + body)
        writer.close()


def new_keys() -> bytes:
    key = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    return json.dumps({"keys": [{**key, "kid": "1"}]}).encode()


def tokens(*rules: JWTRule) -> Resource:
    return Resource(REF, RequestAuthentication(jwt_rules=rules))


@asynccontextmanager
async def issuer() -> AsyncIterator[Issuer]:
    made = Issuer()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield made


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Running:
    def __init__(self, keys: KeySets, live: LiveMesh, declared: Declared) -> None:
        self.keys, self.live, self.declared = keys, live, declared

    async def until(self, keys: bytes | None, uri: str) -> None:
        def kept() -> object:
            found = self.live.hub.mesh.key_sets.get(uri)
            return json.loads(found) if found else None

        await until(lambda: kept() == (None if keys is None else json.loads(keys)))


@asynccontextmanager
async def running(store: Store, *allow: str, refresh: float = 60.0) -> AsyncIterator[Running]:
    declared, live = Declared(store, time.time), LiveMesh(Timeline(time.time))
    keys = KeySets(store, allowed(allow or ("127.0.0.1",)), refresh, time.time)
    known = asyncio.Event()
    tasks = [asyncio.create_task(live.follow(merged(declared.snapshots(), keys.snapshots()), known))]
    await asyncio.wait_for(known.wait(), 10)
    tasks.append(asyncio.create_task(keys.keep(live)))
    try:
        yield Running(keys, live, declared)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_keys_are_fetched_refreshed_kept_and_forgotten(tmp_path: Path) -> None:
    async with open_store(tmp_path / "state") as store, issuer() as idp:
        resource = tokens(JWTRule(issuer="a", jwks_uri=idp.uri))
        async with running(store, refresh=0.1) as mesh:
            await mesh.declared.apply([resource])
            await mesh.until(idp.keys, idp.uri)
            assert not mesh.keys.troubles()
            idp.keys = new_keys()  # the issuer has others now
            await mesh.until(idp.keys, idp.uri)
            last, idp.keys = idp.keys, None  # and is down
            await until(lambda: bool(mesh.keys.troubles()))
            trouble = mesh.keys.troubles()[idp.uri]
            assert (trouble.reason, trouble.kept) == ("it answers 503", True)
            await mesh.until(last, idp.uri)
            (finding,) = key_findings(resource, mesh.keys.troubles())
            assert finding.path == "spec.jwtRules[0].jwksUri" and "it answers 503" in finding.message
        async with running(store, refresh=60) as mesh:  # a control plane that starts has them at once
            assert mesh.live.hub.mesh.key_sets.keys() == {idp.uri}
            await mesh.until(last, idp.uri)
            idp.keys = last
            await until(lambda: not mesh.keys.troubles() and len(idp.asked) >= 3)
            await mesh.declared.delete([REF])
            await mesh.until(None, idp.uri)
            assert (await store.range(records.ROOT)).items == ()


async def test_an_issuer_may_say_itself_where_its_keys_are(tmp_path: Path) -> None:
    async with open_store(tmp_path / "state") as store, issuer() as idp, running(store) as mesh:
        url = f"http://127.0.0.1:{idp.port}"
        await mesh.declared.apply([tokens(JWTRule(issuer=url + "/realm/"))])
        await mesh.until(idp.keys, f"{url}/realm/.well-known/openid-configuration")
        assert idp.asked == ["/realm/.well-known/openid-configuration", "/keys"]


async def test_what_may_not_be_fetched_is_told_and_not_asked(tmp_path: Path) -> None:
    async with open_store(tmp_path / "state") as store, issuer() as idp, running(store, "idp.example") as mesh:
        resource = tokens(JWTRule(issuer="a", jwks_uri=idp.uri))
        await mesh.declared.apply([resource])
        await until(lambda: bool(mesh.keys.troubles()))
        (finding,) = key_findings(resource, mesh.keys.troubles())
        assert (
            "tulle up --jwks-allow 127.0.0.1" in finding.message
            and "no token of this issuer is good" in finding.message
        )
        assert idp.asked == [] and not mesh.live.hub.mesh.key_sets


def test_a_set_that_several_name_is_fetched_once_with_the_longest_of_their_timeouts() -> None:
    rules = [
        JWTRule(issuer="a", jwks_uri="https://a/keys", timeout="2s"),
        JWTRule(issuer="b", jwks_uri="https://a/keys", timeout="7s"),
        JWTRule(issuer="c", jwks='{"keys":[]}'),
        JWTRule(issuer="https://d/"),
        JWTRule(issuer="e", jwks_uri="https://e/keys", timeout="1h"),
    ]
    index, _ = declared_index.apply(declared_index.Declared(), {REF: tokens(*rules)})
    assert list(sources(index).values()) == [
        Source("https://a/keys", timeout=7.0),
        Source("https://d/.well-known/openid-configuration", described=True),
        Source("https://e/keys", timeout=60.0),
    ]
    assert MOST_SETS == 1000


def test_failures_are_tried_again_soon_and_then_less_often() -> None:
    assert [wait(n, 1200, 1.0) for n in (0, 1, 2, 3, 7, 10_000)] == [1200, 1, 2, 4, 60, 60]
    assert wait(0, 1200, 0.0) == 1080 and wait(5, 3, 1.0) == 3
