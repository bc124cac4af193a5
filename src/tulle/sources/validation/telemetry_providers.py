"""What MeshConfig says of telemetry: access logs, their providers, those of spans, `defaultConfig.tracing`.

Source: Istio, pkg/config/validation/agent (ValidateMeshConfig, validateExtensionProvider*). As in extension_provider, what Istio
takes and only logs as wrong is unsupported here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tulle.model.resources.mesh_config import MeshConfig
from tulle.model.resources.telemetry_providers import (
    AccessLogEncoding,
    EnvoyFileAccessLogProvider,
    EnvoyOtelLogProvider,
    OpenTelemetryProvider,
)
from tulle.sources.at import At
from tulle.sources.validation import log_format
from tulle.sources.validation.amounts import check_loose_time, check_one_of, check_percent
from tulle.sources.validation.telemetry import check_tag

STDOUT = "/dev/stdout"
_LONGEST_PATH = 1024


def check_mesh(spec: MeshConfig, at: At) -> None:
    if spec.access_log_file:
        check_path(spec.access_log_file, at.field("accessLogFile"))
    if spec.access_log_format:
        _check_format(spec, at.field("accessLogFormat"))
    tracing, place = (
        spec.default_config.tracing if spec.default_config else None,
        at.field("defaultConfig").field("tracing"),
    )
    if tracing is not None:
        if tracing.sampling is not None:
            check_percent(tracing.sampling, place.field("sampling"))
        for name, tag in tracing.custom_tags.items():
            check_tag(name, tag, place.field("customTags").key(name))


def _check_format(spec: MeshConfig, at: At) -> None:
    if spec.access_log_encoding is not AccessLogEncoding.JSON:
        log_format.check(spec.access_log_format, at)
        return
    try:
        labels = json.loads(spec.access_log_format)
    except ValueError as error:
        at.unsupported(f"is no JSON, which `accessLogEncoding: JSON` asks for: {error}")
        return
    if not isinstance(labels, dict) or not all(isinstance(one, str) for one in labels.values()):
        at.unsupported('write one JSON object whose values are texts: {"code": "%RESPONSE_CODE%"}')
        return
    for text in labels.values():
        log_format.check(text, at)


def check_path(path: str, at: At) -> None:
    """Envoy opens it with the rights of whoever runs `tulle run`, and refuses a listener if it can't."""
    if path.startswith("/dev/"):
        if path not in (STDOUT, "/dev/stderr", "/dev/null"):
            at.unsupported(f"`{path}` is a device: log to {STDOUT}, /dev/stderr or a file")
    elif not path.startswith("/"):
        at.unsupported(
            f"`{path}` is no absolute path, and sidecars run in folders of their own: write one that begins with `/`"
        )
    elif path.startswith(("/proc/", "/sys/")) or "/../" in f"{path}/":
        at.unsupported(
            f"`{path}` is no place for a log: write the file's path without `..`, and outside of /proc and /sys"
        )
    elif path.endswith("/") or not path.isprintable() or len(path) > _LONGEST_PATH:
        at.unsupported(f"{path[:100]!r} names no file")


def check_file(provider: EnvoyFileAccessLogProvider | None, at: At) -> None:
    if provider is None:
        return
    if provider.path:
        check_path(provider.path, at.field("path"))
    if provider.log_format is not None:
        place = at.field("logFormat")
        check_one_of(provider.log_format, place, text="text", labels="labels")
        if provider.log_format.text:
            log_format.check(provider.log_format.text, place.field("text"))
        _check_labels(provider.log_format.labels, place.field("labels"))


def check_logs(provider: EnvoyOtelLogProvider | None, at: At) -> None:
    """Its service and port are checked as those of all providers."""
    if provider is None or provider.log_format is None:
        return
    log_format.check(provider.log_format.text, at.field("logFormat").field("text"))
    _check_labels(provider.log_format.labels, at.field("logFormat").field("labels"))


def check_spans(provider: OpenTelemetryProvider | None, at: At) -> None:
    if provider is None:
        return
    check_one_of(provider, at, http="http", grpc="grpc")
    if provider.http is not None:
        if not provider.http.path.startswith("/") or not provider.http.path.isprintable() or " " in provider.http.path:
            at.field("http").field("path").unsupported(
                f"`{provider.http.path}` is no path: write `/v1/traces`, or as the collector has it"
            )
        check_loose_time(provider.http.timeout, at.field("http").field("timeout"))
    if provider.grpc is not None:
        check_loose_time(provider.grpc.timeout, at.field("grpc").field("timeout"))


def _check_labels(labels: Mapping[str, str] | None, at: At) -> None:
    for name, text in (labels or {}).items():
        log_format.check(text, at.key(name))
