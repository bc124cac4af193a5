"""Declared resources: applied as one, read, watched, deleted.

All that grows with their number is done beside the event loop, which has leases to keep.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tulle.api.answers import as_json
from tulle.api.bodies import MALFORMED, body_of
from tulle.api.changes import changes_of
from tulle.api.conventions import MOST_DOCUMENTS_BYTES, NO_NAMESPACE
from tulle.api.decisions import Heard
from tulle.api.declared_state import declared_views
from tulle.api.doors import Awaited, Force, Generation, Keys
from tulle.api.sent_documents import checked_documents, is_file
from tulle.api.views import (
    AppliedView,
    ChangeView,
    DeclaredView,
    OutcomeView,
    ProblemView,
    ProgressView,
    RejectionView,
)
from tulle.model.actions import Action
from tulle.model.names import DEFAULT_NAMESPACE, label_problem
from tulle.model.resources.resource import SPECS, Ref, Resource
from tulle.sources.codec import Checked
from tulle.sources.errors import Conflict, TooMany
from tulle.sources.problems import Problem, Severity
from tulle.sources.selector import Labels, selector
from tulle.sources.stored import Declared, Outcome, Stored
from tulle.store.errors import Compacted

MESH_WIDE = "MeshConfig"  # of no namespace, so in every one
MOST_WAIT = 3600
_FEW = 100  # as many are read one by one

T = TypeVar("T")

_refs = msgspec.json.Decoder(list[Ref])
_encoder = msgspec.json.Encoder()


class Resources:
    """The paths under /v1/resources. decisions: by proxy, what its agent has told."""

    def __init__(
        self, declared: Declared, force: Force, keys: Keys, decisions: Callable[[], Mapping[str, Heard]]
    ) -> None:
        self._decisions = decisions
        self._declared = declared
        self._force = force
        self._keys = keys
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
        namespace, seconds = request.query_params.get("namespace", DEFAULT_NAMESPACE), _seconds(request)
        if problem := label_problem("namespace", namespace):
            raise HTTPException(400, problem)
        async with self._checking:
            body = await body_of(request, MOST_DOCUMENTS_BYTES)
            checked = await _aside(lambda: checked_documents(body, namespace, of_file=is_file(request)))
            warnings, refusal = await _aside(lambda: _judged(checked))
            if refusal is not None:
                return refusal
            resources = [one.resource for one in checked if one.resource is not None]
            expected = _expected(request, [one.ref for one in resources])
            awaited = self._force.awaited([one.ref for one in resources]) if seconds else None
            try:
                outcomes = await self._declared.apply(resources, expected=expected, dry_run=_is_set(request, "dry_run"))
            except Conflict as error:
                raise HTTPException(409, str(error)) from error
            except (TooMany, ValueError) as error:
                raise HTTPException(422, f"nothing was applied: {error}") from error
            await _aside(lambda: _note(request, outcomes))
            answer = await _aside(lambda: _encoder.encode(AppliedView(_outcomes(outcomes), warnings)))
        if awaited is None or _is_set(request, "dry_run"):
            return Response(answer, media_type="application/json")
        return _lines(self._progress(answer, awaited, [one.ref for one in outcomes], seconds))

    async def _progress(
        self, answer: bytes, awaited: Awaited, refs: Sequence[Ref], seconds: float
    ) -> AsyncGenerator[bytes, None]:
        """A line with what was done, then lines of how it goes on."""
        yield answer + b"\n"
        async with aclosing(awaited.progress(await self._generations(refs), seconds)) as steps:
            async for step in steps:
                rejected = [RejectionView(proxy, why) for proxy, why in step.rejected]
                view = ProgressView(
                    step.needed, step.acknowledged, rejected, list(step.missing), step.taken_up, step.is_over
                )
                yield _encoder.encode(view) + b"\n"

    async def _generations(self, refs: Sequence[Ref]) -> dict[Ref, Generation | None]:
        if len(refs) > _FEW:
            _, found = await self._declared.listed()
        else:
            found = [one for ref in refs if (one := await self._declared.get(ref))]
        return await _aside(lambda: _generations(refs, found))

    async def listing(self, request: Request) -> Response:
        wanted = _Wanted(request)
        revision, found = await self._listed(wanted)
        if _is_set(request, "watch"):
            return StreamingResponse(self._changes(wanted, revision, found), media_type="application/x-ndjson")
        body = _encoder.encode(await self._views(found))
        return Response(body, media_type="application/json")

    async def one(self, request: Request) -> Response:
        ref = _ref(request)
        if (stored := await self._declared.get(ref)) is None:
            raise HTTPException(404, f"there is no {ref}")
        return as_json((await self._views([stored]))[0])

    async def _views(self, stored: Sequence[Stored]) -> list[DeclaredView]:
        refs = [one.resource.ref for one in stored]
        in_force, mesh = await self._force.in_force(refs), self._force.mesh()
        troubles, heard = dict(self._keys.troubles()), self._decisions()
        return await _aside(lambda: declared_views(stored, mesh, in_force, troubles, list(heard.values())))

    async def delete(self, request: Request) -> Response:
        ref, asked = _ref(request), request.query_params
        expected = {ref: _revision(asked["revision"])} if "revision" in asked else None
        try:
            outcomes = await self._declared.delete([ref], expected=expected, dry_run=_is_set(request, "dry_run"))
        except Conflict as error:
            raise HTTPException(409, str(error)) from error
        if not outcomes:
            raise HTTPException(404, f"there is no {ref}")
        _note(request, outcomes)
        return as_json(_outcomes(outcomes)[0])

    async def delete_several(self, request: Request) -> Response:
        seconds = _seconds(request)
        try:
            refs = _refs.decode(await body_of(request))
            awaited = self._force.awaited(refs) if seconds else None
            outcomes = await self._declared.delete(refs, dry_run=_is_set(request, "dry_run"))
        except MALFORMED as error:
            raise HTTPException(400, f"this is no list of kind, namespace and name: {error}") from error
        except (TooMany, ValueError) as error:
            raise HTTPException(422, f"nothing was deleted: {error}") from error
        await _aside(lambda: _note(request, outcomes))
        answer = _encoder.encode(_outcomes(outcomes))
        if awaited is None or _is_set(request, "dry_run"):
            return Response(answer, media_type="application/json")
        return _lines(self._progress(answer, awaited, [one.ref for one in outcomes], seconds))

    async def _listed(self, wanted: _Wanted) -> tuple[int, list[Stored]]:
        revision, found = await self._declared.listed(wanted.kinds[0] if len(wanted.kinds) == 1 else "")
        return revision, [one for one in found if wanted.has(one)]

    async def _changes(self, wanted: _Wanted, revision: int, found: Sequence[Stored]) -> AsyncGenerator[bytes, None]:
        """The lines of a watch; it ends where the caller has to list again."""
        shown = {one.resource.ref for one in found}
        yield _encoder.encode(ChangeView("listed", await self._views(found))) + b"\n"
        try:
            async with aclosing(self._declared.changes(revision)) as batches:
                async for batch in batches:
                    written = [stored for _, stored in batch if stored is not None and wanted.has(stored)]
                    shown |= {one.resource.ref for one in written}
                    gone = [ref for ref, stored in batch if ref in shown and (stored is None or not wanted.has(stored))]
                    shown -= set(gone)
                    if written:
                        yield _encoder.encode(ChangeView("written", await self._views(written))) + b"\n"
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


def _judged(checked: Sequence[Checked]) -> tuple[list[ProblemView], Response | None]:
    """Warnings; or all that is wrong, as a refusal. Thousands of problems take a while to write."""
    problems = [_problem(one, problem) for one in checked for problem in sorted(one.problems)]
    refused = sum(problem.severity != Severity.WARNING for problem in problems)
    if not refused:
        return problems, None
    counted = f"{refused} problem{'s' if refused > 1 else ''}"
    return [], as_json({"error": f"nothing was applied: {counted}", "problems": problems}, 422)


def _expected(request: Request, refs: Sequence[Ref]) -> dict[Ref, int]:
    """Raises HTTPException."""
    revisions = [_revision(text) for text in request.query_params.getlist("revision")]
    if revisions and len(revisions) != len(refs):
        raise HTTPException(400, f"{len(revisions)} revisions are given for {len(refs)} documents")
    return dict(zip(refs, revisions, strict=False))


def _problem(checked: Checked, problem: Problem) -> ProblemView:
    return ProblemView(checked.document.file, problem.line, problem.path, problem.message, problem.severity)


def _generations(refs: Iterable[Ref], found: Iterable[Stored]) -> dict[Ref, Generation | None]:
    there = {one.resource.ref: (one.resource.created, one.resource.generation) for one in found}
    return {ref: there.get(ref) for ref in refs}


def _note(request: Request, outcomes: Iterable[Outcome]) -> None:
    """For the audit log."""
    changes = changes_of(request)
    made = [] if _is_set(request, "dry_run") else [one for one in outcomes if one.action is not Action.UNCHANGED]
    if not made:
        changes.none()
    for one in made:
        changes.add(f"{one.action} {one.ref}", _document(one.before), _document(one.after))


def _document(resource: Resource | None) -> dict[str, Any] | None:
    if resource is None:
        return None
    ref = resource.ref
    metadata = {"name": ref.name, "namespace": ref.namespace, "generation": resource.generation}
    for field in ("labels", "annotations"):
        if values := dict(getattr(resource, field)):
            metadata[field] = values
    return {"kind": ref.kind, "metadata": metadata, "spec": msgspec.to_builtins(resource.spec)}


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


def _seconds(request: Request) -> float:
    """For how long a change is waited for; 0 if it is not. Raises HTTPException."""
    text = request.query_params.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MOST_WAIT:
        raise HTTPException(400, f"wait must be a number of seconds, at most {MOST_WAIT}")
    return seconds


def _lines(lines: AsyncGenerator[bytes, None]) -> Response:
    return StreamingResponse(lines, media_type="application/x-ndjson")


def _is_set(request: Request, name: str) -> bool:
    return request.query_params.get(name, "") in ("1", "true")


async def _aside(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)
