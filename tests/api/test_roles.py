"""Who may ask for what: every path by every role; and what is noted of it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import msgspec
import pytest
from starlette.routing import Route

from tulle.api import roles
from tulle.api.roles import ROLES
from tulle.identity.audit import Event
from tulle.identity.caller import Caller, Role
from tulle.identity.users import UserRefused
from tulle.model.api_token import ApiToken, encode
from tulle.sources.documents import documents

SERVICE = {
    "kind": "VirtualService",
    "apiVersion": "networking.istio.io/v1",
    "metadata": {"name": "web"},
    "spec": {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]},
}


async def token_of(api: Any, name: str, role: str, ttl: float = 60) -> str:
    user, secret = await api.users.create(name, role, ttl)
    return encode(ApiToken(user.name, secret))


def body_for(document: dict[str, Any]) -> bytes:
    found = documents(json.dumps(document).encode(), "web.yaml")
    return b"".join(msgspec.json.encode(one) + b"\n" for one in found)


def test_a_path_without_a_role_is_served_by_nobody() -> None:
    async def nothing(request: Any) -> None: ...

    every = [Route(way.split()[1], nothing, methods=[way.split()[0]]) for way in ROLES]
    roles.check(every)
    with pytest.raises(ValueError, match="GET /v1/keys"):
        roles.check([*every, Route("/v1/keys", nothing)])
    with pytest.raises(ValueError, match=re.escape(roles.ways(every[0])[0])):
        roles.check(every[1:])


def test_what_changes_something_is_for_admins() -> None:
    reads = {"POST /v1/analysis", "POST /v1/authz/check", "POST /v1/explain/request"}
    reads |= {"POST /v1/ui/tickets", "POST /v1/ui/sign-out"}
    for way, role in ROLES.items():
        if not way.startswith("GET ") and role in (Role.ADMIN, Role.VIEWER) and way not in reads:
            assert role is Role.ADMIN, way


@pytest.mark.parametrize("way", ROLES)
async def test_every_path_is_for_those_whose_role_allows_it(api: Any, way: str) -> None:
    method, template = way.split()
    path = re.sub(r"{\w+}", "none", template)
    tokens = {"viewer": await token_of(api, "vera", "viewer"), "admin": await token_of(api, "ada", "admin")}
    for secret in ("wrong", "tulleapi1.x", encode(ApiToken("ada", "x" * 43))):
        status, answer = await api.ask(method, path, secret=secret)
        assert status == 401, secret
        assert set(answer) == {"error"}
    if ROLES[way] in (None, Role.AGENT):
        return  # what agents and strangers may is in test_agent_sessions and test_remote
    for role, token in tokens.items():
        head = f"{method} {path} HTTP/1.1\r\nHost: tulle\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        async with api.connection() as (reader, writer):
            writer.write(head.encode())
            answered = await asyncio.wait_for(_beginning(reader), 10)
        status = int(answered.split()[1])
        if role == "admin" or ROLES[way] is Role.VIEWER:
            assert status not in (401, 403, 405), (role, answered)
        else:
            assert status == 403
            assert f"user vera has the role viewer, and {method} {path} needs admin".encode() in answered


async def _beginning(reader: asyncio.StreamReader) -> bytes:
    """All of an answer that has an end; of one that has none, its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head if b"chunked" in head else head + await reader.read()


@pytest.mark.parametrize("way", [way for way, role in ROLES.items() if role is Role.AGENT])
async def test_a_viewer_is_no_agent(api: Any, way: str) -> None:
    method, template = way.split()
    status, answer = await api.ask(
        method, template.replace("{proxy}", "web-3fa2c1"), secret=await token_of(api, "vera", "viewer")
    )
    assert (status, "needs agent" in answer["error"]) == (403, True)


@pytest.mark.parametrize("way", ROLES)
def test_an_agent_on_another_machine_may_do_what_is_its_own(way: str) -> None:
    agent = Caller(Role.AGENT, "certificate spiffe://cluster.local/proxy/web-3fa2c1", "web-3fa2c1")
    path = way.split()[1].replace("{proxy}", "web-3fa2c1")
    assert roles.allows(agent, way, path) is (ROLES[way] in (None, Role.AGENT))
    assert not roles.allows(agent, "POST /v1/agents/{proxy}", "/v1/agents/web-3fa2c2")
    if "{proxy}" in way:
        assert not roles.allows(agent, way, path.replace("web-3fa2c1", "web-3fa2c11"))
        assert not roles.allows(agent, way, path.replace("web-3fa2c1", "web-3fa2c2"))
    assert not roles.allows(agent, None, "/v1/nothing")


