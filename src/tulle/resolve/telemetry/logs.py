"""Where the calls of one side of a workload are logged.

Source: Istio, Telemetry, AccessLogging; pilot/pkg/model/telemetry.go (mergeLogs). Of several scopes that name providers only the
narrowest one's count; those of wider ones still say by what they are filtered. In place of `defaultProviders` stands the log of
`accessLogFile`, if there is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tulle.ir.telemetry import AccessLog, Collector, LogEncoding
from tulle.model.resources.mesh_config import ExtensionProvider, MeshConfig
from tulle.model.resources.telemetry import Telemetry, WorkloadMode
from tulle.model.resources.telemetry_providers import (
    AccessLogEncoding,
    EnvoyFileAccessLogProvider,
    EnvoyOtelLogProvider,
)
from tulle.resolve.callers import Caller
from tulle.resolve.mesh import Mesh
from tulle.resolve.telemetry.providers import ENVOY, collector, provider

_STDOUT = "/dev/stdout"
_OTEL_NAME = "otel_envoy_accesslog"  # Istio's, where no `logName` is given


def logs(mesh: Mesh, caller: Caller, said: Iterable[Telemetry], mode: WorkloadMode) -> tuple[AccessLog, ...]:
    """By the provider's name. said: those for the workload, the widest first."""
    config = mesh.declared.config
    found = (_log(mesh, caller, config, name, text) for name, text in sorted(_filters(config, said, mode).items()))
    return tuple(log for log in found if log is not None)


def default_providers(config: MeshConfig) -> tuple[str, ...]:
    """Those that count where nothing else is said."""
    named = config.default_providers.access_logging if config.default_providers else ()
    return named or ((ENVOY,) if config.access_log_file else ())


def _filters(config: MeshConfig, said: Iterable[Telemetry], mode: WorkloadMode) -> dict[str, str]:
    """Of each provider by which calls are logged, CEL, or "" for all calls."""
    scopes = [one.access_logging for one in said if one.access_logging]
    named = default_providers(config)
    counting = named
    for entries in scopes:
        counting = tuple(p.name for entry in entries for p in entry.providers) or counting
    found = dict.fromkeys(named if not scopes else (name for name in named if name in counting), "")
    inherited = named
    for entries in scopes:
        for entry in entries:
            inherited = tuple(p.name for p in entry.providers) or inherited
            if entry.match is not None and entry.match.mode not in (WorkloadMode.CLIENT_AND_SERVER, mode):
                continue
            for name in inherited:
                if name not in counting:
                    continue
                if entry.disabled:
                    found.pop(name, None)
                else:
                    found[name] = entry.filter.expression if entry.filter else found.get(name, "")
    return found


def _log(mesh: Mesh, caller: Caller, config: MeshConfig, name: str, expression: str) -> AccessLog | None:
    """None if there is no such provider, or it takes no logs."""
    found = provider(config, name)
    if found is None:
        return None
    if found.envoy_file_access_log is not None:
        return _file(config, found, found.envoy_file_access_log, expression)
    if found.envoy_otel_als is not None:
        said = found.envoy_otel_als
        return _records(collector(mesh, caller, said.service, said.port), said, expression)
    return None


def _file(config: MeshConfig, found: ExtensionProvider, said: EnvoyFileAccessLogProvider, expression: str) -> AccessLog:
    format_ = said.log_format
    if format_ is None and found.name == ENVOY and not said.omit_empty_values:
        return _of_mesh(config, said.path or config.access_log_file or _STDOUT, expression)
    is_json = format_ is not None and format_.labels is not None
    return AccessLog(
        found.name,
        said.path or _STDOUT,
        LogEncoding.JSON if is_json else LogEncoding.TEXT,
        text=(format_.text or "") if format_ else "",
        fields=tuple((format_.labels or {}).items()) if format_ else (),
        filter=expression,
        omit_empty=said.omit_empty_values,
    )


def _of_mesh(config: MeshConfig, path: str, expression: str) -> AccessLog:
    """As `accessLogFormat` and `accessLogEncoding` have it."""
    if config.access_log_encoding is AccessLogEncoding.JSON:
        labels = json.loads(config.access_log_format) if config.access_log_format else {}
        return AccessLog(ENVOY, path, LogEncoding.JSON, fields=tuple(labels.items()), filter=expression)
    return AccessLog(ENVOY, path, text=config.access_log_format, filter=expression)


def _records(to: Collector, said: EnvoyOtelLogProvider, expression: str) -> AccessLog:
    format_ = said.log_format
    return AccessLog(
        said.log_name or _OTEL_NAME,
        "",
        text=format_.text if format_ else "",
        fields=tuple((format_.labels or {}).items()) if format_ else (),
        filter=expression,
        otlp=to,
    )
