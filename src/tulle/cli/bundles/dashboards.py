"""Our four dashboards: the mesh, a service, a workload, and the control plane.

What a call is counted by is the sidecar that serves it (reporter="destination"), so that none counts twice, and where it came
to none, that of its caller; what a workload calls is told by its own (reporter="source"). A service has both views, each by
itself: while none of its instances answers, its callers alone tell of it.
"""

from __future__ import annotations

from typing import Any

from tulle.cli.bundles.panels import Ask, Choice, Row, dashboard, number, panel
from tulle.cli.bundles.rules import SERVED, SUCCEEDED, UNMET

_R = "[$__rate_interval]"
_NAMESPACES = 'destination_service_namespace=~"$namespace"'
_OF_SERVICE = f'{SERVED}, destination_service=~"$service"'
_TO_SERVICE = 'reporter="source", destination_service=~"$service"'
_IN = f'{SERVED}, destination_workload_namespace=~"$namespace", destination_workload=~"$workload"'
_SELF = 'namespace=~"$namespace", workload=~"$workload"'  # labels of targets: api/prometheus.py
_OUT = 'reporter="source", source_workload_namespace=~"$namespace", source_workload=~"$workload"'


def _rate(metric: str, labels: str, by: str = "", *more: str) -> str:
    """more: labels of others that count too."""
    whole = " or ".join(f"rate({metric}{{{each}}}{_R})" for each in (labels, *more))
    return f"sum by ({by}) ({whole})" if by else f"sum ({whole})"


def _requests(labels: str, by: str = "", *more: str) -> str:
    return _rate("istio_requests_total", labels, by, *more)


def _success(labels: str, by: str = "", *more: str) -> str:
    return _share(SUCCEEDED, labels, by, *more)


def _share(of_which: str, labels: str, by: str = "", *more: str) -> str:
    """Of calls. Where it is so of none, there is no series of these, and the share is 0, not nothing."""
    some = _requests(f"{labels}, {of_which}", by, *(f"{each}, {of_which}" for each in more))
    whole = _requests(labels, by, *more)
    return f"({some} or 0 * {whole}) / {whole}"


def _percentile(share: float, labels: str, metric: str = "istio_request_duration_milliseconds", by: str = "") -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', labels, f'le, {by}' if by else 'le')})"


def _latency(labels: str) -> tuple[Ask, ...]:
    return tuple(Ask(_percentile(share, labels), f"p{share * 100:.0f}") for share in (0.5, 0.95, 0.99))


def _by(labels: str, *names: str) -> tuple[Ask, ...]:
    """Requests, told apart by these labels."""
    return (Ask(_requests(labels, ", ".join(names)), " ".join(f"{{{{{name}}}}}" for name in names)),)


def _bytes(labels: str, by: str, legend: str) -> tuple[Ask, ...]:
    return (
        Ask(_rate("istio_tcp_received_bytes_total", labels, by), f"{legend} received"),
        Ask(_rate("istio_tcp_sent_bytes_total", labels, by), f"{legend} sent"),
    )


def _numbers(labels: str, *more: str) -> tuple[Any, ...]:
    return (
        number("Requests", "reqps", _requests(labels, "", *more), 5),
        number("Success", "percentunit", _success(labels, "", *more), 5),
        number("p50", "ms", _percentile(0.5, labels), 4),
        number("p95", "ms", _percentile(0.95, labels), 5),
        number("p99", "ms", _percentile(0.99, labels), 5),
    )


def mesh() -> dict[str, Any]:
    served, unmet, by = f"{SERVED}, {_NAMESPACES}", f"{UNMET}, {_NAMESPACES}", "destination_service"
    secure = _share('connection_security_policy="mutual_tls"', served)
    space = "destination_service_namespace"
    namespaces = Choice("namespace", f'label_values(istio_requests_total{{{space}!="unknown"}}, {space})', True)
    rows = (
        Row("All calls", _numbers(served, unmet)),
        Row(
            "Services",
            (
                panel("Requests", "reqps", Ask(_requests(served, by, unmet), "{{destination_service}}")),
                panel("Success", "percentunit", Ask(_success(served, by, unmet), "{{destination_service}}"), most=1.0),
                panel("Latency, p95", "ms", Ask(_percentile(0.95, served, by=by), "{{destination_service}}")),
                panel("TCP", "Bps", *_bytes(served, by, "{{destination_service}}")),
            ),
        ),
        Row(
            "Safety",
            (
                panel("Calls by mutual TLS", "percentunit", Ask(secure, "share"), most=1.0),
                panel("What runs", "short", Ask("sum by (component, tag) (istio_build)", "{{component}} {{tag}}")),
            ),
        ),
    )
    return dashboard("tulle-mesh", "tulle: mesh", rows, (namespaces,))


