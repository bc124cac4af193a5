"""Resources with what came of them, changes that are waited for, and what is found in them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tulle.sources.documents import documents

VIRTUAL_SERVICE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: NAME}
spec:
  hosts: [api.example.com]
  http:
  - route:
    - destination: {host: nobody}
"""


def body(text: str, file: str = "mesh.yaml") -> bytes:
    return b"".join(msgspec.json.encode(one) + b"\n" for one in documents(text.encode(), file))


def named(name: str) -> str:
    return VIRTUAL_SERVICE.replace("NAME", name)


async def lines(api: Any, method: str, path: str, content: bytes) -> list[Any]:
    """The lines of an answer that ends by itself."""
    async with api.connection() as (reader, writer):
        head = f"{method} {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {'5e' * 32}\r\n"
        writer.write(f"{head}Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content)
        await reader.readuntil(b"\r\n\r\n")
        told = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            told += (await reader.readexactly(size + 2))[:-2]
    return [json.loads(line) for line in told.splitlines()]


async def test_a_change_is_waited_for(api: Any) -> None:
    applied, *steps = await lines(api, "POST", "/v1/resources?wait=20", body(named("a")))
    assert [one["action"] for one in applied["outcomes"]] == ["created"]
    assert steps[-1] == {
        "needed": 0,
        "acknowledged": 0,
        "rejected": [],
        "missing": [],
        "taken_up": True,
        "is_over": True,
    }
    refs = json.dumps([{"kind": "VirtualService", "namespace": "default", "name": "a"}]).encode()
    gone, *steps = await lines(api, "POST", "/v1/resources/delete?wait=20", refs)
    assert [one["action"] for one in gone] == ["deleted"] and steps[-1]["is_over"]
    assert not api.mesh.hub.mesh.declared.resources
    for strange in ("x", "-1", "nan", "3601"):
        assert (await api.ask("POST", f"/v1/resources?wait={strange}", body(named("a"))))[0] == 400


async def test_a_resource_is_shown_with_what_came_of_it(api: Any) -> None:
    await lines(api, "POST", "/v1/resources?wait=20", body(named("a")))
    await lines(api, "POST", "/v1/resources?wait=20", body(named("b")))
    first, second = (await api.ask("GET", "/v1/resources"))[1]
    assert first["in_force"] == {"needed": 0, "acknowledged": 0, "rejected": []}
    assert (first["status"], second["status"]) == (
        "no proxy needs it yet",
        "not in force: VirtualService default/a, older, rules host api.example.com",
    )
    one = (await api.ask("GET", "/v1/resources/VirtualService/default/b"))[1]
    assert one == second
    assert [(f["path"], f["level"], f["line"]) for f in one["findings"]] == [
        ("spec.hosts[0]", "info", 6),
        ("spec.hosts[0]", "error", 6),
        ("spec.http[0].route[0].destination.host", "error", 9),
    ]


async def test_what_is_stored_is_analysed(api: Any) -> None:
    assert (await api.ask("POST", "/v1/analysis"))[1] == []
    await lines(api, "POST", "/v1/resources?wait=20", body(named("a")))
    found = (await api.ask("POST", "/v1/analysis"))[1]
    assert [(one["file"], one["line"], one["code"]) for one in found] == [
        ("mesh.yaml", 6, "IST0101"),
        ("mesh.yaml", 9, "IST0101"),
    ]
    assert (await api.ask("POST", "/v1/analysis?namespace=shop"))[1] == []
    assert (await api.ask("POST", "/v1/analysis?namespace=shop&all=1"))[1] == found
    assert (await api.ask("POST", "/v1/analysis?namespace=No"))[0] == 400


async def test_documents_are_analysed_as_if_they_were_applied(api: Any) -> None:
    await lines(api, "POST", "/v1/resources?wait=20", body(named("a")))
    status, found = await api.ask("POST", "/v1/analysis", body(named("b"), "new.yaml"))
    assert status == 200 and {one["name"] for one in found} == {"b"}
    assert {one["code"] for one in found} == {"IST0101", "IST0109"}
    assert [one["name"] for one in (await api.ask("GET", "/v1/resources"))[1]] == ["a"]


async def test_what_documents_bring_about_in_others_is_found_too(api: Any) -> None:
    """`a` delegates to what a document takes its form from."""
    root = named("a").replace("route:\n    - destination: {host: nobody}", "delegate: {name: part}")
    part = named("part").replace("  hosts: [api.example.com]\n", "")
    await lines(api, "POST", "/v1/resources?wait=20", body(f"{root}---{part}"))
    found = (await api.ask("POST", "/v1/analysis", body(named("part"), "new.yaml")))[1]
    assert ("a", "spec.http[0].delegate") in {(one["name"], one["path"]) for one in found}


async def test_a_faulty_document_spoils_nothing_of_the_rest(api: Any) -> None:
    faulty = named("bad").replace("hosts:", "hots:")
    found = (await api.ask("POST", "/v1/analysis", body(f"{faulty}---{named('b')}")))[1]
    assert {one["name"] for one in found if one["code"] == "IST0106"} == {"bad"}
    assert {one["name"] for one in found if one["code"] == "IST0101"} == {"b"}


async def test_what_a_document_alone_says_is_found_again_when_it_is_stored(api: Any) -> None:
    twice = named("a").replace(
        "  - route:", "  - name: first\n    route:\n    - destination: {host: nobody}\n  - route:"
    )
    await lines(api, "POST", "/v1/resources?wait=20", body(twice))
    found = (await api.ask("POST", "/v1/analysis"))[1]
    assert "IST0133" in {one["code"] for one in found}
