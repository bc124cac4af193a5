"""Declared resources: applied as one, read, watched, deleted.

A body is a line of JSON per document, as `sources.documents` reads them from a file. They are checked here again, as a
caller may be of another version. All that grows with their number is done beside the event loop, which has leases to keep.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tulle.api.bodies import body_of
from tulle.api.views import AppliedView, ChangeView, DeclaredView, OutcomeView, ProblemView
from tulle.model.names import DEFAULT_NAMESPACE, label_problem
from tulle.model.resources.resource import SPECS, Ref
from tulle.sources.codec import Checked, check_all
from tulle.sources.documents import Document
from tulle.sources.errors import Conflict, TooMany
from tulle.sources.problems import Problem, Severity
from tulle.sources.selector import Labels, selector
from tulle.sources.stored import Action, Declared, Outcome, Stored
from tulle.store.errors import Compacted

MOST_DOCUMENTS_BYTES = 64 * 1024 * 1024

NO_NAMESPACE = "-"  # in a path
MESH_WIDE = "MeshConfig"  # of no namespace, so in every one

T = TypeVar("T")

_document = msgspec.json.Decoder(Document)
_refs = msgspec.json.Decoder(list[Ref])
_encoder = msgspec.json.Encoder()


class Resources:
    """The paths under /v1/resources."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._checking = asyncio.Semaphore(1)  # one huge apply at a time holds its documents in memory

    @property
    def routes(self) -> list[Route]:
        one = "/v1/resources/{kind}/{namespace}/{name}"
        return [
            Route("/v1/resources", self.listing),
            Route("/v1/resources", self.apply, methods=["POST"]),
            Route("/v1/resources/delete", self.delete_several, methods=["POST"]),
            Route(one, self.one),
            Route(one, self.delete, methods=["DELETE"]),
        ]

    async def apply(self, request: Request) -> Response:
        asked, namespace = request.query_params, request.query_params.get("namespace", DEFAULT_NAMESPACE)
        if problem := label_problem("namespace", namespace):
            raise HTTPException(400, problem)
        async with self._checking:
            body = await body_of(request, MOST_DOCUMENTS_BYTES)
            checked = await _aside(lambda: _checked(body, namespace))
            problems = [_problem(one, problem) for one in checked for problem in sorted(one.problems)]
            refused = [problem for problem in problems if problem.severity != Severity.WARNING]
            if refused:
                counted = f"{len(refused)} problem{'s' if len(refused) > 1 else ''}"
                return _json({"error": f"nothing was applied: {counted}", "problems": problems}, 422)
            resources = [one.resource for one in checked if one.resource is not None]
            revisions = [_revision(text) for text in asked.getlist("revision")]
            if revisions and len(revisions) != len(resources):
                raise HTTPException(400, f"{len(revisions)} revisions are given for {len(resources)} documents")
            expected = {one.ref: revision for one, revision in zip(resources, revisions, strict=False)}
            try:
                outcomes = await self._declared.apply(resources, expected=expected, dry_run=_is_set(request, "dry_run"))
            except Conflict as error:
                raise HTTPException(409, str(error)) from error
            except (TooMany, ValueError) as error:
                raise HTTPException(422, f"nothing was applied: {error}") from error
        return _json(AppliedView(_outcomes(outcomes), problems))

    async def listing(self, request: Request) -> Response:
        wanted = _Wanted(request)
        revision, found = await self._listed(wanted)
        if _is_set(request, "watch"):
            return StreamingResponse(self._changes(wanted, revision, found), media_type="application/x-ndjson")
        body = await _aside(lambda: _encoder.encode([_view(one) for one in found]))
        return Response(body, media_type="application/json")

    async def one(self, request: Request) -> Response:
        ref = _ref(request)
        if (stored := await self._declared.get(ref)) is None:
            raise HTTPException(404, f"there is no {ref}")
        return _json(_view(stored))

    async def delete(self, request: Request) -> Response:
        ref, asked = _ref(request), request.query_params
        expected = {ref: _revision(asked["revision"])} if "revision" in asked else None
        try:
            outcomes = await self._declared.delete([ref], expected=expected, dry_run=_is_set(request, "dry_run"))
        except Conflict as error:
            raise HTTPException(409, str(error)) from error
        if not outcomes:
            raise HTTPException(404, f"there is no {ref}")
        return _json(_outcomes(outcomes)[0])

    async def delete_several(self, request: Request) -> Response:
        try:
            refs = _refs.decode(await body_of(request))
            outcomes = await self._declared.delete(refs, dry_run=_is_set(request, "dry_run"))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise HTTPException(400, f"this is no list of kind, namespace and name: {error}") from error
        except (TooMany, ValueError) as error:
            raise HTTPException(422, f"nothing was deleted: {error}") from error
        return _json(_outcomes(outcomes))

    async def _listed(self, wanted: _Wanted) -> tuple[int, list[Stored]]:
        revision, found = await self._declared.listed(wanted.kinds[0] if len(wanted.kinds) == 1 else "")
        return revision, [one for one in found if wanted.has(one)]

    async def _changes(self, wanted: _Wanted, revision: int, found: Sequence[Stored]) -> AsyncGenerator[bytes, None]:
        """The lines of a watch; it ends where the caller has to list again."""
        shown = {one.resource.ref for one in found}
        yield _encoder.encode(ChangeView("listed", [_view(one) for one in found])) + b"\n"
        try:
            async with aclosing(self._declared.changes(revision)) as batches:
                async for batch in batches:
                    written = [stored for _, stored in batch if stored is not None and wanted.has(stored)]
                    shown |= {one.resource.ref for one in written}
                    gone = [ref for ref, stored in batch if ref in shown and (stored is None or not wanted.has(stored))]
                    shown -= set(gone)
                    if written:
                        yield _encoder.encode(ChangeView("written", [_view(one) for one in written])) + b"\n"
                    if gone:
                        lost = [OutcomeView(ref.kind, ref.namespace, ref.name, Action.DELETED) for ref in gone]
                        yield _encoder.encode(ChangeView("deleted", gone=lost)) + b"\n"
        except Compacted:
            return


