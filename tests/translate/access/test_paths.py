"""`tulle authz check` gives a path the form that a sidecar gives it, for each of the mesh's settings."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from judges import Bench, Judge, bench
from tulle.ir.access import Access
from tulle.ir.types import Paths
from tulle.resolve.access.paths import normalised

# As they come to the program with NONE, BASE, MERGE_SLASHES and DECODE_AND_MERGE_SLASHES; None: refused.
TABLE: dict[str, tuple[str | None, ...]] = {
    "/a/../b": ("/a/../b", "/b", "/b", "/b"),
    "/..": ("/..", "/", "/", "/"),
    "/a/./": ("/a/./", "/a/", "/a/", "/a/"),
    "/a/...": ("/a/...",) * 4,
    "/a/%2e%2E/b": ("/a/%2e%2E/b", "/b", "/b", "/b"),
    "/a\\..\\b": ("/a\\..\\b", "/b", "/b", "/b"),
    "/a//../b": ("/a//../b", "/a/b", "/a/b", "/a/b"),
    "//a//b//": ("//a//b//", "//a//b//", "/a/b/", "/a/b/"),
    "//": ("//", "//", "//", "//"),
    "/a%2f..%2Fb": ("/a%2f..%2Fb", "/a%2f..%2Fb", "/a%2f..%2Fb", "/b"),
    "/a%5c..%5Cb": ("/a%5c..%5Cb", "/a%5c..%5Cb", "/a%5c..%5Cb", "/b"),
    "/%61%2D%7e": ("/%61%2D%7e", "/a-~", "/a-~", "/a-~"),
    "/%c3%a9%20%zz%": ("/%c3%a9%20%zz%",) * 4,
    "/%25%32%65": ("/%25%32%65", "/%252e", "/%252e", "/%252e"),
    '/"<>^`{|}': ('/"<>^`{|}', *["/%22%3C%3E%5E%60%7B%7C%7D"] * 3),
    "/a/..;x=1/b": ("/a/..;x=1/b", "/b", "/b", "/b"),
    "/a/%2e.;/b": ("/a/%2e.;/b", "/a/..;/b", "/a/..;/b", "/a/..;/b"),
    "/a;x/b": ("/a;x/b",) * 4,
    "/a/?b=/../%2f//": ("/a/?b=/../%2f//",) * 4,
    "/a%00": ("/a%00", None, None, None),
    "/a#b": (None,) * 4,
    "/\u00e9": (None,) * 4,
    "a": (None,) * 4,
}
PARTS = ("/", "/", ".", "..", "%2e", "%2E", "%2F", "%5c", "\\", "a", "b;", ";", "%", "%61", "?", "{", "%3b")
SEED, GENERATED = 5, 250


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("envoy"), [Judge(Access(), form) for form in Paths]) as there:
        yield there


def test_paths_are_as_in_the_table() -> None:
    assert {path: tuple(normalised(path, form) for form in Paths) for path in TABLE} == TABLE


@pytest.mark.parametrize("form", Paths)
def test_a_sidecar_gives_them_the_same_form(envoy: Bench, form: Paths) -> None:
    random = Random(SEED)
    made = ["/" + "".join(random.choices(PARTS, k=random.randint(1, 9))) for _ in range(GENERATED)]
    paths = [*TABLE, *made, *(f"/x{chr(number)}y" for number in range(0x21, 0x7F))]
    requests = [f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode("latin-1") for path in paths]
    rulings = envoy.ask(list(Paths).index(form), "", "127.0.0.1", requests)
    seen = {path: one.path if one.status == 200 else None for path, one in zip(paths, rulings, strict=True)}
    assert seen == {path: normalised(path, form) for path in paths}
