"""`tulle validate`: documents judged without a control plane, for people, programs and exit codes."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

GOOD = """\
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default}
spec: {egress: [{hosts: ["./*"]}]}
"""
GATEWAY = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front}\n"
BAD = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews}}]
    timeuot: 5s
"""


async def test_what_is_sound_ends_with_0(alone: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD)
    ended = await alone("validate", "-f", str(file))
    assert (ended.code, ended.out, ended.err) == (0, "1 document: 1 valid\n", "")


async def test_problems_are_told_below_their_resource(alone: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"{BAD}---\n{GATEWAY}---\n{GOOD}---\n[1\n")
    ended = await alone("validate", "-f", str(file))
    assert ended.code == 1
    assert ended.out == (
        "VirtualService shop/reviews: invalid\n"
        f"  {file}:8: spec.http[0].timeuot: there is no such field; did you mean timeout?\n"
        "Gateway default/front: valid, but not supported\n"
        f"  {file}:11: unsupported: kind: tulle has no Gateway of networking.istio.io/v1: leave the document out\n"
        f"document 4 of {file}: invalid\n"
        f"  {file}:19: this is no YAML: while parsing a flow sequence did not find expected ',' or ']'\n"
        "4 documents: 1 valid, 1 valid, but not supported, 2 invalid\n"
    )


async def test_programs_get_an_object_a_document(alone: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"{BAD}---\n{GATEWAY}---\n{GOOD}".replace("shop", "web"))
    ended = await alone("validate", "-f", str(file), "-n", "web", "-o", "json")
    assert ended.code == 1
    assert ended.json[0] == {
        "file": str(file),
        "document": 1,
        "kind": "VirtualService",
        "namespace": "web",
        "name": "reviews",
        "valid": False,
        "problems": [
            {
                "line": 8,
                "path": "spec.http[0].timeuot",
                "message": "there is no such field; did you mean timeout?",
                "severity": "error",
            }
        ],
    }
    assert [(one["document"], one["namespace"], one["valid"]) for one in ended.json[1:]] == [
        (2, "web", True),
        (3, "web", True),
    ]


async def test_what_is_not_supported_ends_with_1_as_apply_does(alone: Any, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(GATEWAY)
    assert (await alone("validate", "-f", str(tmp_path / "a.yml"))).code == 1


async def test_a_document_of_another_namespace_than_the_one_asked_for_is_told(alone: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(BAD.replace("timeuot", "timeout"))
    assert (await alone("validate", "-f", str(file))).code == 0
    ended = await alone("validate", "-f", str(file), "-n", "web")
    assert ended.code == 1
    assert f"{file}:3: metadata.namespace: it is of the namespace 'shop', and --namespace says 'web'" in ended.out


async def test_folders_and_several_files_are_one_input(alone: Any, tmp_path: Path) -> None:
    for name in ("b.yaml", "a/c.json", "a/d.yml", "e.txt", ".git/f.yaml", "a/.g.yaml"):
        path = tmp_path / "mesh" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(GOOD.replace("default", Path(name).stem))
    (tmp_path / "more.yaml").write_text(GOOD.replace("default", "d"))
    ended = await alone("validate", "-f", str(tmp_path / "mesh"), "-f", str(tmp_path / "more.yaml"), "-o", "json")
    assert [Path(one["file"]).name for one in ended.json] == ["c.json", "d.yml", "b.yaml", "more.yaml"]
    [problem] = ended.json[3]["problems"]
    assert problem["message"] == f"Sidecar default/d is given twice, first in {tmp_path}/mesh/a/d.yml:1"


async def test_standard_input_is_a_file_too(alone: Any) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tulle", "validate", "-f", "-"),
        env={**os.environ, "TULLE_DATA": str(alone.data)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(BAD.encode()), 60)
    assert process.returncode == 1
    assert b"\n  -:8: spec.http[0].timeuot: " in out


async def test_nothing_to_read_is_said_so(alone: Any, tmp_path: Path) -> None:
    ended = await alone("validate", "-f", str(tmp_path))
    assert (ended.code, ended.err) == (1, f"Error: there is no document in {tmp_path}\n")
    ended = await alone("validate", "-f", "/no/where.yaml")
    assert (ended.code, ended.err) == (2, "Error: /no/where.yaml can't be read: No such file or directory\n")
    assert (await alone("validate")).code == 2
    assert (await alone("validate", "-f", "-", "-n", "A.b")).code == 2


async def test_what_a_document_says_moves_no_cursor(alone: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(BAD.replace("timeuot", '"\\e[2J"').replace("name: reviews", 'name: "\\e[1m"'))
    assert "\x1b" not in (await alone("validate", "-f", str(file))).out


async def test_help_reads_no_yaml_and_no_schema() -> None:
    program = (
        "import sys, tulle.cli.commands as c; c.tulle(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert b"validate" in out and b"'tulle.cli.commands'" in out
    for module in (b"'yaml'", b"'msgspec'", b"'tulle.sources", b"'re2'"):
        assert module not in out