def service() -> dict[str, Any]:
    callers, legend = "source_workload, source_workload_namespace", "{{source_workload}}.{{source_workload_namespace}}"
    requests, answers = "istio_request_bytes", "istio_response_bytes"
    rows = (
        Row("What callers see", _numbers(_TO_SERVICE)),
        Row(
            "Callers",
            (
                panel("Requests", "reqps", Ask(_requests(_TO_SERVICE, callers), legend)),
                panel("Success", "percentunit", Ask(_success(_TO_SERVICE, callers), legend), most=1.0),
                panel("Answers by status", "reqps", *_by(_TO_SERVICE, "response_code", "response_flags")),
                panel("Latency", "ms", *_latency(_TO_SERVICE)),
            ),
        ),
        Row("What its instances see", _numbers(_OF_SERVICE)),
        Row(
            "Instances",
            (
                panel("Answers by status", "reqps", *_by(_OF_SERVICE, "response_code")),
                panel("Latency", "ms", *_latency(_OF_SERVICE)),
                panel("Length of requests", "decbytes", Ask(_percentile(0.95, _OF_SERVICE, requests), "p95")),
                panel("Length of answers", "decbytes", Ask(_percentile(0.95, _OF_SERVICE, answers), "p95")),
                panel("Requests by workload", "reqps", *_by(_OF_SERVICE, "destination_workload")),
                panel("Requests by instance", "reqps", *_by(_OF_SERVICE, "instance")),
                panel("Requests by caller", "reqps", Ask(_requests(_OF_SERVICE, callers), legend)),
            ),
        ),
    )
    services = Choice(
        "service", 'label_values(istio_requests_total{destination_service_namespace!="unknown"}, destination_service)'
    )
    return dashboard("tulle-service", "tulle: service", rows, (services,))


def workload() -> dict[str, Any]:
    callee, legend = "destination_service", "{{destination_service}}"
    tcp_in = _bytes(_IN, "destination_workload", "in")
    rows = (
        Row("Calls that come in", _numbers(_IN)),
        Row(
            "In",
            (
                panel("Answers by status", "reqps", *_by(_IN, "response_code")),
                panel("Latency", "ms", *_latency(_IN)),
            ),
        ),
        Row(
            "Out",
            (
                panel("Requests", "reqps", Ask(_requests(_OUT, callee), legend)),
                panel("Success", "percentunit", Ask(_success(_OUT, callee), legend), most=1.0),
                panel("Latency, p95", "ms", Ask(_percentile(0.95, _OUT, by=callee), legend)),
                panel("TCP", "Bps", *tcp_in, *_bytes(_OUT, callee, "{{destination_service}}")),
            ),
        ),
        Row(
            "Its instances' processes",
            (
                panel("CPU", "short", Ask(f"sum by (part) (rate(tulle_agent_cpu_seconds_total{{{_SELF}}}{_R}))")),
                panel("Memory", "bytes", Ask(f"sum by (part) (tulle_agent_resident_memory_bytes{{{_SELF}}})")),
            ),
        ),
    )
    space = "destination_workload_namespace"
    choices = (
        Choice("namespace", f"label_values(istio_requests_total{{{SERVED}}}, {space})"),
        Choice(
            "workload",
            f'label_values(istio_requests_total{{{SERVED}, {space}=~"$namespace"}}, destination_workload)',
        ),
    )
    return dashboard("tulle-workload", "tulle: workload", rows, choices)


def control_plane() -> dict[str, Any]:
    def late(share: float, metric: str, by: str = "le") -> str:
        return f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket{_R})))"

    own = 'job="tulle-control-plane"'
    rows = (
        Row(
            "Now",
            (
                number("Sidecars", "short", "tulle_proxies"),
                number("In sync", "short", "tulle_proxies_in_sync"),
                number("Services", "short", "pilot_services"),
                number("Resources", "short", "tulle_resources"),
                number("Sessions", "short", "tulle_agent_sessions"),
                number("Root ends in", "s", "citadel_server_root_cert_expiry_seconds"),
            ),
        ),
        Row(
            "Configuration",
            (
                panel("Pushes", "ops", Ask(f"sum by (type) (rate(pilot_xds_pushes{_R}))", "{{type}}")),
                panel(
                    "Refused", "ops", Ask(f"sum (rate(pilot_total_xds_rejects{_R})) or vector(0)", "refused"), width=12
                ),
                panel(
                    "Until sidecars hold it",
                    "s",
                    *(Ask(late(share, "pilot_proxy_convergence_time"), f"p{share * 100:.0f}") for share in (0.5, 0.99)),
                ),
                panel(
                    "Length", "decbytes", Ask(late(0.99, "pilot_xds_config_size_bytes", "le, type"), "{{type}}, p99")
                ),
            ),
        ),
        Row(
            "Certificates, store and API",
            (
                panel(
                    "Certificates", "ops", Ask(f"sum (rate(citadel_server_success_cert_issuance_count{_R}))", "issued")
                ),
                panel("Writes", "s", Ask(late(0.99, "tulle_store_write_seconds"), "p99")),
                panel("Requests", "reqps", Ask(f"sum by (code) (rate(tulle_api_requests_total{_R}))", "{{code}}")),
                panel("Instances", "short", Ask("sum by (health) (tulle_instances)", "{{health}}")),
            ),
        ),
        Row(
            "Process",
            (
                panel("CPU", "short", Ask(f"rate(process_cpu_seconds_total{{{own}}}{_R})", "cores"), width=8),
                panel("Memory", "bytes", Ask(f"process_resident_memory_bytes{{{own}}}", "resident"), width=8),
                panel("Event loop late by", "s", Ask(late(0.99, "tulle_event_loop_lag_seconds"), "p99"), width=8),
            ),
        ),
    )
    return dashboard("tulle-control-plane", "tulle: control plane", rows)


ALL = (mesh, service, workload, control_plane)
