"""Telemetry. Source: Istio, pkg/config/validation (ValidateTelemetry and what it calls)."""

from __future__ import annotations

from collections.abc import Sequence

from tulle.model.resources.telemetry import (
    AccessLogging,
    CustomTag,
    IstioMetric,
    Metrics,
    MetricsOverrides,
    ProviderRef,
    TagOperation,
    Telemetry,
    Tracing,
)
from tulle.model.resources.telemetry_providers import ProxyCustomTag
from tulle.sources.at import At
from tulle.sources.validation import cel, log_format, policy_targets
from tulle.sources.validation.amounts import check_one_of, check_percent
from tulle.sources.validation.basics import check_header_name

# Istio's labels; what may be a label at all, Prometheus says (its data model).
_LABEL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"


def check(spec: Telemetry, at: At) -> None:
    policy_targets.check(spec, at)
    if len(spec.tracing) > 1 and len({_mode(one) for one in spec.tracing}) < len(spec.tracing):
        at.field("tracing").warning("several entries are of the same calls: of each field the last one counts")
    for index, tracing in enumerate(spec.tracing):
        _check_tracing(tracing, at.field("tracing").item(index))
    for index, metrics in enumerate(spec.metrics):
        _check_metrics(metrics, at.field("metrics").item(index))
    for index, logging in enumerate(spec.access_logging):
        _check_logging(logging, at.field("accessLogging").item(index))


def _mode(tracing: Tracing) -> str:
    return tracing.match.mode if tracing.match else "CLIENT_AND_SERVER"


def _check_providers(providers: Sequence[ProviderRef], at: At) -> None:
    for index, provider in enumerate(providers):
        if not provider.name:
            at.field("providers").item(index).field("name").error("is needed: one of MeshConfig's `extensionProviders`")


def _check_tracing(tracing: Tracing, at: At) -> None:
    _check_providers(tracing.providers, at)
    if len(tracing.providers) > 1:
        at.field("providers").warning("spans go to the first of them alone")
    if tracing.random_sampling_percentage is not None:
        check_percent(tracing.random_sampling_percentage, at.field("randomSamplingPercentage"))
    for name, tag in tracing.custom_tags.items():
        check_tag(name, tag, at.field("customTags").key(name))


def check_tag(name: str, tag: CustomTag | ProxyCustomTag, at: At) -> None:
    """Of a span. at: of the tag."""
    if not name:
        at.error("the tag needs a name")
    kinds = {"literal": "literal", "environment": "environment", "header": "header"}
    if isinstance(tag, CustomTag):
        kinds["formatter"] = "formatter"
    if not check_one_of(tag, at, **kinds):
        at.unsupported(f"says nothing of its value: give one of {', '.join(f'`{kind}`' for kind in kinds)}")
    if tag.literal is not None and not tag.literal.value:
        at.field("literal").field("value").error("is needed: the text")
    if tag.environment is not None and not tag.environment.name:
        at.field("environment").field("name").error("is needed: the variable of the environment")
    if tag.header is not None and not tag.header.name:
        at.field("header").field("name").error("is needed: the header of the request")
    elif tag.header is not None:
        _check_header(tag.header.name, at.field("header").field("name"))
    if isinstance(tag, CustomTag) and tag.formatter is not None:
        place = at.field("formatter").field("value")
        if tag.formatter.value:
            log_format.check(tag.formatter.value, place)
        else:
            place.error("is needed: a text in Envoy's format")


def _check_header(name: str, at: At) -> None:
    """`:authority` and others that begin so are headers here as well."""
    check_header_name(name.removeprefix(":"), at)


def _check_metrics(metrics: Metrics, at: At) -> None:
    _check_providers(metrics.providers, at)
    for index, override in enumerate(metrics.overrides):
        _check_override(override, at.field("overrides").item(index))


def _check_override(override: MetricsOverrides, at: At) -> None:
    match, place = override.match, at.field("match")
    if match is not None:
        check_one_of(match, place, metric="metric", custom_metric="customMetric")
    if match is not None and match.custom_metric is not None:
        if match.custom_metric:
            named = ", ".join(IstioMetric)
            place.field("customMetric").unsupported(
                f"tulle has Istio's figures and no others: name one by `metric`: {named}"
            )
        else:
            place.field("customMetric").error("is empty: name a figure by `metric`")
    for name, tag in override.tag_overrides.items():
        key = at.field("tagOverrides").key(name)
        if not name:
            key.warning("the label needs a name")
        elif name[0].isdigit() or any(character not in _LABEL for character in name) or name.startswith("__"):
            key.unsupported(f"{name!r} is no name of a label in Prometheus: use letters, digits and '_'")
        if tag.operation is TagOperation.REMOVE:
            if tag.value:
                key.field("value").error("REMOVE takes the label away, so it has no value: leave it out")
        elif not tag.value:
            key.field("value").error("is needed: an expression in CEL, such as `request.method`")
        else:
            cel.check(tag.value, key.field("value"))


def _check_logging(logging: AccessLogging, at: At) -> None:
    _check_providers(logging.providers, at)
    if logging.filter is not None and logging.filter.expression:
        cel.check(logging.filter.expression, at.field("filter").field("expression"))
    elif logging.filter is not None:
        at.field("filter").field("expression").unsupported(
            "is empty: write an expression in CEL, such as `response.code >= 400`"
        )
