"""What a workload is called in figures, written and read."""

from __future__ import annotations

import pytest

from tulle.model.names import ServiceName
from tulle.model.peer import Peer, peer_of, read, written
from tulle.model.workload import Workload

REVIEWS = Workload("reviews-1", ServiceName("shop", "reviews"), "reviews")


def test_a_workload_is_called_by_its_service_and_its_version() -> None:
    versioned = Workload("reviews-1", ServiceName("shop", "reviews"), "reviews", version="v1.2")
    assert peer_of(versioned) == Peer("reviews-v1.2", "shop", "reviews", "v1.2", "reviews", "v1.2")


def test_without_a_version_it_is_called_by_its_service_and_its_revision_is_latest() -> None:
    assert peer_of(REVIEWS) == Peer("reviews", "shop", "reviews", "unknown", "reviews", "latest")


def test_its_labels_may_say_another_application_and_canonical_service() -> None:
    labels = (
        ("app", "book"),
        ("service.istio.io/canonical-name", "books"),
        ("service.istio.io/canonical-revision", "r7"),
    )
    labelled = Workload("reviews-1", ServiceName("shop", "reviews"), "reviews", "v1", labels)
    assert peer_of(labelled) == Peer("reviews-v1", "shop", "book", "v1", "books", "r7")


@pytest.mark.parametrize("field", ["v1", "1.2.3", "a_b", "_u", "._d_", "A-b", "a/b", ""])
def test_what_is_written_is_read_again(field: str) -> None:
    peer = Peer("w", "n", field, field, "s", field)
    assert read(written(peer)) == peer


@pytest.mark.parametrize(
    "text", ["", "-", "web", "a.b.c.d.e.f.other", "a.b.c.d.e.workload", "a..c.d.e.f.workload", "x" * 700]
)
def test_anything_else_is_no_workload(text: str) -> None:
    assert read(text) is None