async def test_a_token_is_good_until_it_expires_or_is_revoked(api: Any) -> None:
    vera, carl = await token_of(api, "vera", "viewer"), await token_of(api, "carl", "viewer", ttl=5)
    assert (await api.ask("GET", "/v1/status", secret=vera))[0] == 200
    assert (await api.ask("GET", "/v1/status", secret=carl))[0] == 200
    api.now = (await api.users.all())[0].created + 10
    status, answer = await api.ask("GET", "/v1/status", secret=carl)
    assert (status, answer["error"].split(";")[0]) == (401, "the token of carl has expired")
    assert (await api.ask("DELETE", "/v1/users/vera"))[1] == {"revoked": "vera"}
    assert (await api.ask("GET", "/v1/status", secret=vera))[0] == 401
    assert (await api.ask("DELETE", "/v1/users/vera"))[0] == 404


async def test_a_name_that_is_made_anew_does_not_bring_back_an_older_token(api: Any) -> None:
    older = await token_of(api, "vera", "admin")
    with pytest.raises(UserRefused, match="there is a user vera already"):
        await token_of(api, "vera", "viewer")
    await api.users.revoke("vera")
    newer = await token_of(api, "vera", "viewer")
    assert (await api.ask("GET", "/v1/status", secret=older))[0] == 401
    assert (await api.ask("GET", "/v1/status", secret=newer))[0] == 200


async def test_a_watch_ends_with_its_token(api: Any) -> None:
    vera = await token_of(api, "vera", "viewer")
    head = f"GET /v1/resources?watch=1 HTTP/1.1\r\nHost: tulle\r\nAuthorization: Bearer {vera}\r\n\r\n"
    async with api.connection() as (reader, writer):
        writer.write(head.encode())
        await asyncio.wait_for(reader.readuntil(b'"listed"'), 10)
        await api.ask("DELETE", "/v1/users/vera")
        assert (await api.ask("POST", "/v1/resources", body_for(SERVICE)))[0] == 200
        rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)
    assert b"written" not in rest


async def test_guesses_are_few(api: Any) -> None:
    wrong = encode(ApiToken("ada", "x" * 43))
    ada = await token_of(api, "ada", "admin")
    found = [(await api.ask("GET", "/v1/status", secret=wrong))[0] for _ in range(12)]
    assert found == [401] * 10 + [429] * 2
    assert len(api.events) == 10
    assert (await api.ask("GET", "/v1/status", secret=ada))[0] == 200, "who has a token is heard all the same"
    assert (await api.ask("GET", "/v1/status"))[0] == 200


async def test_who_is_refused_again_and_again_does_not_fill_the_audit_log(api: Any) -> None:
    vera = await token_of(api, "vera", "viewer")
    found = [(await api.ask("DELETE", f"/v1/users/{number}", secret=vera))[0] for number in range(30)]
    assert found == [403] * 30
    assert len(api.events) == 10


async def test_only_a_digest_is_kept_and_a_use_is_noted(api: Any) -> None:
    status, made = await api.ask("POST", "/v1/users", json.dumps({"name": "vera", "role": "viewer"}).encode())
    assert (status, made["user"]["role"], made["user"]["last_used"]) == (200, "viewer", None)
    assert (await api.ask("GET", "/v1/status", secret=made["token"]))[0] == 200
    _, [listed] = await api.ask("GET", "/v1/users")
    assert listed["last_used"] >= listed["created"]
    assert set(listed) == {"name", "role", "created", "expires", "last_used"}
    assert made["token"] not in str(api.events)
    assert "secret" not in str(api.events)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"name": "V", "role": "viewer"}, "no DNS label"),
        ({"name": "vera", "role": "agent"}, "role 'agent' is none of a user's"),
        ({"name": "vera", "role": "viewer", "ttl": 0}, "ttl must be"),
        ({"name": "vera"}, "role"),
        ({"name": "vera", "role": "viewer", "secret": "mine"}, "unknown field"),
    ],
)
async def test_an_odd_user_is_refused(api: Any, body: dict[str, Any], error: str) -> None:
    status, answer = await api.ask("POST", "/v1/users", json.dumps(body).encode())
    assert (status, error in answer["error"]) == (400, True), answer


