"""`tulle apply`, `get` and their kin, as they are typed and what they print."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REVIEWS = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  labels: {team: books}
spec:
  hosts: [reviews]
  http:
  - timeout: 1.5s
    route:
    - destination: {host: reviews}
"""
RATINGS = """\
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: ratings, namespace: shop}
spec:
  host: ratings
  subsets:
  - {name: v1, labels: {version: v1}}
"""


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    """A folder of documents."""
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "reviews.yaml").write_text(REVIEWS)
    (folder / "ratings.yml").write_text(RATINGS)
    (folder / "notes.txt").write_text("not: read")
    return folder


async def test_a_folder_is_applied_twice(tulle: Any, mesh: Path) -> None:
    first = await tulle("apply", "-f", str(mesh))
    assert (first.code, first.out) == (0, "destinationrule/ratings created\nvirtualservice/reviews created\n")
    again = await tulle("apply", "-f", str(mesh))
    assert again.out == "destinationrule/ratings unchanged\nvirtualservice/reviews unchanged\n"
    changed = await tulle("apply", "-f", "-", stdin=REVIEWS.replace("1.5s", "2s"))
    assert changed.out == "virtualservice/reviews configured\n"


POLICIES = """\
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {name: strict}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec: {jwtRules: [{issuer: example.com, jwksUri: "https://example.com/keys"}, {jwksUri: "https://other.com/keys"}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody, annotations: {istio.io/dry-run: "true"}}
spec: {}
"""


async def test_policies_are_kept_shown_and_given_back_as_they_came(tulle: Any) -> None:
    said = await tulle("apply", "-f", "-", stdin=POLICIES)
    names = ("authorizationpolicy/nobody", "peerauthentication/strict", "requestauthentication/tokens")
    assert (said.code, sorted(said.out.splitlines())) == (0, [f"{name} created" for name in names])
    assert [row[1] for row in (await tulle("get", "pa")).rows] == ["STRICT"]
    assert [row[1] for row in (await tulle("get", "requestauthentications")).rows] == ["example.com,*"]
    assert [row[1] for row in (await tulle("get", "AuthorizationPolicies")).rows] == ["ALLOW"]
    given = await tulle("get", "ap", "nobody", "-o", "yaml")
    assert given.out.startswith("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n")
    again = await tulle("apply", "-f", "-", stdin=given.out)
    assert again.out == "authorizationpolicy/nobody unchanged\n"


async def test_a_dry_run_changes_nothing(tulle: Any, mesh: Path) -> None:
    said = await tulle("apply", "-f", str(mesh), "--dry-run")
    assert "virtualservice/reviews created (dry run)\n" in said.out
    assert (await tulle("get", "all", "-A")).err == "there are none\n"


async def test_one_bad_document_keeps_all_out_and_says_where_it_is_bad(tulle: Any, mesh: Path) -> None:
    bad = mesh / "bad.yaml"
    bad.write_text(REVIEWS.replace("hosts:", "hots:").replace("1.5s", "2"))
    said = await tulle("apply", "-f", str(mesh / "ratings.yml"), "-f", str(bad))
    assert said.code == 1 and said.out == ""
    assert f"{bad}:7: spec.hots: there is no such field; did you mean hosts?\n" in said.err
    assert f"{bad}:9: spec.http[0].timeout: " in said.err
    assert (await tulle("get", "all", "-A")).out == ""


async def test_a_namespace_is_for_what_names_none_and_against_what_names_another(tulle: Any) -> None:
    assert (await tulle("apply", "-n", "shop", "-f", "-", stdin=REVIEWS)).code == 0
    assert (await tulle("get", "vs", "-n", "shop", "-o", "name")).out == "virtualservice/reviews\n"
    said = await tulle("apply", "-n", "other", "-f", "-", stdin=RATINGS)
    assert (said.code, said.out) == (1, "")
    assert "metadata.namespace: it is of the namespace 'shop', and --namespace says 'other'" in said.err


async def test_files_that_are_not_there_and_files_without_documents_are_refused(tulle: Any, tmp_path: Path) -> None:
    for command in ("apply", "validate", "diff", "delete", "analyze"):
        missing = await tulle(command, "-f", str(tmp_path / "none.yaml"))
        assert (missing.code, missing.out) == (2, "") and "none.yaml can't be read: No such file" in missing.err
    empty = await tulle("apply", "-f", "-", stdin="# nothing\n---\n")
    assert empty.code == 1 and "there is no document in -" in empty.err
    assert (await tulle("apply")).code == 2


