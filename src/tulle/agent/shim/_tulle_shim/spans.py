"""Has the program make spans of its own, where OpenTelemetry's packages for that are in its environment.

They are the program's, so nothing can clash: the distro, which exists to instrument programs from outside, the SDK, and
the exporter for OTLP/HTTP. This is what `opentelemetry-instrument` does, but for metrics and logs: these are the program's
own matter. A program that configures the SDK by itself is instrumented already: the moment it does so, all of this is taken
back, and it is left alone; the tracers that it has got before are its own provider's from then on. Left alone is also one with
gevent or eventlet, which must come before everything else that is loaded.
"""
# ruff: noqa: PTH113, PTH118
# Nothing is imported that the program might not need.

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from . import context
from .hooks import Hook, replace
from .imports import report, when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_NEEDED = (
    *("opentelemetry.distro", "opentelemetry.instrumentation.auto_instrumentation", "opentelemetry.sdk.trace"),
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)
_TOO_EARLY_FOR = ("gevent", "eventlet")
_DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_NOTHING_ELSE = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
_B3 = "opentelemetry.propagators.b3"


def install() -> None:
    if not all(_is_there(name) for name in _NEEDED) or any(_is_there(name) for name in _TOO_EARLY_FOR):
        return
    if not os.environ.get("OTEL_PROPAGATORS"):
        os.environ["OTEL_PROPAGATORS"] = f"tracecontext,baggage{',b3' if _is_there(_B3) else ''}"
    from opentelemetry import trace  # type: ignore[attr-defined,import-not-found,unused-ignore]
    from opentelemetry.instrumentation import auto_instrumentation  # type: ignore[import-not-found,unused-ignore]

    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    given = _have_it_taken_back(trace)
    try:
        with _only_for_spans(), _but_for_django():
            auto_instrumentation.initialize()
    finally:
        provider = trace.get_tracer_provider()
        if not isinstance(provider, trace.ProxyTracerProvider):
            context.own_provider.append(provider)
            _remember_tracers(provider, given)


@contextmanager
def _only_for_spans() -> Iterator[None]:
    """Providers of metrics and logs can be set once only, and that is for the program to do."""
    from opentelemetry import _logs, metrics  # type: ignore[attr-defined,import-not-found,unused-ignore]

    def nothing(*args: Any, **kwargs: Any) -> None:
        pass

    setters = [(metrics, "set_meter_provider"), (_logs, "set_logger_provider")]
    originals = [(module, name, getattr(module, name)) for module, name in setters]
    for module, name in setters:
        setattr(module, name, nothing)
    try:
        with _environment(_NOTHING_ELSE):
            yield
    finally:
        for module, name, original in originals:
            setattr(module, name, original)


@contextmanager
def _but_for_django() -> Iterator[None]:
    """Its instrumentation reads the settings, and where they can't be found yet, makes others that stay.

    So it has its turn when Django itself has read them, right before they are put to use.
    """
    names = [name.strip() for name in os.environ.get(_DISABLED, "").split(",")]
    if "django" not in names and "*" not in names and _is_there("opentelemetry.instrumentation.django"):
        when_imported("django.core.handlers.base", _django)
    with _environment({_DISABLED: ",".join(filter(None, [*names, "django"]))}):
        yield


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _django(module: Any) -> None:
    replace(module.BaseHandler, "load_middleware", _loading_middleware)


def _loading_middleware(original: Any, hook: Hook) -> Any:
    def load_middleware(*args: Any, **kwargs: Any) -> Any:
        if hook.on and context.own_provider:
            try:
                from opentelemetry.instrumentation.django import (  # type: ignore[import-not-found,unused-ignore]
                    DjangoInstrumentor,
                )

                if not DjangoInstrumentor().is_instrumented_by_opentelemetry:
                    DjangoInstrumentor().instrument()
            except Exception:
                hook.off()
        return original(*args, **kwargs)

    return load_middleware


def _is_there(name: str) -> bool:
    """In a folder of sys.path. Nothing is imported, as Python would to find a module within a package."""
    file = os.path.join(*name.split("."))
    places = [os.path.join(folder, file) for folder in sys.path]
    return any(os.path.isfile(place + ".py") or os.path.isfile(os.path.join(place, "__init__.py")) for place in places)


def _have_it_taken_back(trace: Any) -> WeakKeyDictionary[Any, Any]:
    """Before the program's first provider of its own is set, as there can be one only.

    Our own one's tracers are that one's from then on: they are to be put into what this returns, with that by which they were
    asked for.
    """
    set_theirs = trace.set_tracer_provider
    given: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def set_tracer_provider(*args: Any, **kwargs: Any) -> Any:
        if not context.own_provider:
            return set_theirs(*args, **kwargs)
        try:
            _take_back(trace)
        except Exception:
            report()
        result = set_theirs(*args, **kwargs)
        try:
            _hand_over(trace.get_tracer_provider(), given)
        except Exception:
            report()
        return result

    trace.set_tracer_provider = set_tracer_provider
    return given


def _remember_tracers(provider: Any, given: WeakKeyDictionary[Any, Any]) -> None:
    get_theirs = provider.get_tracer

    def get_tracer(*args: Any, **kwargs: Any) -> Any:
        tracer = get_theirs(*args, **kwargs)
        try:
            given[tracer] = args, kwargs
        except Exception:
            report()
        return tracer

    provider.get_tracer = get_tracer


def _hand_over(provider: Any, given: WeakKeyDictionary[Any, Any]) -> None:
    """Modules ask for their tracer as they are imported, long before the program sets a provider."""
    for tracer, (args, kwargs) in list(given.items()):
        theirs = provider.get_tracer(*args, **kwargs)
        for name in ("start_span", "start_as_current_span"):
            setattr(tracer, name, getattr(theirs, name))
    given.clear()


def _take_back(trace: Any) -> None:
    own = context.own_provider.pop()
    for instrumentor in _instrumentors():
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
    once = type(trace._TRACER_PROVIDER_SET_ONCE)()
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, once
    own.shutdown()


def _instrumentors() -> Any:
    from opentelemetry.instrumentation.instrumentor import (  # type: ignore[import-not-found,unused-ignore]
        BaseInstrumentor,
    )

    found = list(BaseInstrumentor.__subclasses__())
    for kind in found:
        found += kind.__subclasses__()
    return [kind() for kind in found if kind.__module__ in sys.modules and kind._instance is not None]
