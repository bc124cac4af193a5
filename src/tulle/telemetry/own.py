"""The control plane's own figures, in Prometheus' text format.

Names are Istio's where they mean the same (istio.io, "Standard metrics of istiod": pilot_*, citadel_*), so that dashboards and
alerts made for it work; else they begin with tulle_. What happens is told by the edges of the control plane, as it happens; what
is, is asked for when somebody reads. Labels have few values, and none that others chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tulle.xds.resources import SHORT

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BYTES = (100, 1_000, 10_000, 100_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000)

Reading = Callable[[], float]

disable_created_metrics()  # type: ignore[no-untyped-call]


class Own:
    """Not for several threads at once, but for what the library does itself."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        self._version = version
        ProcessCollector(registry=self._registry)
        self._built()
        self._pushes = self._counter(
            "pilot_xds_pushes", "Responses to sidecars, by the type of what is in them", "type"
        )
        self._rejects = self._counter("pilot_total_xds_rejects", "Responses that an Envoy has refused (NACK)", "type")
        for type_ in SHORT.values():  # a counter that begins at 1 has not grown, to an alert
            self._rejects(type_, by=0)
        self._sizes = Histogram(
            "pilot_xds_config_size_bytes",
            "Length of a response to a sidecar",
            ("type",),
            buckets=_BYTES,
            registry=self._registry,
        )
        self._push_time = self._histogram(
            "pilot_xds_push_time", "Seconds to make what is sent to a sidecar at once", _SHORT
        )
        self._convergence = self._histogram(
            "pilot_proxy_convergence_time",
            "Seconds from a change of what a sidecar should hold until it has acknowledged all of it",
            _LONG,
        )
        self._csrs = self._counter("citadel_server_csr_count", "Requests for certificates that were granted or refused")
        self._issued = self._counter("citadel_server_success_cert_issuance_count", "Certificates that were issued")
        self._writes = Histogram(
            "tulle_store_write_seconds", "Seconds until a write is durable", buckets=_SHORT, registry=self._registry
        )
        self._failed_writes = Counter("tulle_store_write_errors", "Writes that failed", registry=self._registry)
        self._requests = Counter(
            "tulle_api_requests",
            "Requests to the API, once their answer has begun",
            ("route", "code"),
            registry=self._registry,
        )
        self._request_time = Histogram(
            "tulle_api_request_duration_seconds",
            "Seconds until an answer of the API begins",
            ("route",),
            buckets=_SHORT,
            registry=self._registry,
        )
        self._sessions = Gauge("tulle_agent_sessions", "Sessions of agents", registry=self._registry)
        self._lag = self._histogram("tulle_event_loop_lag_seconds", "By how much the event loop comes too late", _SHORT)

    @property
    def text(self) -> bytes:
        return generate_latest(self._registry)

    def pushed(self, type_: str, size: int) -> None:
        """A response was sent. type_: short, `cds`. size: in bytes."""
        self._pushes(type_)
        self._sizes.labels(type_).observe(size)

    def made_pushes(self, seconds: float) -> None:
        self._push_time.observe(seconds)

    def refused(self, type_: str) -> None:
        self._rejects(type_)

    def converged(self, seconds: float) -> None:
        self._convergence.observe(seconds)

    def certificate(self, *, issued: bool) -> None:
        self._csrs()
        if issued:
            self._issued()

    def wrote(self, seconds: float, succeeded: bool) -> None:
        """To the store."""
        if succeeded:
            self._writes.observe(seconds)
        else:
            self._failed_writes.inc()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """route: of the API's table, or a word for all others."""
        self._requests.labels(route, str(status)).inc()
        self._request_time.labels(route).observe(seconds)

    def has_sessions(self, count: int) -> None:
        """Of agents, now."""
        self._sessions.set(count)

    def lagged(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def reads(self, name: str, what: str, reading: Reading) -> None:
        """A figure that is asked for whenever somebody reads."""
        Gauge(name, what, registry=self._registry).set_function(reading)

    def counts(self, name: str, what: str, reading: Reading) -> None:
        """The same of what only grows. name: without `_total`."""
        self._registry.register(_Count(name, what, reading))

    def reads_each(self, name: str, what: str, label: str, readings: Callable[[], Mapping[str, float]]) -> None:
        self._registry.register(_Each(name, what, label, readings))

    def counts_each(self, name: str, what: str, label: str, readings: Callable[[], Mapping[str, float]]) -> None:
        """name: without `_total`."""
        self._registry.register(_Each(name, what, label, readings, CounterMetricFamily))

    def _built(self) -> None:
        built = Gauge("istio_build", "What runs", ("component", "tag"), registry=self._registry)
        built.labels("pilot", self._version).set(1)

    def _histogram(self, name: str, what: str, buckets: Iterable[float]) -> Histogram:
        return Histogram(name, what, buckets=tuple(buckets), registry=self._registry)

    def _counter(self, name: str, what: str, *labels: str) -> Callable[..., None]:
        """Under a name of Istio's, which does not end in `_total`."""
        counter = Counter(name, what, labels, registry=None)
        self._registry.register(_Renamed(name, what, counter))
        return lambda *values, by=1: (counter.labels(*values) if values else counter).inc(by)


class _Renamed(Collector):
    """The library lets counters end in `_total` alone. Untyped, they may be called as others know them."""

    def __init__(self, name: str, what: str, counter: Counter) -> None:
        self._name, self._what, self._counter = name, what, counter

    def collect(self) -> Iterator[Metric]:
        metric = Metric(self._name, self._what, "unknown")
        for family in self._counter.collect():
            for sample in family.samples:
                metric.add_sample(self._name, sample.labels, sample.value)
        yield metric


class _Count(Collector):
    def __init__(self, name: str, what: str, reading: Reading) -> None:
        self._name, self._what, self._reading = name, what, reading

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, self._what, self._reading())


class _Each(Collector):
    def __init__(
        self,
        name: str,
        what: str,
        label: str,
        readings: Callable[[], Mapping[str, float]],
        family: type[GaugeMetricFamily | CounterMetricFamily] = GaugeMetricFamily,
    ) -> None:
        self._name, self._what, self._label, self._readings = name, what, label, readings
        self._family = family

    def collect(self) -> Iterator[Metric]:
        metric = self._family(self._name, self._what, labels=[self._label])
        for value, reading in self._readings().items():
            metric.add_metric([value], reading)
        yield metric
