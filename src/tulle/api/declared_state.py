"""A declared resource as it is shown: what its user wrote, and what came of it in the mesh."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tulle.api.decisions import Heard, by_source
from tulle.api.doors import KeyTrouble
from tulle.api.key_findings import key_findings
from tulle.api.views import DecisionView, DeclaredView, FindingView, InForceView, RejectionView
from tulle.model.resources.resource import Ref, Resource
from tulle.pipeline.in_force import InForce
from tulle.resolve.analysis.analyse import analyse
from tulle.resolve.analysis.findings import Finding, line_of
from tulle.resolve.mesh import Mesh
from tulle.sources.stored import Stored


def declared_views(
    stored: Sequence[Stored],
    mesh: Mesh,
    in_force: Mapping[str, InForce],
    troubles: Mapping[str, KeyTrouble] = {},
    heard: Sequence[Heard] = (),
) -> list[DeclaredView]:
    """Costs an analysis of each. troubles: of key sets, by their URI. heard: what access rules have decided."""
    refs = [one.resource.ref for one in stored]
    found: defaultdict[Ref, list[Finding]] = defaultdict(list)
    for finding in analyse(mesh, refs):
        found[finding.ref].append(finding)
    for one in stored:
        found[one.resource.ref] += key_findings(one.resource, troubles)
    decisions = by_source(heard, [str(ref) for ref in refs])
    return [
        _view(
            one,
            mesh,
            in_force.get(str(one.resource.ref), InForce()),
            found[one.resource.ref],
            decisions.get(str(one.resource.ref), []),
        )
        for one in stored
    ]


def finding_view(finding: Finding, resource: Resource) -> FindingView:
    ref = finding.ref
    return FindingView(
        kind=ref.kind,
        namespace=ref.namespace,
        name=ref.name,
        file=resource.origin.file,
        line=line_of(resource, finding.path),
        path=finding.path,
        message=finding.message,
        level=finding.level,
        code=finding.code,
    )


def _view(
    stored: Stored, mesh: Mesh, in_force: InForce, found: Sequence[Finding], decisions: list[DecisionView]
) -> DeclaredView:
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
        in_force=InForceView(
            in_force.needed, in_force.acknowledged, [RejectionView(proxy, why) for proxy, why in in_force.rejected]
        ),
        status=_status(one, mesh.declared.resources.get(one.ref), in_force, found),
        findings=[finding_view(finding, one) for finding in found],
        decisions=decisions,
    )


def _status(stored: Resource, in_mesh: Resource | None, in_force: InForce, found: Iterable[Finding]) -> str:
    """In a few words. What proxies say comes before what the analysis thinks."""
    if in_mesh is None or (in_mesh.created, in_mesh.generation) < (stored.created, stored.generation):
        return "not taken up yet"
    if in_force.refused:
        return f"rejected by {in_force.refused}"
    if in_force.needed:
        all_of_them = in_force.acknowledged == in_force.needed
        return "in force" if all_of_them else f"{in_force.acknowledged} of {in_force.needed} proxies"
    reason = next((finding.not_in_force for finding in found if finding.not_in_force), "")
    return f"not in force: {reason}" if reason else "no proxy needs it yet"
