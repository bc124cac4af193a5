"""What no document is: an answer in bounded time and memory, whatever comes."""

from __future__ import annotations

import random
import resource
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tulle.model.resources.resource import APIS, SPECS
from tulle.sources.codec import Checked, check_all, read
from tulle.sources.documents import Document
from tulle.sources.limits import LARGEST_FILE, MOST_PROBLEMS

MB = 2**20


def message(data: bytes) -> tuple[int, str]:
    """The only problem of the only document."""
    [checked] = read(data, "f", "default")
    [problem] = checked.problems
    assert (checked.resource, checked.valid) == (None, False)
    return problem.line, problem.message


DEEP = "it nests deeper than 100 levels"


@pytest.mark.parametrize(
    ("data", "line", "told"),
    [
        (
            b"kind: [VirtualService",
            1,
            "this is no YAML: while parsing a flow sequence did not find expected ',' or ']'",
        ),
        (b"kind: 'Virtual", 1, "this is no YAML: while scanning a quoted scalar found unexpected end of stream"),
        (
            b"a:\n\tb: 1",
            2,
            "this is no YAML: while scanning for the next token found character that cannot start any token",
        ),
        (b"a: 1\n b: 2", 2, "this is no YAML: mapping values are not allowed in this context"),
        (b"a: 1\nb\x00c", 2, "this is no text: it has a NUL character"),
        (b"a: 1\nb: \xff", 2, "this is no text in UTF-8: it has the byte 0xff"),
        ("a: 1".encode("utf-16"), 1, "this is no text in UTF-8: it has the byte 0xff"),
        (b"a: \x07", 1, "this is no YAML: the character '\\x07' is not allowed"),
        (b"\x89PNG\r\n\x1a\n", 1, "this is no text in UTF-8: it has the byte 0x89"),
        (b'{"a": "\\ud800"}', 1, "a text has half of a surrogate pair, which is no character"),
        (b"[" * 100_000, 1, DEEP),
        (b'{"a":' * 100_000, 1, DEEP),
        (b"[" * 101 + b"]" * 101, 1, DEEP),
        (b"".join(b" " * n + b"a:\n" for n in range(150)), 101, DEEP),
        (b"a: &a [*a]", 1, "*a stands within its own anchor &a, so that it has no end"),
        (b"&a a: *a", 1, None),
        (b"a: *b", 1, "there is no anchor &b before this *b"),
        (b"a: 1\n" + b"#" * LARGEST_FILE, 1, "the file has more than 10 MB: split it"),
        (b"\n---\nx" * 50_001, 1, "the file has more than 50000 documents: split it"),
    ],
)
def test_what_can_not_be_read_is_told_with_its_line(data: bytes, line: int, told: str | None) -> None:
    found = message(data)
    assert found[0] == line
    if told is not None:
        assert found[1] == told


def test_aliases_can_not_blow_a_document_up() -> None:
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert message("\n".join(laughs).encode()) == (5, "its aliases stand for more than 100000 values: write them out")
    deep = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 150))]
    assert message("\n".join(deep).encode()) == (100, DEEP)