async def test_every_change_is_noted_with_who_and_what_and_nothing_else_is(api: Any) -> None:
    ada, vera = await token_of(api, "ada", "admin"), await token_of(api, "vera", "viewer")
    changed = {**SERVICE, "spec": {"hosts": ["web", "www"], "http": SERVICE["spec"]["http"]}}  # type: ignore[index]
    await api.ask("POST", "/v1/resources?dry_run=1", body_for(SERVICE), ada)
    await api.ask("POST", "/v1/resources", body_for(SERVICE), ada)
    await api.ask("POST", "/v1/resources", body_for(SERVICE), ada)
    await api.ask("POST", "/v1/resources", body_for(changed), ada)
    one = "/v1/resources/VirtualService/default/web"
    await api.ask("DELETE", f"{one}?dry_run=1", secret=ada)
    await api.ask("DELETE", one, secret=ada)
    await api.ask("DELETE", one, secret=ada)
    await api.ask("GET", "/v1/services", secret=vera)
    await api.ask("DELETE", "/v1/services/default/web?dry_run=1", secret=vera)
    await api.ask("DELETE", "/v1/services/default/web?dry_run=1", secret=ada)
    await api.ask("POST", "/v1/resources", body_for({"kind": "No"}), ada)
    assert [(event.event, event.who, event.what) for event in api.events] == [
        ("changed", "user ada", "POST /v1/resources: created VirtualService default/web"),
        ("changed", "user ada", "POST /v1/resources: configured VirtualService default/web"),
        ("changed", "user ada", f"DELETE {one}: deleted VirtualService default/web"),
        ("refused", "user vera", "DELETE /v1/services/default/web"),
        ("changed", "user ada", "DELETE /v1/services/default/web: service web.default"),
    ]
    created, configured, deleted, _, forgotten = msgspec.json.decode(msgspec.json.encode(api.events), type=list[Event])
    assert (created.before, created.after["spec"]["hosts"]) == (None, ["web"])
    assert (configured.before["spec"]["hosts"], configured.after["spec"]["hosts"]) == (["web"], ["web", "www"])
    assert (deleted.before["spec"]["hosts"], deleted.after) == (["web", "www"], None)
    assert forgotten.before["host"] == "web.default.svc.cluster.local"
    assert await api.ask("GET", "/v1/resources") == (200, [])


async def test_the_secrets_holder_is_noted_by_user_id(api: Any) -> None:
    await api.ask("POST", "/v1/resources", body_for(SERVICE))
    assert re.fullmatch(r"local uid \d+", api.events[0].who)


async def test_the_audit_log_is_read_and_followed_over_its_turns(api: Any) -> None:
    def line(time: float) -> bytes:
        return b'{"time":%f,"event":"changed","who":"x"}\n' % time

    older = api.audit_log.with_name("audit.log.1")
    older.write_bytes(line(1) + line(2))
    api.audit_log.write_bytes(line(3) + b'{"time":4')
    head = f"HTTP/1.1\r\nHost: tulle\r\nAuthorization: Bearer {await token_of(api, 'ada', 'admin')}\r\n"

    async def answered(query: str) -> list[bytes]:
        async with api.connection() as (reader, writer):
            writer.write(f"GET /v1/audit{query} {head}Connection: close\r\n\r\n".encode())
            return re.findall(rb'"time":(\d)\.', await asyncio.wait_for(reader.read(), 10))

    assert await answered("") == [b"1", b"2", b"3"]
    assert await answered("?since=1.5") == [b"2", b"3"]
    async with api.connection() as (reader, writer):
        writer.write(f"GET /v1/audit?since=3&follow=1 {head}\r\n".encode())
        await asyncio.wait_for(reader.readuntil(b'"time":3.'), 10)
        api.audit_log.write_bytes(line(3) + line(4))
        await asyncio.wait_for(reader.readuntil(b'"time":4.'), 10)
        api.audit_log.rename(older)
        api.audit_log.write_bytes(line(5))
        await asyncio.wait_for(reader.readuntil(b'"time":5.'), 10)
        await api.ask("DELETE", "/v1/users/ada")
        await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)
