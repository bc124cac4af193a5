"""Documents on their way to the control plane, and what it says to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from msgspec import Struct

from tulle.api.conventions import MOST_DOCUMENTS_BYTES
from tulle.api.views import AppliedView, FindingView, ProblemView, ProgressView
from tulle.cli.client import ControlPlane, Query, Refused
from tulle.cli.exits import Failed
from tulle.cli.resources.files import refuse
from tulle.sources.documents import Document

_CHECKED_WITHIN = 120.0  # a folder of 10,000 documents takes seconds


class Problems(Struct):
    """The body of a refusal."""

    problems: list[ProblemView] = []


def apply(
    control_plane: ControlPlane,
    documents: Iterable[Document],
    namespace: str | None,
    *,
    dry_run: bool = False,
    revisions: Sequence[int] = (),
) -> AppliedView:
    """As `post`; raises Failed after printing problems."""
    with _refusing():
        return post(control_plane, documents, namespace, dry_run=dry_run, revisions=revisions)


@contextmanager
def apply_and_follow(
    control_plane: ControlPlane,
    documents: Iterable[Document],
    namespace: str | None,
    seconds: float,
    *,
    revisions: Sequence[int] = (),
) -> Iterator[tuple[AppliedView, Iterator[ProgressView]]]:
    """As `apply`, and how the change goes on, for so many seconds at most."""
    body, query = _request(documents, namespace, dry_run=False, revisions=revisions)
    query.append(("wait", f"{seconds:g}"))
    within = _CHECKED_WITHIN + seconds
    with (
        _refusing(),
        control_plane.post_and_follow("/v1/resources", AppliedView, ProgressView, within, body, query) as answer,
    ):
        yield answer


def post(
    control_plane: ControlPlane,
    documents: Iterable[Document],
    namespace: str | None,
    *,
    dry_run: bool = False,
    revisions: Sequence[int] = (),
) -> AppliedView:
    """All of them or none. revisions: what each resource must have still, 0: it must not be there.

    Raises Refused: 409 if a revision has changed, 422 with `problems_of` it.
    """
    body, query = _request(documents, namespace, dry_run=dry_run, revisions=revisions)
    return control_plane.post("/v1/resources", AppliedView, _CHECKED_WITHIN, body, query)


def analysed(control_plane: ControlPlane, documents: Iterable[Document], query: Query) -> list[FindingView]:
    """What is found in documents as if they were applied; without any, in what is."""
    return control_plane.post("/v1/analysis", list[FindingView], _CHECKED_WITHIN, _body(documents), query)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        refuse(problems_of(refused))
        raise


def _request(
    documents: Iterable[Document], namespace: str | None, *, dry_run: bool, revisions: Sequence[int]
) -> tuple[bytes, list[tuple[str, str]]]:
    query = [("revision", str(revision)) for revision in revisions]
    query += [("namespace", namespace)] if namespace else []
    query += [("dry_run", "1")] if dry_run else []
    return _body(documents), query


def _body(documents: Iterable[Document]) -> bytes:
    body = b"".join(msgspec.json.encode(document) + b"\n" for document in documents)
    if len(body) > MOST_DOCUMENTS_BYTES:
        raise Failed(f"these documents have more than {MOST_DOCUMENTS_BYTES // 2**20} MB together: apply them in parts")
    return body


def problems_of(refused: Refused) -> list[ProblemView]:
    """What is wrong with the documents, if that is why they were refused."""
    try:
        return msgspec.json.decode(refused.body, type=Problems).problems
    except msgspec.MsgspecError:
        return []
