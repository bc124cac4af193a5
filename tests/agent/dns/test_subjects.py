"""Which names can be the mesh's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.agent.dns.subjects import Ours, Reverse, Service, subject
from tulle.model.addresses import CANARY_VIP
from tulle.model.names import destination_of

HOST = "a.shop.svc.cluster.local"
PARTS = ["a", "b-1", "svc", "cluster", "local", "corp", "com", "tulle", "_tcp", "-x", "x" * 63, "x" * 64]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", Service(HOST, is_certain=False)),
        ("a.shop", Service(HOST, is_certain=False)),
        ("a.shop.svc", Service(HOST, is_certain=True)),
        (HOST, Service(HOST, is_certain=True)),
        ("a.svc", Service("a.svc.svc.cluster.local", is_certain=False)),
        ("a.b.shop.svc", Ours(None)),
        ("a_.shop.svc", Ours(None)),
        ("x.a.shop.svc.cluster.local", Ours(None)),
        ("svc.cluster.local", Ours(None)),
        ("a.shop.pod.cluster.local", None),
        ("cluster.local", Service("cluster.local.svc.cluster.local", is_certain=False)),
        ("a.corp.com", None),
        ("a.shop.svc.corp.com", None),
        ("_tcp.com", None),
        ("-a", None),
        ("", None),
        ("canary.tulle.internal", Ours(CANARY_VIP)),
        ("tulle.internal", Ours(None)),
        ("internal", Service("internal.shop.svc.cluster.local", is_certain=False)),
        ("1.0.64.127.in-addr.arpa", Reverse("127.64.0.1")),
        ("255.255.127.127.in-addr.arpa", Reverse("127.127.255.255")),
        ("1.0.63.127.in-addr.arpa", None),
        ("1.0.128.127.in-addr.arpa", None),
        ("01.0.64.127.in-addr.arpa", None),
        ("256.0.64.127.in-addr.arpa", None),
        ("a.0.64.127.in-addr.arpa", None),
        ("0.64.127.in-addr.arpa", None),
    ],
)
def test_a_name_tells_what_it_is_about(name: str, expected: object) -> None:
    assert subject(tuple(name.encode().split(b".")) if name else (), "shop") == expected


def test_a_dot_within_a_label_is_no_dot() -> None:
    assert subject((b"a.shop",), "shop") is None


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=5))
def test_a_host_is_a_service_here_exactly_if_it_is_one_in_a_url(labels: list[str]) -> None:
    about = subject(tuple(label.encode() for label in labels), "shop")
    destination = destination_of(".".join(labels), "shop")
    assert (about.host if isinstance(about, Service) else None) == (destination and destination.service.host)


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=8))
def test_any_labels_will_do(labels: list[bytes]) -> None:
    subject(tuple(labels), "shop")
