"""The door for browsers: who gets in, how, and what other people's pages and users of the machine get: nothing."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tulle.api import server, web
from tulle.api.roles import OPEN_ON_LOOPBACK, ROLES, comes_to_browsers
from tulle.api.ui_files import UiFiles
from tulle.identity.browsers import IDLE_SECONDS
from tulle.model.api_token import ApiToken, encode

SECRET = "5e" * 32
PAGE = b"<!doctype html><title>tulle</title>"


@dataclass
class Browser:
    """One browser, with its cookies, and the key that the page keeps."""

    api: Any
    http: httpx.AsyncClient
    key: str = ""

    async def sign_in(self, **evidence: str) -> httpx.Response:
        answer = await self.http.post("/v1/ui/sign-in", json=evidence)
        self.key = answer.json().get("key", "")
        return answer

    async def ask(self, method: str, path: str, **headers: str) -> httpx.Response:
        return await self.http.request(method, path, headers={"x-tulle-key": self.key} | headers)

    async def me(self) -> Any:
        answer = await self.ask("GET", "/v1/ui/me")
        return answer.json() if answer.status_code == 200 else answer.status_code


@pytest.fixture
async def browser(api: Any, tmp_path: Path) -> AsyncIterator[Browser]:
    folder = tmp_path / "ui"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(PAGE)
    (folder / "app.js").write_text("let a")
    (folder / "assets" / "a.svg").write_text("<svg/>")
    (folder / "assets" / "large.svg").write_text("<svg/>" * 100_000)
    (tmp_path / "secret.txt").write_text("secret")
    port = api.web_listening.getsockname()[1]
    door = web.WebDoor(api.app, UiFiles(folder), web.Web(port))
    serving = asyncio.create_task(web.serve(door, api.web_listening), name="web door")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        yield Browser(api, http)
    serving.cancel()
    await asyncio.wait([serving])


async def ticket(api: Any, query: str = "", secret: str = SECRET) -> str:
    status, answer = await api.ask("POST", f"/v1/ui/tickets{query}", secret=secret)
    assert status == 200, answer
    return str(answer["ticket"])


async def user_token(api: Any, name: str, role: str) -> str:
    user, secret = await api.users.create(name, role, 60)
    return encode(ApiToken(user.name, secret))


async def test_a_ticket_signs_one_browser_in_and_no_second(browser: Browser) -> None:
    status, made = await browser.api.ask("POST", "/v1/ui/tickets")
    assert (status, made["url"]) == (200, f"{browser.http.base_url}/ui/#ticket={made['ticket']}")
    answer = await browser.sign_in(ticket=made["ticket"])
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"tulle_{browser.http.base_url.port}=")
    assert cookie.partition("; ")[2] == "HttpOnly; Path=/; SameSite=strict"
    me = await browser.me()
    assert (me["role"], me["may_change"]) == ("admin", True)
    assert me["name"].startswith("local uid ") and me["name"].endswith(", dashboard")
    assert (await browser.ask("GET", "/v1/status")).json()["pid"] == 42
    browser.http.cookies.clear()
    assert (await browser.sign_in(ticket=made["ticket"])).status_code == 401
    assert await browser.me() == 401
    assert [event.event for event in browser.api.events] == ["signed in", "user refused"]


async def test_a_ticket_gives_no_more_than_its_maker_may_do(browser: Browser) -> None:
    vera = await user_token(browser.api, "vera", "viewer")
    assert (await browser.api.ask("POST", "/v1/ui/tickets?role=admin", secret=vera))[0] == 403
    assert (await browser.api.ask("POST", "/v1/ui/tickets?role=agent"))[0] == 400
    await browser.sign_in(ticket=await ticket(browser.api, secret=vera))
    assert await browser.me() == {"name": "user vera, dashboard", "role": "viewer", "may_change": False}
    assert (await browser.ask("DELETE", "/v1/services/default/web")).status_code == 403
    await browser.sign_in(ticket=await ticket(browser.api, "?role=viewer"))
    assert (await browser.me())["role"] == "viewer"
    assert (await browser.ask("DELETE", "/v1/services/default/web")).status_code == 403


async def test_a_users_token_signs_in_and_its_end_ends_the_session(browser: Browser) -> None:
    ada = await user_token(browser.api, "ada", "admin")
    assert (await browser.sign_in(token=ada)).json()["name"] == "user ada, dashboard"
    assert (await browser.ask("DELETE", "/v1/services/default/web")).status_code == 200
    assert browser.api.events[-1].who == "user ada, dashboard"
    async with browser.http.stream("GET", "/v1/resources?watch=1") as watch:
        lines = watch.aiter_lines()
        assert "listed" in await anext(lines)
        await browser.api.users.revoke("ada")
        body = {"kind": "VirtualService", "apiVersion": "networking.istio.io/v1", "metadata": {"name": "web"}}
        spec = {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}
        line = json.dumps({"file": "a", "content": body | {"spec": spec}, "lines": {}}).encode()
        await browser.api.ask("POST", "/v1/resources", line)
        assert await browser.me() == 401
    assert (await browser.sign_in(token=ada)).status_code == 401


async def test_a_session_ends_when_one_signs_out_and_so_do_its_answers(browser: Browser) -> None:
    await browser.sign_in(ticket=await ticket(browser.api))
    audit = browser.api.audit_log
    audit.write_bytes(b'{"time":1.0}\n')
    async with asyncio.timeout(10), browser.http.stream("GET", "/v1/audit?follow=1") as following:
        lines = following.aiter_lines()
        assert await anext(lines) == '{"time":1.0}'
        assert (await browser.ask("POST", "/v1/ui/sign-out")).json() == {"signed_out": True}
        with audit.open("ab") as file:
            file.write(b'{"time":2.0}\n')
        assert [line async for line in lines] == []
    assert await browser.me() == 401


async def test_a_session_that_is_idle_ends(browser: Browser) -> None:
    browser.api.now = 1000.0
    await browser.sign_in(ticket=await ticket(browser.api))
    assert (await browser.me())["role"] == "admin"
    browser.api.now += IDLE_SECONDS
    assert await browser.me() == 401


async def test_a_bearer_token_is_good_without_a_cookie_and_the_folders_secret_is_not(browser: Browser) -> None:
    ada = await user_token(browser.api, "ada", "admin")
    assert (await browser.ask("GET", "/v1/status", authorization=f"Bearer {ada}")).status_code == 200
    changed = await browser.ask("DELETE", "/v1/services/default/web", authorization=f"Bearer {ada}")
    assert changed.status_code == 200
    assert (await browser.ask("GET", "/v1/status", authorization=f"Bearer {SECRET}")).status_code == 401


@pytest.mark.parametrize("way", [way for way, role in ROLES.items() if role is not None])
async def test_another_user_of_the_machine_gets_nothing(browser: Browser, way: str) -> None:
    method, path = way.split()
    answer = await browser.ask(method, path.replace("{", "").replace("}", ""), cookie="tulle_1=x")
    expected = 200 if way in OPEN_ON_LOOPBACK else 401 if comes_to_browsers(way) else 403
    assert answer.status_code == expected


async def test_agents_do_not_come_in_here_not_even_an_admin_as_one(browser: Browser) -> None:
    await browser.sign_in(ticket=await ticket(browser.api))
    for path in ("/v1/enrol", "/v1/agents/web-1", "/v1/jwt-svids"):
        assert (await browser.ask("POST", path)).status_code == 403
    assert (await browser.ask("POST", "/v1/ui/tickets")).status_code == 403


async def test_a_cookie_alone_changes_nothing_and_shows_no_headers(browser: Browser) -> None:
    """Other ports of the host get the browser's cookies as well."""
    await browser.sign_in(ticket=await ticket(browser.api))
    for key in ("", "made up", browser.http.cookies[f"tulle_{browser.http.base_url.port}"]):
        changes = (("DELETE", "/v1/services/default/web"), ("POST", "/v1/ui/sign-out"))
        for method, path in (*changes, ("GET", "/v1/tap/headers"), ("HEAD", "/v1/tap/headers")):
            refused = await browser.ask(method, path, **{"x-tulle-key": key})
            assert refused.status_code == 403
            assert method == "HEAD" or "needs the key" in refused.json()["error"]
        assert (await browser.ask("GET", "/v1/ui/me", **{"x-tulle-key": key})).json()["may_change"] is False
    assert ("forget", "web") not in [told[:1] for told in browser.api.told]
    assert (await browser.ask("DELETE", "/v1/services/default/web")).status_code == 200


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_pages_of_other_origins_get_nothing(browser: Browser, headers: dict[str, str]) -> None:
    await browser.sign_in(ticket=await ticket(browser.api))
    for method, path in (("GET", "/v1/status"), ("DELETE", "/v1/services/default/web"), ("POST", "/v1/ui/sign-in")):
        assert (await browser.ask(method, path, **headers)).status_code == 403
    own = str(browser.http.base_url).rstrip("/")
    answer = await browser.ask("GET", "/v1/status", **{"origin": own, "sec-fetch-site": "same-origin"})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:PORT", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:PORT"]
)
@pytest.mark.parametrize("path", ["/ui/", "/v1/status"])
async def test_a_name_that_an_attacker_leads_here_opens_nothing(browser: Browser, host: str, path: str) -> None:
    await browser.sign_in(ticket=await ticket(browser.api))
    port = str(browser.http.base_url.port)
    assert (await browser.ask("GET", path, host=host.replace("PORT", port))).status_code == 421
    assert (await browser.ask("GET", path, host=f"localhost:{port}")).status_code == 200


