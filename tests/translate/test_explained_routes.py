"""Which route a request fits, and what becomes of it on the way: the explanation and Envoy come to the same.

A failure prints the seed, by which the same routes and requests are made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from one_envoy import Server
from route_cases import forward, route, running, to
from tulle.ir.routes import (
    Forward,
    HeaderOperations,
    Headers,
    HttpMatch,
    HttpRoute,
    NamedMatch,
    Respond,
    Rewrite,
    Text,
    TextMatch,
)
from tulle.ir.types import Paths
from tulle.resolve.access.paths import normalised
from tulle.resolve.explaining.matching import Seen, lines, misses
from tulle.resolve.explaining.rewriting import sent

CASES, REQUESTS = 60, 20
PATHS = (
    "/",
    "/a",
    "/A",
    "/a/b",
    "/ab",
    "/a/../b",
    "/b//c",
    "/a%2Fb",
    "/a?x=1",
    "/a?x=",
    "/a?x",
    "/b?x=1&x=2",
    "/b?y=%61",
    "/%61",
)
METHODS = ("GET", "POST", "DELETE")
VALUES = ("", "1", "2", "a", "ab", "A", "1,a")
PATTERNS = ("a.*", "[0-9]", "a|A", ".*")


def text(random: Random, values: tuple[str, ...], *, present: bool = True) -> TextMatch:
    kinds = [Text.EXACT, Text.PREFIX, Text.REGEX, *([Text.PRESENT] if present else [])]
    kind = random.choice(kinds)
    if kind is Text.PRESENT:
        return TextMatch(kind)
    if kind is Text.REGEX:
        return TextMatch(kind, random.choice(PATTERNS))
    value = random.choice([value for value in values if value] if kind is Text.PREFIX else values)
    return TextMatch(kind, value)


def path_match(random: Random) -> TextMatch:
    kind = random.choice([Text.EXACT, Text.PREFIX, Text.REGEX])
    value = (
        random.choice(["/.*", "/a", "/[ab]/?.*"])
        if kind is Text.REGEX
        else random.choice(["/", "/a", "/a/", "/b", "/a/b"])
    )
    return TextMatch(kind, value, ignore_case=kind is not Text.REGEX and random.random() < 0.3)


def match(random: Random) -> HttpMatch:
    def some(chance: float) -> bool:
        return random.random() < chance

    return HttpMatch(
        path=path_match(random) if some(0.7) else None,
        method=TextMatch(Text.EXACT, random.choice(METHODS)) if some(0.3) else None,
        headers=tuple(NamedMatch(name, text(random, VALUES), some(0.3)) for name in ("x-one", "x-two") if some(0.4)),
        query=tuple(NamedMatch(name, text(random, VALUES)) for name in ("x", "y") if some(0.25)),
    )


def routes(seed: int) -> tuple[HttpRoute, ...]:
    random = Random(seed)
    return tuple(route(Respond(200, str(number).encode()), match(random)) for number in range(4))


def requests(seed: int) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    random = Random(f"requests {seed}")
    for _ in range(REQUESTS):
        names = [name for name in ("x-one", "x-two") if random.random() < 0.6]
        headers = [(name, random.choice(VALUES)) for name in names for _ in range(random.choice((1, 1, 2)))]
        yield random.choice(METHODS), random.choice(PATHS), headers


def seen(method: str, path: str, headers: list[tuple[str, str]], host: str) -> Seen:
    form = normalised(path, Paths.BASE)
    assert form is not None
    return Seen(method, form, host, lines(headers))


def test_the_explanation_and_envoy_choose_the_same_route(tmp_path: Path) -> None:
    cases = {f"case-{seed}": routes(seed) for seed in range(CASES)}
    different, fitting = [], 0
    with running(tmp_path, cases, {}) as envoy:
        for seed, (host, of_case) in enumerate(cases.items()):
            for method, path, headers in requests(seed):
                answer = envoy.call(host, path, method, headers=headers)
                by_envoy = answer.text if answer.status_code == 200 else ""
                made = seen(method, path, headers, host)
                explained = next((str(n) for n, one in enumerate(of_case) if not misses(one.match, made)), "")
                fitting += bool(explained)
                if by_envoy != explained:
                    different.append((seed, method, path, headers, by_envoy, explained))
    assert not different, f"{len(different)} differ:\n" + "\n".join(map(str, different[:8]))
    assert CASES * REQUESTS / 10 < fitting < CASES * REQUESTS


REWRITTEN: dict[str, tuple[Forward, HttpMatch, str]] = {
    "prefix": (
        forward("up", rewrite=Rewrite(path="/v2")),
        HttpMatch(path=TextMatch(Text.PREFIX, "/api")),
        "/api/x?q=1",
    ),
    "whole": (forward("up", rewrite=Rewrite(path="/v2")), HttpMatch(path=TextMatch(Text.EXACT, "/api")), "/api?q=1"),
    "any": (forward("up", rewrite=Rewrite(path="/v2/")), HttpMatch(), "/api/x"),
    "by-regex": (
        forward("up", rewrite=Rewrite(path="/v2")),
        HttpMatch(path=TextMatch(Text.REGEX, "/a.*")),
        "/api/x?q=1",
    ),
    "regex": (forward("up", rewrite=Rewrite(regex=("/api/(.*)", r"/\1/v2"))), HttpMatch(), "/api/x?q=/api/y"),
    "authority": (forward("up", rewrite=Rewrite(authority="other.example")), HttpMatch(), "/"),
    "headers": (
        forward(
            to(
                "up",
                headers=Headers(HeaderOperations(add=(("x-one", "b"),), set=(("x-two", "c"),), remove=("x-three",))),
            )
        ),
        HttpMatch(),
        "/headers",
    ),
}


def test_the_explanation_and_envoy_send_the_same_request_on(tmp_path: Path) -> None:
    headers = {"x-one": "a", "x-two": "b", "x-three": "c"}
    cases = {name: (route(action, match),) for name, (action, match, _) in REWRITTEN.items()}
    with Server("up") as server, running(tmp_path, cases, {"up": server}) as envoy:
        for name, (action, match, path) in REWRITTEN.items():
            got = json.loads(envoy.call(name, path, headers=headers).text)
            explained = sent(
                route(action, match), action, action.backends[0], Seen("GET", path, name, lines(list(headers.items())))
            )
            assert (got["path"], got["headers"]["host"]) == (explained.path, explained.authority), name
            arrived = {key: ",".join(value for name_, value in got["all"] if name_ == key) for key in headers}
            assert arrived == {key: ",".join(explained.headers.get(key, ())) for key in headers}, name
