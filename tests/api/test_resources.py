"""Resources over the API: all or none, read back, watched, changed only as they were read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from tulle.sources.documents import documents

PATIENCE = 20


def body(*specs: tuple[str, dict[str, Any]], namespace: str = "default", **labels: str) -> bytes:
    """Virtual services by name, as the command line sends them."""
    text = "\n---\n".join(
        json.dumps(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": spec,
            }
        )
        for name, spec in specs
    )
    return b"".join(msgspec.json.encode(one) + b"\n" for one in documents(text.encode(), "mesh.yaml"))


def spec(host: str = "reviews", **more: Any) -> dict[str, Any]:
    return {"hosts": [host], "http": [{"route": [{"destination": {"host": host}}], **more}]}


async def test_documents_are_applied_and_read_back(api: Any) -> None:
    status, applied = await api.ask("POST", "/v1/resources", body(("a", spec()), ("b", spec("ratings"))))
    assert status == 200 and [one["action"] for one in applied["outcomes"]] == ["created", "created"]
    status, one = await api.ask("GET", "/v1/resources/VirtualService/default/a")
    assert (status, one["spec"], one["generation"], one["file"]) == (200, spec(), 1, "mesh.yaml")
    status, several = await api.ask("GET", "/v1/resources?kind=VirtualService&namespace=default")
    assert (status, [one["name"] for one in several]) == (200, ["a", "b"])
    assert (await api.ask("GET", "/v1/resources?namespace=shop"))[1] == []
    assert (await api.ask("GET", "/v1/resources/VirtualService/shop/a"))[0] == 404


async def test_one_bad_document_keeps_all_of_them_out_and_every_problem_is_told(api: Any) -> None:
    bad = body(("a", spec()), ("b", spec(timeout=1.5)), ("c", {"hots": []}))
    status, refusal = await api.ask("POST", "/v1/resources", bad)
    assert status == 422 and refusal["error"].startswith("nothing was applied")
    told = {(one["file"], one["path"], one["severity"]) for one in refusal["problems"]}
    assert {("mesh.yaml", "spec.http[0].timeout", "error"), ("mesh.yaml", "spec.hots", "error")} <= told
    assert (await api.ask("GET", "/v1/resources"))[1] == []


async def test_a_dry_run_writes_nothing(api: Any) -> None:
    status, applied = await api.ask("POST", "/v1/resources?dry_run=1", body(("a", spec())))
    assert (status, applied["outcomes"][0]["action"]) == (200, "created")
    assert (await api.ask("GET", "/v1/resources"))[1] == []


async def test_a_resource_that_changed_since_it_was_read_is_not_overwritten(api: Any) -> None:
    await api.ask("POST", "/v1/resources", body(("a", spec())))
    revision = (await api.ask("GET", "/v1/resources/VirtualService/default/a"))[1]["revision"]
    assert (await api.ask("POST", f"/v1/resources?revision={revision}", body(("a", spec("theirs")))))[0] == 200
    status, refusal = await api.ask("POST", f"/v1/resources?revision={revision}", body(("a", spec("mine"))))
    assert status == 409 and "changed by somebody else" in refusal["error"]
    assert (await api.ask("DELETE", f"/v1/resources/VirtualService/default/a?revision={revision}"))[0] == 409
    assert (await api.ask("POST", "/v1/resources?revision=1&revision=2", body(("a", spec()))))[0] == 400


async def test_labels_select(api: Any) -> None:
    await api.ask("POST", "/v1/resources", body(("a", spec()), team="books"))
    await api.ask("POST", "/v1/resources", body(("b", spec("ratings")), team="stars"))
    for selector, names in (("team=books", ["a"]), ("team!%3Dbooks", ["b"]), ("team%20in%20(books,stars)", ["a", "b"])):
        found = (await api.ask("GET", f"/v1/resources?labels={selector}"))[1]
        assert [one["name"] for one in found] == names
    assert (await api.ask("GET", "/v1/resources?labels=%3D"))[0] == 400


async def test_what_is_deleted_is_gone(api: Any) -> None:
    await api.ask("POST", "/v1/resources", body(("a", spec()), ("b", spec("ratings"))))
    assert (await api.ask("DELETE", "/v1/resources/VirtualService/default/a"))[1]["action"] == "deleted"
    assert (await api.ask("DELETE", "/v1/resources/VirtualService/default/a"))[0] == 404
    several = [{"kind": "VirtualService", "namespace": "default", "name": name} for name in ("a", "b")]
    status, gone = await api.ask("POST", "/v1/resources/delete", json.dumps(several).encode())
    assert (status, [one["name"] for one in gone]) == (200, ["b"])


async def test_what_is_no_request_is_refused(api: Any) -> None:
    assert (await api.ask("POST", "/v1/resources", b"{\n"))[0] == 400
    assert (await api.ask("POST", "/v1/resources?namespace=No", body(("a", spec()))))[0] == 400
    assert (await api.ask("POST", "/v1/resources/delete", b"7"))[0] == 400
    assert (await api.ask("GET", "/v1/resources?kind=Gadget"))[0] == 400
    assert (await api.ask("GET", "/v1/resources/Gadget/default/a"))[0] == 404
    assert (await api.ask("POST", "/v1/resources?revision=x", body(("a", spec()))))[0] == 400


async def test_a_watch_lists_first_and_then_tells_what_is_written_and_what_is_gone(api: Any) -> None:
    await api.ask("POST", "/v1/resources", body(("a", spec()), team="books"))
    async with api.connection() as (reader, writer), asyncio.timeout(PATIENCE):
        path = "/v1/resources?watch=1&labels=team%3Dbooks"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {'5e' * 32}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")

        async def line() -> Any:
            size = int(await reader.readuntil(b"\r\n"), 16)
            change = json.loads(await reader.readexactly(size + 2))
            return change["event"], [one["name"] for one in change["resources"] + change["gone"]]

        assert await line() == ("listed", ["a"])
        await api.ask("POST", "/v1/resources", body(("b", spec("ratings")), team="stars"))
        await api.ask("POST", "/v1/resources", body(("c", spec("other")), team="books"))
        assert await line() == ("written", ["c"])
        await api.ask("POST", "/v1/resources", body(("a", spec()), team="stars"))
        assert await line() == ("deleted", ["a"])
        await api.ask("DELETE", "/v1/resources/VirtualService/default/c")
        assert await line() == ("deleted", ["c"])


async def test_a_file_is_taken_as_users_write_it(api: Any) -> None:
    text = (
        b"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: a\nspec:\n  hosts: [reviews]\n"
    )
    good = text + b"  http:\n  - route:\n    - destination: {host: reviews}\n"
    as_file = "application/yaml; charset=utf-8"
    status, applied = await api.ask("POST", "/v1/resources?namespace=shop", good, content_type=as_file)
    assert (status, applied["outcomes"][0]["namespace"], applied["outcomes"][0]["action"]) == (200, "shop", "created")
    status, refusal = await api.ask("POST", "/v1/resources", text + b"  hots: [a]\n", content_type=as_file)
    assert status == 422
    assert (7, "spec.hots") in {(one["line"], one["path"]) for one in refusal["problems"]}
    status, findings = await api.ask("POST", "/v1/analysis", good, content_type=as_file)
    assert status == 200 and 9 in {one["line"] for one in findings}