class _Wanted:
    """What a request's query asks for: `kind` (may be repeated), `namespace`, `labels` (a selector)."""

    def __init__(self, request: Request) -> None:
        asked = request.query_params
        self.kinds = asked.getlist("kind")
        if strange := [kind for kind in self.kinds if kind not in SPECS]:
            raise HTTPException(400, f"there is no kind {strange[0]!r}: use {', '.join(SPECS)}")
        self._namespace = asked.get("namespace")
        self._selects: Callable[[Labels], bool]
        try:
            self._selects = selector(asked.get("labels", ""))
        except ValueError as error:
            raise HTTPException(400, f"labels: {error}") from error

    def has(self, stored: Stored) -> bool:
        ref = stored.resource.ref
        return (
            (not self.kinds or ref.kind in self.kinds)
            and (self._namespace in (None, ref.namespace) or ref.kind == MESH_WIDE)
            and self._selects(stored.resource.labels)
        )


def _checked(body: bytes, namespace: str) -> list[Checked]:
    """Raises HTTPException."""
    documents = []
    for line in body.split(b"\n"):
        if line:
            try:
                documents.append(_document.decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise HTTPException(400, f"a line is no document: {error}") from error
    return check_all(documents, namespace)


def _problem(checked: Checked, problem: Problem) -> ProblemView:
    return ProblemView(checked.document.file, problem.line, problem.path, problem.message, problem.severity)


def _view(stored: Stored) -> DeclaredView:
    one = stored.resource
    return DeclaredView(
        kind=one.ref.kind,
        namespace=one.ref.namespace,
        name=one.ref.name,
        revision=stored.revision,
        generation=one.generation,
        created=one.created,
        labels=dict(one.labels),
        annotations=dict(one.annotations),
        file=one.origin.file,
        line=one.origin.line,
        spec=one.spec,
    )


def _outcomes(outcomes: Iterable[Outcome]) -> list[OutcomeView]:
    return [OutcomeView(one.ref.kind, one.ref.namespace, one.ref.name, one.action) for one in outcomes]


def _ref(request: Request) -> Ref:
    at = request.path_params
    if at["kind"] not in SPECS:
        raise HTTPException(404, f"there is no kind {at['kind']!r}: use {', '.join(SPECS)}")
    return Ref(at["kind"], "" if at["namespace"] == NO_NAMESPACE else at["namespace"], at["name"])


def _revision(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise HTTPException(400, "revision must be that of a resource, or 0 where there must be none")
    return int(text)


def _is_set(request: Request, name: str) -> bool:
    return request.query_params.get(name, "") in ("1", "true")


def _json(content: object, status: int = 200) -> Response:
    return Response(_encoder.encode(content), status, media_type="application/json")


async def _aside(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)