async def test_guesses_are_few_and_who_has_a_ticket_is_heard_all_the_same(browser: Browser) -> None:
    found = [(await browser.sign_in(ticket="made up")).status_code for _ in range(12)]
    assert found == [401] * 10 + [429] * 2
    assert len(browser.api.events) == 10
    assert (await browser.sign_in(token="tulleapi1.x")).status_code == 429
    assert (await browser.sign_in(ticket=await ticket(browser.api))).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"ticket": 1}', b'{"role": "admin"}', b"[" * 5000])
async def test_nonsense_signs_nobody_in(browser: Browser, body: bytes) -> None:
    answer = await browser.http.post("/v1/ui/sign-in", content=body)
    assert (answer.status_code, set(answer.json())) == (400, {"error"})
    assert (await browser.http.post("/v1/ui/sign-in", content=b" " * 10_000)).status_code == 413


async def test_nobody_signs_in_where_the_dashboard_is_not(browser: Browser) -> None:
    body = json.dumps({"ticket": await ticket(browser.api)}).encode()
    assert (await browser.api.ask("POST", "/v1/ui/sign-in", body))[0] == 404
    assert (await browser.api.ask("GET", "/v1/ui/me"))[1]["may_change"] is True


async def test_the_page_is_at_every_path_below_ui_and_its_files_where_they_are(browser: Browser) -> None:
    for path in ("/ui/", "/ui/services/default/web.v1", "/ui/../ui/x", "/ui/..%2f..%2fsecret.txt", "/ui//etc/passwd"):
        answer = await browser.ask("GET", path)
        assert (answer.status_code, answer.content) == (200, PAGE), path
    for path in ("/", "/ui"):
        answer = await browser.ask("GET", path)
        assert (answer.status_code, answer.headers["location"]) == (307, "/ui/")
    answer = await browser.ask("GET", "/ui/assets/a.svg")
    assert (answer.text, answer.headers["content-type"]) == ("<svg/>", "image/svg+xml")
    answer = await browser.ask("GET", "/ui/app.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    again = await browser.ask("GET", "/ui/app.js", **{"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await browser.ask("HEAD", "/ui/app.js")).content == b""
    assert (await browser.ask("POST", "/ui/")).status_code == 405


