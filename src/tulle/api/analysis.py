"""`POST /v1/analysis`: what of the declared resources does nothing, as they are or as documents would make them.

Both go on a copy of the mesh's value, beside the event loop: nothing is written, and no proxy is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tulle.api.bodies import body_of
from tulle.api.conventions import MOST_DOCUMENTS_BYTES
from tulle.api.declared_state import finding_view
from tulle.api.doors import Force
from tulle.api.sent_documents import checked_documents, is_file
from tulle.api.views import FindingView
from tulle.model.levels import Level
from tulle.model.names import DEFAULT_NAMESPACE, label_problem
from tulle.model.resources.resource import Ref, Resource
from tulle.model.snapshot import Snapshot
from tulle.resolve import index
from tulle.resolve.analysis.analyse import analyse
from tulle.resolve.analysis.findings import SCHEMA_ERROR, SCHEMA_WARNING, Finding
from tulle.resolve.mesh import Mesh
from tulle.sources.at import At, Report
from tulle.sources.codec import Checked
from tulle.sources.problems import Severity
from tulle.sources.validation.kinds import CHECKS

_LEVELS = {Severity.ERROR: Level.ERROR, Severity.UNSUPPORTED: Level.ERROR, Severity.WARNING: Level.WARNING}


class Analysis:
    def __init__(self, force: Force) -> None:
        self._force = force
        self._one_at_a_time = asyncio.Semaphore(1)

    @property
    def routes(self) -> list[Route]:
        return [Route("/v1/analysis", self.analysis, methods=["POST"])]

    async def analysis(self, request: Request) -> Response:
        namespace = request.query_params.get("namespace", DEFAULT_NAMESPACE)
        if problem := label_problem("namespace", namespace):
            raise HTTPException(400, problem)
        of_all = request.query_params.get("all", "") in ("1", "true")
        async with self._one_at_a_time:
            body, mesh = await body_of(request, MOST_DOCUMENTS_BYTES), self._force.mesh()
            checked = await asyncio.to_thread(checked_documents, body, namespace, of_file=is_file(request))
            found = await asyncio.to_thread(_analysed, checked, mesh, namespace, of_all)
        return Response(found, media_type="application/json")


def _analysed(checked: Sequence[Checked], mesh: Mesh, namespace: str, of_all: bool) -> bytes:
    """Of documents: what is found in them, and what they bring about elsewhere."""
    if checked:
        found = _of_documents(checked, mesh)
    else:
        found = [one for one in _of_mesh(mesh) if of_all or one.namespace in (namespace, "")]
    found.sort(key=lambda one: (one.file, one.line, one.path, one.message))
    return msgspec.json.encode(found)


def _of_mesh(mesh: Mesh) -> list[FindingView]:
    resources = mesh.declared.resources
    warned = [view for resource in resources.values() for view in _warnings(resource)]
    return warned + [finding_view(finding, resources[finding.ref]) for finding in analyse(mesh)]


def _of_documents(checked: Sequence[Checked], mesh: Mesh) -> list[FindingView]:
    given = {one.resource.ref: one.resource for one in checked if one.resource is not None}
    after, _ = index.apply(mesh, Snapshot(mesh.revision, resources=_as_stored(given, mesh)))
    before = set(analyse(mesh))
    resources = after.declared.resources
    brought = [f for f in analyse(after) if f.ref in given or f not in before]
    return [*_problems(checked), *(finding_view(finding, resources[finding.ref]) for finding in brought)]


def _as_stored(given: Mapping[Ref, Resource], mesh: Mesh) -> dict[Ref, Resource | None]:
    """As old as what is there; what is new is the youngest of all."""
    resources = mesh.declared.resources
    newest = max((one.created for one in resources.values()), default=0.0) + 1
    return {
        ref: replace(one, created=there.created if (there := resources.get(ref)) else newest)
        for ref, one in given.items()
    }


def _problems(checked: Iterable[Checked]) -> Iterator[FindingView]:
    """What is wrong with documents; what can't be applied is left out of the rest."""
    for one in checked:
        for problem in one.problems:
            code = SCHEMA_WARNING if problem.severity is Severity.WARNING else SCHEMA_ERROR
            word = "unsupported: " if problem.severity is Severity.UNSUPPORTED else ""
            yield FindingView(
                kind=one.kind,
                namespace=one.namespace,
                name=one.name,
                file=one.document.file,
                line=problem.line,
                path=problem.path,
                message=f"{word}{problem.message}",
                level=_LEVELS[problem.severity],
                code=code,
            )


def _warnings(resource: Resource) -> Iterator[FindingView]:
    """What its document alone says, as it did when it was applied."""
    report = Report(resource.origin.lines, resource.ref.namespace)
    CHECKS[resource.ref.kind](resource.spec, At(report, "spec"))
    for problem in report.problems:
        if problem.severity is Severity.WARNING:
            finding = Finding(resource.ref, problem.path, problem.message, Level.WARNING, SCHEMA_WARNING)
            yield finding_view(finding, resource)