async def test_kinds_are_named_as_people_type_them(tulle: Any, mesh: Path) -> None:
    await tulle("apply", "-f", str(mesh))
    for kind in ("vs", "VirtualService", "virtualservices", "virtualservices.networking.istio.io"):
        assert (await tulle("get", kind)).rows == [["reviews", "-", "reviews", "0s"]] or kind
    both = await tulle("get", "vs,dr", "-A")
    assert both.out.index("virtualservice/reviews") < both.out.index("destinationrule/ratings")
    unknown = await tulle("get", "virtualservise")
    assert unknown.code == 2 and "did you mean virtualservice" in unknown.err


async def test_what_is_not_there_is_said_and_the_rest_is_printed(tulle: Any, mesh: Path) -> None:
    await tulle("apply", "-f", str(mesh))
    said = await tulle("get", "vs", "reviews", "ratings", "-o", "name")
    assert (said.code, said.out) == (1, "virtualservice/reviews\n")
    assert "there is no VirtualService default/ratings" in said.err
    none = await tulle("get", "se")
    assert (none.code, none.out, none.err) == (0, "", "there are none in the namespace default\n")
    selected = await tulle("get", "vs", "-l", "team=stars", "-o", "json")
    assert selected.json["items"] == []


@pytest.mark.parametrize("output", ["yaml", "json"])
async def test_what_is_printed_can_be_applied_again(tulle: Any, mesh: Path, output: str) -> None:
    await tulle("apply", "-f", str(mesh))
    printed = await tulle("get", "all", "-A", "-o", output)
    again = await tulle("apply", "-f", "-", stdin=printed.out)
    assert again.out == "virtualservice/reviews unchanged\ndestinationrule/ratings unchanged\n"
    one = yaml.safe_load((await tulle("get", "vs/reviews", "-o", output)).out)
    assert one["spec"] == yaml.safe_load(REVIEWS)["spec"]
    assert one["metadata"]["labels"] == {"team": "books"} and one["metadata"]["generation"] == 1


async def test_texts_that_look_like_something_else_come_back_as_they_were(tulle: Any) -> None:
    values = ["yes", "0o17", "1e3", "0x1f", "null", "~", "12:30:45", "a: b", "2026-01-01", "01"]
    document = json.loads(json.dumps(yaml.safe_load(REVIEWS)))
    matches = {f"x-{index}": {"exact": value} for index, value in enumerate(values)}
    document["spec"]["http"][0]["match"] = [{"headers": matches}]
    assert (await tulle("apply", "-f", "-", stdin=json.dumps(document))).code == 0
    printed = (await tulle("get", "vs/reviews", "-o", "yaml")).out
    assert (await tulle("apply", "-f", "-", stdin=printed)).out == "virtualservice/reviews unchanged\n"


async def test_wide_says_where_a_document_was_written(tulle: Any, mesh: Path) -> None:
    await tulle("apply", "-f", str(mesh))
    (row,) = (await tulle("get", "vs", "-o", "wide")).rows
    assert row[-3:] == ["1", "team=books", f"{mesh / 'reviews.yaml'}:1"]


