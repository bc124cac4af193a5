"""Telemetries: for nobody, several of which the oldest counts, providers that are not there or are for other things."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tulle.model.resources.mesh_config import ExtensionProvider
from tulle.model.resources.telemetry import ProviderRef, Telemetry
from tulle.resolve.analysis.findings import NOT_FOUND, Findings
from tulle.resolve.analysis.known import Known
from tulle.resolve.analysis.policed import Policed
from tulle.resolve.analysis.whom import check_whom
from tulle.resolve.callers import caller_of
from tulle.resolve.telemetry.applicable import applicable, for_all, targets
from tulle.resolve.telemetry.logs import default_providers
from tulle.resolve.telemetry.providers import TULLE, collector, collector_of_spans, is_logging, provider


def of_telemetry(at: Findings, known: Known) -> None:
    spec = at.resource.spec
    if not isinstance(spec, Telemetry):
        return
    policed = check_whom(at, known, spec)
    _check_which_counts(at, known, spec, policed)
    for index, logging in enumerate(spec.access_logging):
        path = f"spec.accessLogging[{index}]"
        _check_providers(at, known, logging.providers, path, "takes no logs of calls", is_logging)
        if not logging.providers and not logging.disabled and not _inherits_logs(known, spec, index):
            at.warning(
                path, "it names no provider, and no wider scope does: nothing is logged, name one, such as `envoy`"
            )
    for index, tracing in enumerate(spec.tracing):
        path = f"spec.tracing[{index}]"
        _check_providers(
            at, known, tracing.providers[:1], path, "takes no spans", lambda one: one.opentelemetry is not None
        )
    for index, metrics in enumerate(spec.metrics):
        path = f"spec.metrics[{index}]"
        _check_providers(at, known, metrics.providers, path, "keeps no figures", lambda one: one.prometheus is not None)


def _check_which_counts(at: Findings, known: Known, spec: Telemetry, policed: Policed) -> None:
    ref = at.resource.ref
    if not targets(spec) and not (spec.selector and spec.selector.match_labels):
        first = next((one for one, _ in for_all(known.declared.telemetries.get(ref.namespace, ()))), at.resource)
        if first.ref != ref:
            whose = "the mesh" if ref.namespace == known.declared.root_namespace else "the namespace"
            message = f"{first.ref}, older, is for all of {whose} too, and counts: this one does not"
            at.error("spec.selector", message, not_in_force=f"{first.ref}, older, counts for {whose}")
        return
    counting = {one.id: applicable(known.declared, one) for one in policed.workloads}
    lost = [id for id, found in counting.items() if all(one.ref != ref for one, _ in found)]
    if not lost:
        return
    other = next((one for one, spec in reversed(counting[lost[0]]) if spec.selector or targets(spec)), None)
    if other is None:
        at.warning(
            "spec.selector", "one of the root namespace with a selector is for workloads of that namespace alone"
        )
        return
    reason = f"{other.ref}, older, is for its workloads" if len(lost) == len(counting) else ""
    message = f"{other.ref}, older, is for the workload {lost[0]} too, and counts for it: this one does not"
    at.error("spec.selector", message, not_in_force=reason)


def _check_providers(
    at: Findings,
    known: Known,
    providers: Sequence[ProviderRef],
    path: str,
    unfit: str,
    fits: Callable[[ExtensionProvider], bool],
) -> None:
    for index, named in enumerate(providers):
        place = f"{path}.providers[{index}].name"
        found = provider(known.declared.config, named.name)
        if named.name.casefold() == TULLE and unfit == "takes no spans":
            continue
        if found is None:
            at.error(place, f"MeshConfig has no extension provider {named.name}", NOT_FOUND)
        elif not fits(found):
            at.error(place, f"the extension provider {named.name} {unfit}")
        elif problem := _unreachable(known, at, found):
            at.warning(place, f"the extension provider {named.name} can't be reached: {problem}", NOT_FOUND)


def _unreachable(known: Known, at: Findings, found: ExtensionProvider) -> str:
    """By one of the workloads, for which all of them stand."""
    workload = next((one for one in known.workloads.get(at.resource.ref.namespace, ())), None)
    if workload is None:
        workload = next((one for there in known.workloads.values() for one in there), None)
    if workload is None:
        return ""
    caller = caller_of(workload)
    if found.envoy_otel_als is not None:
        return collector(known.mesh, caller, found.envoy_otel_als.service, found.envoy_otel_als.port).problem
    if found.opentelemetry is not None:
        return collector_of_spans(known.mesh, caller, found.opentelemetry).problem
    return ""


def _inherits_logs(known: Known, spec: Telemetry, index: int) -> bool:
    if any(entry.providers for entry in spec.access_logging[:index]) or default_providers(known.declared.config):
        return True
    others = (one.spec for there in known.declared.telemetries.values() for one in there if one.spec is not spec)
    return any(entry.providers for one in others if isinstance(one, Telemetry) for entry in one.access_logging)