HEAD = b"apiVersion: networking.istio.io/v1\nkind: Sidecar\n"


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b"- a\n" * (n // 4),
        lambda n: b"[" + b"1," * (n // 2) + b"1]",
        lambda n: b"spec: {" + b"".join(b"a%d: 1, " % i for i in range(n // 12)) + b"}",
        lambda n: b'{"spec": {' + b",".join(b'"a%d": 1' % i for i in range(n // 12)) + b"}}",
        lambda n: b"a: 1\n" * (n // 5),
        lambda n: b"---\n" * (n // 8),
        lambda n: b"---\n#\n" * (n // 40),
        lambda n: b"a: '" + b"x" * n + b"'",
        lambda n: b'? "' + b"k" * (n // 2) + b'"\n: [' + b"x: .nan, " * (n // 20) + b"]",
        lambda n: b'{"' + b"k" * (n // 2) + b'": [' + b'{"a":1,"a":1},' * (n // 30) + b"1]}",
        lambda n: b'"\\' * (n // 2),
        lambda n: b'{"' + b'\\"' * (n // 2),
        lambda n: b"{" + b'"a":1 ' * (n // 6),
        lambda n: b"{}" * (n // 20),
        lambda n: b"a: " + b"9" * n,
        lambda n: b"a: " + b"_" * n,
        lambda n: b"a: &a x\n" + b"".join(b"b%d: *a\n" % i for i in range(n // 40)),
        lambda n: b"%a b\n" * (n // 5),
        lambda n: b"a" + b" " * n + b":",
        lambda n: b": " * (n // 2),
        lambda n: b"? " * (n // 2),
        lambda n: b"!" * n,
        lambda n: b"&a " * (n // 3),
        lambda n: b"\n" * n,
        lambda n: (
            HEAD
            + b"metadata: {labels: {"
            + b"".join(b"%d%s: [], " % (i, b".a" * 500) for i in range(n // 1010))
            + b"}}"
        ),
        lambda n: HEAD + b"metadata: {labels: {? %s\n: []}}" % (b".a" * (n // 2)),
    ],
)
def test_no_text_takes_more_than_its_length_deserves(make: Callable[[int], bytes]) -> None:
    data = make(MB)
    start = time.process_time()
    found = read(data, "f", "default")
    assert time.process_time() - start < 20
    assert all(len(checked.problems) <= MOST_PROBLEMS + 1 for checked in found)


def test_problems_without_number_are_told_up_to_a_hundred() -> None:
    spec = ", ".join(f"nothing{n}: 1" for n in range(50_000))
    text = f"apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: a}}\nspec: {{{spec}}}"
    start = time.process_time()
    [checked] = read(text.encode(), "f", "default")
    assert time.process_time() - start < 10
    assert len(checked.problems) == MOST_PROBLEMS + 1
    assert not checked.valid


VALID = b"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, labels: {app: "yes"}}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /a}, headers: {x-user: {exact: jason}}}]
    route: &r
    - destination: {host: reviews, subset: v1, port: {number: 80}}
      weight: 90
    timeout: 5s
  - route: *r
"""


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(alphabet="[]{}:,-&*!|>'\"%@`#? \n\tab<0.9~", max_size=80).map(str.encode))
def test_no_bytes_whatever_break_the_codec(data: bytes) -> None:
    for checked in read(data, "f", "default"):
        assert checked.resource is None and checked.problems


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(VALID) - 1), st.integers(0, 40), st.binary(max_size=4), st.randoms(use_true_random=False))
def test_a_damaged_document_is_read_or_refused(at: int, gone: int, put: bytes, chance: random.Random) -> None:
    data = VALID[:at] + put + VALID[at + gone :]
    for checked in read(data, "f", "default"):
        sound(checked)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


NAMES = (
    *("hosts", "http", "match", "uri", "exact", "route", "destination", "host", "port", "number", "tls", "weight"),
    *("trafficPolicy", "loadBalancer", "subsets", "labels", "egress", "ingress", "endpoints", "address", "ports"),
    *("template", "probe", "mode", "extensionProviders", "name", "timeout", "retries", "outboundTrafficPolicy"),
    *("selector", "matchLabels", "targetRef", "kind", "portLevelMtls", "mtls", "jwtRules", "issuer", "jwks", "jwksUri"),
    *("fromHeaders", "rules", "action", "from", "source", "to", "operation", "when", "key", "values", "principals"),
    *("ipBlocks", "serviceAccounts", "paths", "annotations", "istio.io/dry-run"),
)


def shaped(kind: str) -> st.SearchStrategy[Any]:
    """Documents of a kind whose fields are often those that it has."""
    names = st.sampled_from(NAMES)
    inner = st.recursive(
        ANYTHING
        | st.sampled_from(["1s", "a.b", "*", "80", "/x", "/{*}", "a/b", "DENY", '{"keys": []}', "request.headers[a]"]),
        lambda more: st.lists(more, max_size=3) | st.dictionaries(names, more, max_size=4),
        max_leaves=20,
    )
    metadata = st.just({"name": "mesh" if kind == "MeshConfig" else "a"}) | inner
    fields = {"apiVersion": st.just(str(APIS[kind])), "kind": st.just(kind), "metadata": metadata, "spec": inner}
    return st.fixed_dictionaries(fields)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(SPECS)).flatmap(shaped), ANYTHING)
def test_no_document_from_a_peer_breaks_the_codec(value: Any, lines: Any) -> None:
    [checked] = check_all([Document("f", 1, 1, value, lines)], "default")
    sound(checked)


def sound(checked: Checked) -> None:
    """A resource, or a reason why there is none."""
    bad = [problem for problem in checked.problems if problem.severity != "warning"]
    assert (checked.resource is None) == bool(bad)


RESOURCE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: service-{n}
spec:
  hosts: [service-{n}]
  http:
  - match:
    - uri: {{prefix: /api}}
      headers: {{x-user: {{exact: jason}}}}
    route:
    - destination: {{host: service-{n}, subset: v1}}
      weight: 90
    - destination: {{host: service-{n}, subset: v2}}
      weight: 10
    timeout: 5s
  - route:
    - destination: {{host: service-{n}}}
---
"""


@pytest.mark.soak
def test_ten_thousand_resources_are_read_in_seconds_and_little_memory() -> None:
    data = "".join(RESOURCE.format(n=n) for n in range(10_000)).encode()
    start = time.process_time()
    found = read(data, "f", "default")
    took = time.process_time() - start
    assert sum(checked.resource is not None for checked in found) == 10_000
    assert took < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 800 * 1024  # KiB, all of the test process


@pytest.mark.soak
def test_memory_grows_with_the_file_and_not_faster() -> None:
    used = []
    for count in (200, 2_000):
        data = "".join(RESOURCE.format(n=n) for n in range(count)).encode()
        tracemalloc.start()
        read(data, "f", "default")
        used.append(tracemalloc.get_traced_memory()[1] / len(data))
        tracemalloc.stop()
    assert used[1] < 1.5 * used[0]
    assert used[1] < 60  # bytes for each of the file


def test_a_thousand_times_more_hosts_cost_no_million_times_more() -> None:
    text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [%s]\n"
    text += "  http: [{route: [{destination: {host: a}}]}]\n"
    start = time.process_time()
    [checked] = read((text % ", ".join(f"h{n}.com, '*.w{n}.com'" for n in range(20_000))).encode(), "f", "default")
    assert time.process_time() - start < 20
    assert checked.resource is not None