async def test_a_watch_prints_what_is_written_and_what_is_deleted(tulle: Any, mesh: Path) -> None:
    await tulle("apply", "-f", str(mesh))
    watch = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tulle", "get", "vs", "-o", "name", "--watch",
        env={**os.environ, "TULLE_DATA": str(tulle.data), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert watch.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await watch.stdout.readline() == b"virtualservice/reviews\n"
            await tulle("apply", "-f", "-", stdin=REVIEWS.replace("name: reviews", "name: other"))
            assert await watch.stdout.readline() == b"virtualservice/other\n"
    finally:
        watch.kill()
        await watch.wait()


async def test_without_a_control_plane_a_bad_document_is_still_told(alone: Any, mesh: Path) -> None:
    assert (await alone("apply", "-f", str(mesh))).code == 3
    bad = await alone("apply", "-f", "-", stdin=REVIEWS.replace("hosts:", "hots:"))
    assert bad.code == 1 and "-:7: spec.hots" in bad.err


async def test_what_is_deleted_is_gone_and_what_was_not_there_is_said(tulle: Any, mesh: Path) -> None:
    await tulle("apply", "-f", str(mesh))
    trial = await tulle("delete", "vs", "reviews", "--dry-run")
    assert trial.out == "virtualservice/reviews deleted (dry run)\n"
    said = await tulle("delete", "vs", "reviews", "nothing")
    assert (said.code, said.out) == (1, "virtualservice/reviews deleted\n")
    assert "there is no VirtualService default/nothing" in said.err
    assert (await tulle("delete", "-f", str(mesh), "--ignore-not-found")).out == "destinationrule/ratings deleted\n"
    assert (await tulle("get", "all", "-A", "-o", "name")).out == ""


async def test_deleting_a_whole_kind_must_be_said(tulle: Any, mesh: Path) -> None:
    await tulle("apply", "-f", str(mesh))
    assert (await tulle("delete", "vs")).code == 2
    assert (await tulle("delete")).code == 2
    assert (await tulle("delete", "vs", "-l", "team=stars")).out == ""
    assert (await tulle("delete", "vs", "--all")).out == "virtualservice/reviews deleted\n"


async def test_a_diff_shows_what_applying_would_change(tulle: Any, mesh: Path) -> None:
    await tulle("apply", "-f", str(mesh / "reviews.yaml"))
    same = await tulle("diff", "-f", str(mesh / "reviews.yaml"))
    assert (same.code, same.out) == (0, "")
    (mesh / "reviews.yaml").write_text(REVIEWS.replace("1.5s", "2s"))
    changed = await tulle("diff", "-f", str(mesh))
    assert changed.code == 1
    assert "--- stored/virtualservice/default/reviews\n" in changed.out
    assert "-      timeout: 1.5s\n+      timeout: 2s\n" in changed.out
    assert "+kind: DestinationRule\n" in changed.out
    bad = await tulle("diff", "-f", "-", stdin=REVIEWS.replace("hosts:", "hots:"))
    assert (bad.code, bad.out) == (2, "") and "-:7: spec.hots" in bad.err
    nothing = await tulle("diff", "-f", "-", stdin="")
    assert (nothing.code, nothing.out) == (2, "") and "there is no document in -" in nothing.err


async def test_describe_shows_all_of_a_resource(tulle: Any, mesh: Path) -> None:
    await tulle("apply", "-f", str(mesh))
    said = await tulle("describe", "vs", "reviews")
    assert said.code == 0
    for line in ("labels       team=books", "generation   1", f"written in   {mesh}/reviews.yaml:1", "  hosts:"):
        assert line in said.out
    assert (await tulle("describe", "vs/nothing")).code == 1


async def test_the_mesh_has_one_mesh_config_in_every_namespace(tulle: Any) -> None:
    config = (
        "apiVersion: mesh.istio.io/v1alpha1\nkind: MeshConfig\nspec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}\n"
    )
    assert (await tulle("apply", "-n", "shop", "-f", "-", stdin=config)).out == "meshconfig/mesh created\n"
    for arguments in (["meshconfig"], ["meshconfig", "mesh"], ["meshconfig/mesh", "-n", "shop"], ["all", "-A"]):
        assert (await tulle("get", *arguments, "-o", "name")).out == "meshconfig/mesh\n"
    printed = await tulle("get", "meshconfig", "mesh", "-o", "yaml")
    assert (await tulle("apply", "-f", "-", stdin=printed.out)).out == "meshconfig/mesh unchanged\n"
    assert (await tulle("diff", "-f", "-", stdin=printed.out)).code == 0
    assert (await tulle("delete", "meshconfig", "mesh")).out == "meshconfig/mesh deleted\n"


@pytest.fixture
def editor(tmp_path: Path) -> Any:
    """An $EDITOR that replaces texts, each pair in turn at one opening; what it was given is kept beside."""

    def editor(*changes: tuple[str, str]) -> str:
        script = tmp_path / "editor.py"
        script.write_text(
            "import sys, pathlib\n"
            f"changes = {list(changes)!r}\n"
            f"turn = pathlib.Path({str(tmp_path / 'turn')!r})\n"
            "n = int(turn.read_text()) if turn.exists() else 0\n"
            "turn.write_text(str(n + 1))\n"
            "file = pathlib.Path(sys.argv[1])\n"
            f"pathlib.Path({str(tmp_path)!r}, f'opened-{{n}}').write_text(file.read_text())\n"
            "if n < len(changes):\n"
            "    file.write_text(file.read_text().replace(*changes[n]))\n"
        )
        return f"{sys.executable} {script}"

    return editor


async def test_a_resource_is_edited(tulle: Any, mesh: Path, editor: Any) -> None:
    await tulle("apply", "-f", str(mesh))
    said = await tulle("edit", "vs", "reviews", EDITOR=editor(("1.5s", "3s")), VISUAL="")
    assert (said.code, said.out, said.err) == (0, "virtualservice/reviews configured\n", "")
    assert "timeout: 3s" in (await tulle("get", "vs/reviews", "-o", "yaml")).out
    left = await tulle("edit", "vs/reviews", EDITOR="true", VISUAL="")
    assert (left.code, left.out) == (0, "VirtualService default/reviews is left as it was\n")


async def test_what_cannot_be_applied_is_opened_again_with_what_is_wrong(
    tulle: Any, mesh: Path, editor: Any, tmp_path: Path
) -> None:
    await tulle("apply", "-f", str(mesh))
    repaired = editor(("hosts:", "hots:"), ("hots:", "hosts:"), ("1.5s", "4s"))
    said = await tulle("edit", "vs", "reviews", EDITOR=repaired, VISUAL="")
    again = (tmp_path / "opened-1").read_text()
    assert "spec.hots: there is no such field" in again and "\n  hots:" in again
    assert said.out == "VirtualService default/reviews is left as it was\n"
    given_up = await tulle("edit", "vs", "reviews", EDITOR=editor(), VISUAL="")
    assert given_up.code == 0


async def test_an_editor_that_fails_leaves_no_file(tulle: Any, mesh: Path, editor: Any, tmp_path: Path) -> None:
    await tulle("apply", "-f", str(mesh))
    place = tmp_path / "temporary"
    place.mkdir()
    for fails in ("false", "/no/such/editor", "'"):
        said = await tulle("edit", "vs/reviews", EDITOR=fails, VISUAL="", TMPDIR=str(place))
        assert said.code == 1 and said.err.startswith("Error: the editor ") and "kept in" not in said.err
        assert list(place.iterdir()) == []
    # It fails after something was typed.
    typing = "sh -c 'echo more >> $0; exit 3'"
    said = await tulle("edit", "vs/reviews", EDITOR=typing, VISUAL="", TMPDIR=str(place))
    [kept] = place.iterdir()
    assert said.code == 1 and f"what you wrote is kept in {kept}\n" in said.err and "more" in kept.read_text()


async def test_what_was_typed_is_kept_when_it_cannot_be_applied(tulle: Any, mesh: Path, editor: Any) -> None:
    await tulle("apply", "-f", str(mesh))
    said = await tulle("edit", "vs", "reviews", EDITOR=editor(("name: reviews", "name: renamed")), VISUAL="")
    assert said.code == 1 and "there are problems left" in said.err
    kept = Path(said.err.partition("kept in ")[2].split("\n")[0])
    assert "name: renamed" in kept.read_text()
    kept.unlink()


async def test_an_edit_does_not_overwrite_what_somebody_else_changed(tulle: Any, mesh: Path, tmp_path: Path) -> None:
    await tulle("apply", "-f", str(mesh))
    script = tmp_path / "editor.sh"
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text(REVIEWS.replace("1.5s", "9s"))
    script.write_text(f'{sys.executable} -m tulle apply -f {theirs}\nsed -i s/1.5s/5s/ "$1"\n')
    said = await tulle("edit", "vs", "reviews", EDITOR=f"sh {script}", VISUAL="")
    assert said.code == 1 and "was changed by somebody else" in said.err
    kept = Path(said.err.partition("kept in ")[2].split("\n")[0])
    assert "timeout: 5s" in kept.read_text()
    kept.unlink()
    assert "timeout: 9s" in (await tulle("get", "vs/reviews", "-o", "yaml")).out
