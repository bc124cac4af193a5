"""Which calls of one side of a workload are traced, and what their spans tell.

Source: Istio, Telemetry, Tracing; pilot/pkg/model/telemetry.go (Tracing). Each field is inherited by itself; custom tags as a
whole. What no Telemetry says is as MeshConfig's `defaultConfig.tracing` has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from tulle.ir.telemetry import SpanTag, TagKind, Tracing
from tulle.model.resources import telemetry as documents
from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.telemetry import CustomTag, Telemetry, WorkloadMode
from tulle.model.resources.telemetry_providers import ProxyCustomTag
from tulle.resolve.callers import Caller
from tulle.resolve.mesh import Mesh
from tulle.resolve.telemetry.providers import TULLE, collector_of_spans, provider


def tracing(mesh: Mesh, caller: Caller, said: Iterable[Telemetry], mode: WorkloadMode) -> Tracing | None:
    """None if there is none: `enableTracing: false`, and nothing that says otherwise."""
    config = mesh.declared.config
    entries = [entry for one in said for entry in one.tracing if _fits(entry, mode)]
    defaults = config.default_providers.tracing if config.default_providers else ()
    if config.enable_tracing is False and not entries and not defaults:
        return None
    found, name = _default(mesh, config), next(iter(defaults), TULLE)
    for entry in entries:
        name = next((one.name for one in entry.providers), name)
        found = _with(found, entry)
    return _sent(mesh, caller, found, name)


def _fits(entry: documents.Tracing, mode: WorkloadMode) -> bool:
    return entry.match is None or entry.match.mode in (WorkloadMode.CLIENT_AND_SERVER, mode)


def _default(mesh: Mesh, config: MeshConfig) -> Tracing:
    said = config.default_config.tracing if config.default_config else None
    if said is None:
        return Tracing(sampling=mesh.sampling, b3=mesh.b3)
    return Tracing(
        sampling=mesh.sampling if said.sampling is None else said.sampling,
        tags=_tags(said.custom_tags),
        istio_tags=said.enable_istio_tags is not False,
        longest_path=said.max_path_tag_length,
        b3=mesh.b3,
    )


def _with(found: Tracing, entry: documents.Tracing) -> Tracing:
    """What the entry says, in place of what was said before."""
    if entry.random_sampling_percentage is not None:
        found = replace(found, sampling=entry.random_sampling_percentage)
    if entry.disable_span_reporting is not None:
        found = replace(found, reports=not entry.disable_span_reporting)
    if entry.custom_tags:
        found = replace(found, tags=_tags(entry.custom_tags))
    if entry.enable_istio_tags is not None:
        found = replace(found, istio_tags=entry.enable_istio_tags)
    if entry.disable_context_propagation is not None:
        found = replace(found, propagates=not entry.disable_context_propagation)
    return found


def _sent(mesh: Mesh, caller: Caller, found: Tracing, name: str) -> Tracing:
    """To that provider. One that is not there, or can't be reached, gets nothing: no other should have the spans."""
    if name.casefold() == TULLE:
        return found
    said = provider(mesh.declared.config, name)
    if said is None or said.opentelemetry is None:
        return replace(found, reports=False)
    collector = collector_of_spans(mesh, caller, said.opentelemetry)
    longest = said.opentelemetry.max_tag_length or found.longest_path
    reports = found.reports and collector.backend is not None
    return replace(found, collector=collector, longest_path=longest, reports=reports)


def _tags(said: Mapping[str, CustomTag] | Mapping[str, ProxyCustomTag]) -> tuple[SpanTag, ...]:
    return tuple(_tag(name, said[name]) for name in sorted(said))


def _tag(name: str, said: CustomTag | ProxyCustomTag) -> SpanTag:
    if said.literal is not None:
        return SpanTag(name, TagKind.LITERAL, said.literal.value)
    if said.environment is not None:
        return SpanTag(name, TagKind.ENVIRONMENT, said.environment.name, said.environment.default_value)
    if said.header is not None:
        return SpanTag(name, TagKind.HEADER, said.header.name, said.header.default_value)
    formatter = said.formatter.value if isinstance(said, CustomTag) and said.formatter else ""
    return SpanTag(name, TagKind.FORMATTER, formatter)
