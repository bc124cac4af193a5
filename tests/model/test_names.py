"""How hosts name services."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.model.names import (
    Destination,
    ServiceName,
    authorities,
    destination_from,
    destination_of,
    is_label,
    label_problem,
)

B = ServiceName("default", "service-b")


@pytest.mark.parametrize(
    ("authority", "port"),
    [
        ("service-b", 80),
        ("SERVICE-B", 80),
        ("service-b:8080", 8080),
        ("service-b.default", 80),
        ("service-b.default.svc:81", 81),
        ("service-b.default.svc.cluster.local", 80),
        ("service-b.default.svc.cluster.local.", 80),
    ],
)
def test_every_form_of_a_name_is_understood(authority: str, port: int) -> None:
    assert destination_of(authority, "default") == Destination(B, port)


@pytest.mark.parametrize(
    "authority",
    ["", ".", "a..b", "-a", "a-", "under_score", "service-b:", "service-b:0", "service-b:65536", "service-b:http", "service-b:٣",
     "127.0.0.1", "[::1]:80", "www.example.com", "a" * 64, "service-b.default.svc.example.org", "../x"],
)  # fmt: skip
def test_what_can_be_no_mesh_name_is_none(authority: str) -> None:
    assert destination_of(authority, "default") is None


def test_a_full_name_may_be_in_a_namespace_that_is_not_known_yet() -> None:
    full = destination_of("x.new.svc.cluster.local", "default")
    assert full == Destination(ServiceName("new", "x"), 80)


def test_a_bare_name_is_one_of_the_callers_namespace() -> None:
    assert destination_of("x", "shop") == Destination(ServiceName("shop", "x"), 80)


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@given(labels, labels, st.integers(1, 65535), st.booleans())
def test_every_authority_of_a_destination_leads_back_to_it(name: str, namespace: str, port: int, same: bool) -> None:
    destination = Destination(ServiceName(namespace, name), port)
    caller = namespace if same else f"{namespace}x"
    written = authorities(destination, caller)
    assert len(set(written)) == len(written)
    for authority in written:
        assert destination_of(authority, caller) == destination
    assert destination_from(str(destination)) == destination


@given(st.text(max_size=80))
def test_any_text_is_answered_without_an_error(text: str) -> None:
    found = destination_of(text, "default")
    assert found is None or is_label(found.service.name)
    assert (label_problem("service name", text) is None) == is_label(text)