async def test_a_browser_is_told_to_run_and_frame_nothing_of_others(browser: Browser) -> None:
    await browser.sign_in(ticket=await ticket(browser.api))
    for path, first in (
        ("/ui/", "default-src 'self'"),
        ("/v1/status", "default-src 'none'"),
        ("/v1/x", "default-src 'none'"),
    ):
        headers = (await browser.ask("GET", path)).headers
        policy = headers["content-security-policy"].split("; ")
        assert policy[0] == first and "frame-ancestors 'none'" in policy
        assert "unsafe" not in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


async def test_who_says_nothing_is_let_go(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_REQUEST_WITHIN", 0.2)
    monkeypatch.setattr(web, "MOST_CONNECTIONS", 2)
    port = browser.http.base_url.port
    first = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    first[0][1].write(b"GET /ui/ HTTP/1.1\r\nX: ")
    for reader, writer in (*first, await asyncio.open_connection("127.0.0.1", port)):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 10)
        writer.close()
    assert (await browser.ask("GET", "/ui/")).status_code == 200


async def test_who_says_nothing_keeps_nobody_out(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MOST_CONNECTIONS", 3)
    port = browser.http.base_url.port
    assert (await browser.ask("GET", "/ui/")).status_code == 200  # over a connection that is kept
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(9)]
    silent[-1][1].write(b"GET /ui/ HTTP/1.1\r\nX: ")
    async with httpx.AsyncClient(trust_env=False) as other:
        for client in (other, browser.http):
            assert (await client.get(f"http://127.0.0.1:{port}/ui/")).status_code == 200
    for _, writer in silent:
        writer.close()


async def test_who_does_not_fetch_what_it_asks_for_is_let_go(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FETCH_WITHIN", 0.1)
    port, loop = browser.http.base_url.port or 0, asyncio.get_running_loop()
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.setblocking(False)
        await loop.sock_connect(lazy, ("127.0.0.1", port))
        await loop.sock_sendall(lazy, b"GET /ui/assets/large.svg HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port * 20)
        async with asyncio.timeout(10):
            while server_has(port, lazy.getsockname()[1]):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert (await browser.ask("GET", "/ui/assets/large.svg")).status_code == 200


def server_has(port: int, peer: int) -> bool:
    """Whether its end of that connection is open."""
    pairs = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [f"0100007F:{port:04X}", f"0100007F:{peer:04X}", "01"] in pairs


async def test_without_its_files_the_rest_is_served(api: Any, tmp_path: Path) -> None:
    files = UiFiles(tmp_path / "nothing")
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await files({"type": "http", "method": "GET", "path": "/ui/", "headers": []}, receive, send)
    assert sent[0]["status"] == 404
