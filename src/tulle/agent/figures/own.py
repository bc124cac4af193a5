"""The agent's metrics about itself, its Envoy and its program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tulle.agent.figures.page import Metric

BUILD = "istio_build"
_PREFIX = "tulle_agent_"

# kind and help, by name.
OWN = {
    "istio_build": ("gauge", "Of which version tulle is here."),
    "tulle_agent_uptime_seconds": ("gauge", "Since when the agent runs."),
    "tulle_agent_health": ("gauge", "1 for the health that the instance has."),
    "tulle_agent_connected": ("gauge", "1 if the agent has a session with its control plane."),
    "tulle_agent_program_starts_total": ("counter", "How often the program was started."),
    "tulle_agent_envoy_starts_total": ("counter", "How many Envoys were started, for hot restarts too."),
    "tulle_agent_cpu_seconds_total": (
        "counter",
        "CPU time of the agent, of its Envoys and of the program's processes.",
    ),
    "tulle_agent_resident_memory_bytes": ("gauge", "Resident memory of the same."),
    "tulle_agent_certificate_expires_seconds": ("gauge", "Until when the certificates are good, in Unix seconds."),
    "tulle_agent_series": ("gauge", "Kinds of calls that are told apart."),
    "tulle_agent_series_dropped_total": ("counter", "Kinds of calls that are not shown, as there were too many."),
    "tulle_agent_requests_dropped_total": ("counter", "Requests and TCP connections of those kinds."),
    "tulle_agent_requests_uncounted_total": ("counter", "Requests that Envoy answered and has in no series."),
    "tulle_agent_collector_deliveries_failed_total": (
        "counter",
        "Deliveries of spans or access logs that a collector named by a Telemetry did not take.",
    ),
    "tulle_agent_envoy_reads_failed_total": ("counter", "How often an Envoy did not tell what it counts."),
    "tulle_agent_reports_total": ("counter", "Reports to the control plane that it has confirmed."),
    "tulle_agent_reports_failed_total": ("counter", "Reports that were not confirmed; they are sent again."),
    "tulle_agent_reports_lost_total": ("counter", "Reports that the control plane can't read."),
    "tulle_agent_scrape_failures_total": ("counter", "How often the program's own metrics were not to be had."),
    "tulle_agent_scrape_left_out": ("gauge", "Metrics of the program's that are left out, as ours have their names."),
}
NAMES = frozenset(OWN)

Samples = dict[str, float | dict[str, float]]  # by name, or by name and then by the value of the one label
# The label of those that have one.
LABELS = {
    "tulle_agent_health": "health",
    "tulle_agent_cpu_seconds_total": "part",
    "tulle_agent_resident_memory_bytes": "part",
    "tulle_agent_requests_uncounted_total": "reporter",
    "tulle_agent_collector_deliveries_failed_total": "collector",
}


def is_ours(name: str) -> bool:
    """Whether a metric of that name would be taken for one of ours."""
    return name.startswith(("istio_", _PREFIX))


def own_metrics(version: str, samples: Samples) -> Iterator[Metric]:
    """In the order of OWN; those without a value are left out."""
    build = (("component", "proxy"), ("tag", version))
    for name, (kind, text) in OWN.items():
        if name == BUILD:
            yield Metric(name, kind, text, [(build, 1.0)])
        elif name in samples:
            yield Metric(name, kind, text, list(_labelled(name, samples[name])))


def _labelled(name: str, value: float | dict[str, float]) -> Iterable[tuple[tuple[tuple[str, str], ...], float]]:
    if not isinstance(value, dict):
        return [((), value)]
    return [(((LABELS[name], label),), each) for label, each in value.items()]
