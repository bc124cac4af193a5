"""How a file becomes documents: what words mean, where values stand, and what several documents in a file are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.sources.documents import Document, documents
from tulle.sources.problems import Severity


def one(text: str) -> Document:
    [document] = documents(text.encode(), "f")
    return document


def value(text: str) -> Any:
    document = one(f"v: {text}")
    assert document.problems == ()
    return document.value["v"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((word, True) for word in ("true", "True", "yes", "Yes", "on", "ON", "y", "Y")),
        *((word, False) for word in ("false", "FALSE", "no", "off", "Off", "n", "N")),
        *((word, None) for word in ("", "~", "null", "NULL")),
        *(("0755", 493), ("0o17", 15), ("0x1F", 31), ("-0b11", -3), ("1_000", 1000), ("+7", 7), ("-0", 0)),
        *(("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("2.", 2.0), ("09", 9.0), ("18446744073709551616", 2.0**64)),
        *((text, text) for text in ("yEs", "1.2.3.4", "2020-01-01", "1m", "12:30:45", "-a", "+", "0x", "a_1", "=")),
        *(('"yes"', "yes"), ("'80'", "80"), ("!!str 80", "80"), ("!!float 3", 3.0), ("! 80", "80"), ("|\n  80", "80")),
    ],
)
def test_plain_words_mean_what_they_do_to_kubernetes(written: str, meant: object) -> None:
    found = value(written)
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (".inf", "it can't be .inf: write a number that has an end"),
        ("-.INF", "it can't be -.INF: write a number that has an end"),
        (".nan", "it can't be .nan: write a number that has an end"),
        ("1e999", "it is greater than any number"),
        ("9" * 301, "it has too many digits"),
        ("!foo 3", "it has the tag !foo, which means nothing here: leave it out"),
        ("!!binary aGk=", "it has the tag tag:yaml.org,2002:binary, which means nothing here: leave it out"),
        ("!!int x", "it is tagged int, but is none"),
        ("!foo {a: 1}", "its tag !foo means nothing here: leave it out"),
        ("!!map [1]", "its tag tag:yaml.org,2002:map means nothing here: leave it out"),
    ],
)
def test_what_json_can_not_say_is_an_error_in_its_place(written: str, message: str) -> None:
    [problem] = one(f"a: 1\nb:\n  - v: {written}").problems
    assert (problem.line, problem.path, problem.message) == (3, "b[0].v", message)


def test_each_value_has_the_line_of_its_name() -> None:
    document = one("# first\n\nkind: X\nspec:\n  http:\n  - route:\n    - a.b/c[0]: 1\n      x:\n        1\n  - {}\n")
    assert document.line == 3
    assert dict(document.by_path) == {
        "": 3,
        "kind": 3,
        "spec": 4,
        "spec.http": 5,
        "spec.http[0]": 6,
        "spec.http[0].route": 6,
        "spec.http[0].route[0]": 7,
        "spec.http[0].route[0].a.b/c[0]": 7,
        "spec.http[0].route[0].x": 8,
        "spec.http[1]": 10,
    }
    assert all(document.by_path[path] == line for path, line in document.by_path.items())
    assert document.by_path.get("spec.http[2]") is None


def test_documents_are_counted_without_empty_ones() -> None:
    text = "%YAML 1.2\n---\n# nothing\n---\na: 1\n---\n\n--- # nothing\n---\nb: |\n  x\n  --- y\n...\n---\nc: 1\n...\n# end\n"
    found = documents(text.encode(), "f")
    assert [(each.number, each.line, each.value) for each in found] == [
        (1, 5, {"a": 1}),
        (2, 10, {"b": "x\n--- y\n"}),
        (3, 15, {"c": 1}),
    ]


def test_a_broken_document_hides_none_of_the_others() -> None:
    found = documents(b"a: 1\n---\nb: [1\n---\nc: 'x\n---\nd: 1\na: 1\na: 2\n", "f")
    assert [each.value for each in found] == [{"a": 1}, None, None, {"d": 1, "a": 1}]
    assert [problem.line for each in found for problem in each.problems] == [3, 5, 9]
    assert found[3].problems[0].message == "it is given twice, first in line 8"


@pytest.mark.parametrize("kind", ["List", "VirtualServiceList"])
def test_the_items_of_a_list_are_documents_of_their_own(kind: str) -> None:
    text = f"apiVersion: v1\nkind: {kind}\nitems:\n- a: 1\n- b:\n    c: .nan\n- kind: List\n  items: [{{d: 1}}]\n"
    found = documents(text.encode(), "f")
    assert [(each.number, each.line, each.value) for each in found] == [
        (1, 4, {"a": 1}),
        (2, 5, {"b": {"c": ".nan"}}),
        (3, 8, {"d": 1}),
    ]
    assert [[(p.path, p.line) for p in each.problems] for each in found] == [[], [("b.c", 6)], []]


def test_json_documents_are_read_exactly_with_their_lines() -> None:
    text = '{"a": "\\u00e4 {\\"",\n "b": [1,\n  2.50, {"c": null}]}\n\n{"a": 1,\n "x": {"y": 1,\n "y": 2}}\n[{"d": 1}, {"e": 2}]'
    found = documents(text.encode(), "f")
    assert [each.value for each in found] == [
        {"a": 'ä {"', "b": [1, 2.5, {"c": None}]},
        {"a": 1, "x": {"y": 2}},
        {"d": 1},
        {"e": 2},
    ]
    assert dict(found[0].by_path) == {"": 1, "a": 1, "b": 2, "b[0]": 2, "b[1]": 3, "b[2]": 3, "b[2].c": 3}
    [problem] = found[1].problems
    assert (problem.line, problem.path, problem.message) == (7, "x.y", "it is given twice, first in line 6")
    assert [each.line for each in found] == [1, 5, 8, 8]


def test_what_looks_like_json_and_is_none_is_yaml() -> None:
    assert one("{a: yes, b: [x,]}  # fine").value == {"a": True, "b": ["x"]}
    [problem] = one('{"a": 1,\n "b": ]}').problems
    assert (problem.line, problem.message) == (2, "this is no JSON: expecting value, at column 7")
    [problem] = one("{a: 1,\n b: ]}").problems
    assert problem.line == 2 and problem.message.startswith("this is no YAML: ")
    assert one('\n{"a": NaN}').value == {"a": "NaN"}


@pytest.mark.parametrize(
    ("text", "file", "line", "told"),
    [
        ('{\n  "kind": "VirtualService"\n  "spec": {}\n}\n', "a.json", 3, "expecting ',' delimiter, at column 3"),
        ('{"kind": "VirtualService', "-", 1, "unterminated string, at column 10"),
        ('{"kind": 1,\n', "-", 1, "expecting property name enclosed in double quotes, at its end"),
        ('[{"a": 1},\n{"a": }', "-", 2, "expecting value, at column 7"),
        ("{kind: ", "a.json", 1, "expecting property name enclosed in double quotes, at column 2"),
        ('{"a": "\x01}', "-", 1, "invalid control character, at column 8"),
    ],
)
def test_broken_json_is_told_with_its_line_and_column(text: str, file: str, line: int, told: str) -> None:
    *_, found = documents(text.encode(), file)
    assert [(p.line, p.message) for p in found.problems] == [(line, f"this is no JSON: {told}")]


def test_of_json_documents_those_before_a_broken_one_are_read() -> None:
    first, second = documents(b'{"a": 1}\n{"b" 2}\n', "f")
    assert first.value == {"a": 1} and second.problems[0].line == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e9, 1e9) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_any_json_is_read_as_json_says(written: object) -> None:
    text = json.dumps({"v": written}, indent=1)
    document = one(text)
    assert (document.value, document.problems) == ({"v": written}, ())
    lines = text.split("\n")
    for path, line in document.by_path.items():
        assert line <= len(lines), path


def test_anchors_and_merges_are_written_out() -> None:
    document = one("a: &x {b: 1, c: 2}\nd: *x\ne:\n  <<: *x\n  b: 3\nf:\n  <<: [{g: 1}, *x, {b: 9}]\n")
    assert document.value["d"] == {"b": 1, "c": 2}
    assert document.value["e"] == {"b": 3, "c": 2}
    assert document.value["f"] == {"g": 1, "b": 1, "c": 2}
    assert (document.by_path["e.c"], document.by_path["e.b"]) == (1, 5)
    [problem] = one("a: {<<: 3, b: 1}").problems
    assert problem.message == "<< takes a mapping, or a list of them"


def test_names_that_are_no_texts_become_such() -> None:
    document = one("80: a\n1.5: b\non: c\ntrue: d\n")
    assert list(document.value) == ["80", "1.5", "true"]
    warning, twice = sorted(document.problems)
    assert warning.severity is Severity.WARNING
    assert warning.message == 'the name `on` is read as true, as Kubernetes does: "on" is a text'
    assert (twice.line, twice.path, twice.message) == (4, "true", "it is given twice, first in line 3")
    for strange in ("? [a]\n: 1", "? {a: 1}\n: 1", "~: 1"):
        [problem] = one(strange).problems
        assert problem.message == "a name must be a text"


CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  meshNetworks: 'networks: {}'
  mesh: |-
    rootNamespace: istio-system
    outboundTrafficPolicy:
      mode: ALLOW_ANY
"""


def test_the_mesh_config_is_taken_out_of_istios_config_map() -> None:
    document = one(CONFIG_MAP)
    assert document.value["kind"] == "MeshConfig"
    assert document.value["spec"] == {
        "rootNamespace": "istio-system",
        "outboundTrafficPolicy": {"mode": "ALLOW_ANY"},
    }
    assert document.by_path["spec.outboundTrafficPolicy.mode"] == 9
    [problem] = one(CONFIG_MAP.replace("mode:", "mode: :")).problems
    assert problem.line == 9
    assert one(CONFIG_MAP.replace("name: istio,", "name: other,")).value["kind"] == "ConfigMap"
