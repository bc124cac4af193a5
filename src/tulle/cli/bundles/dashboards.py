"""Our four dashboards: the mesh, a service, a workload, and the control plane.

What a call is counted by is the sidecar that serves it (reporter="destination"), so that none counts twice; what a workload
calls is told by its own (reporter="source").
"""

from __future__ import annotations

from typing import Any

from tulle.cli.bundles.panels import Ask, Choice, Row, dashboard, number, panel
from tulle.cli.bundles.rules import SUCCEEDED

_R = "[$__rate_interval]"
_SERVED = 'reporter="destination"'
_NAMESPACES = 'destination_service_namespace=~"$namespace"'
_OF_SERVICE = f'{_SERVED}, destination_service=~"$service"'
_IN = f'{_SERVED}, destination_workload_namespace=~"$namespace", destination_workload=~"$workload"'
_OUT = 'reporter="source", source_workload_namespace=~"$namespace", source_workload=~"$workload"'


def _rate(metric: str, labels: str, by: str = "") -> str:
    whole = f"(rate({metric}{{{labels}}}{_R}))"
    return f"sum by ({by}) {whole}" if by else f"sum {whole}"


def _success(labels: str, by: str = "") -> str:
    return _share(labels, SUCCEEDED, by)


def _share(labels: str, of_which: str, by: str = "") -> str:
    """Of calls. Where it is so of none, there is no series of these, and the share is 0, not nothing."""
    some, whole = (_rate("istio_requests_total", each, by) for each in (f"{labels}, {of_which}", labels))
    return f"({some} or 0 * {whole}) / {whole}"


def _percentile(share: float, labels: str, metric: str = "istio_request_duration_milliseconds", by: str = "") -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', labels, f'le, {by}' if by else 'le')})"


def _latency(labels: str) -> tuple[Ask, ...]:
    return tuple(Ask(_percentile(share, labels), f"p{share * 100:.0f}") for share in (0.5, 0.95, 0.99))


def _bytes(labels: str, by: str, legend: str) -> tuple[Ask, ...]:
    return (
        Ask(_rate("istio_tcp_received_bytes_total", labels, by), f"{legend} received"),
        Ask(_rate("istio_tcp_sent_bytes_total", labels, by), f"{legend} sent"),
    )


def _numbers(labels: str) -> tuple[Any, ...]:
    return (
        number("Requests", "reqps", _rate("istio_requests_total", labels), 5),
        number("Success", "percentunit", _success(labels), 5),
        number("p50", "ms", _percentile(0.5, labels), 4),
        number("p95", "ms", _percentile(0.95, labels), 5),
        number("p99", "ms", _percentile(0.99, labels), 5),
    )


def mesh() -> dict[str, Any]:
    served, by = f"{_SERVED}, {_NAMESPACES}", "destination_service"
    secure = _share(served, 'connection_security_policy="mutual_tls"')
    namespaces = Choice(
        "namespace", f"label_values(istio_requests_total{{{_SERVED}}}, destination_service_namespace)", True
    )
    rows = (
        Row("All calls", _numbers(served)),
        Row(
            "Services",
            (
                panel("Requests", "reqps", Ask(_rate("istio_requests_total", served, by), "{{destination_service}}")),
                panel("Success", "percentunit", Ask(_success(served, by), "{{destination_service}}"), most=1.0),
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
    codes = Ask(_rate("istio_requests_total", _OF_SERVICE, "response_code"), "{{response_code}}")
    requests, answers = "istio_request_bytes", "istio_response_bytes"
    rows = (
        Row("Calls", _numbers(_OF_SERVICE)),
        Row(
            "Signals",
            (
                panel("Answers by status", "reqps", codes),
                panel("Latency", "ms", *_latency(_OF_SERVICE)),
                panel("Length of requests", "decbytes", Ask(_percentile(0.95, _OF_SERVICE, requests), "p95")),
                panel("Length of answers", "decbytes", Ask(_percentile(0.95, _OF_SERVICE, answers), "p95")),
            ),
        ),
        Row(
            "Callers",
            (
                panel("Requests", "reqps", Ask(_rate("istio_requests_total", _OF_SERVICE, callers), legend)),
                panel("Success", "percentunit", Ask(_success(_OF_SERVICE, callers), legend), most=1.0),
            ),
        ),
        Row(
            "Instances",
            (
                panel(
                    "Requests by workload",
                    "reqps",
                    Ask(_rate("istio_requests_total", _OF_SERVICE, "destination_workload"), "{{destination_workload}}"),
                ),
                panel(
                    "Requests by instance",
                    "reqps",
                    Ask(_rate("istio_requests_total", _OF_SERVICE, "instance"), "{{instance}}"),
                ),
            ),
        ),
    )
    services = Choice("service", f"label_values(istio_requests_total{{{_SERVED}}}, destination_service)")
    return dashboard("tulle-service", "tulle: service", rows, (services,))


def workload() -> dict[str, Any]:
    callee, legend = "destination_service", "{{destination_service}}"
    tcp_in = _bytes(_IN, "destination_workload", "in")
    rows = (
        Row("Calls that come in", _numbers(_IN)),
        Row(
            "In",
            (
                panel(
                    "Answers by status",
                    "reqps",
                    Ask(_rate("istio_requests_total", _IN, "response_code"), "{{response_code}}"),
                ),
                panel("Latency", "ms", *_latency(_IN)),
            ),
        ),
        Row(
            "Out",
            (
                panel("Requests", "reqps", Ask(_rate("istio_requests_total", _OUT, callee), legend)),
                panel("Success", "percentunit", Ask(_success(_OUT, callee), legend), most=1.0),
                panel("Latency, p95", "ms", Ask(_percentile(0.95, _OUT, by=callee), legend)),
                panel("TCP", "Bps", *tcp_in, *_bytes(_OUT, callee, "{{destination_service}}")),
            ),
        ),
        Row(
            "Its machine",
            (
                panel(
                    "CPU",
                    "short",
                    Ask(f'sum by (part) (rate(tulle_agent_cpu_seconds_total{{namespace=~"$namespace"}}{_R}))'),
                ),
                panel(
                    "Memory", "bytes", Ask('sum by (part) (tulle_agent_resident_memory_bytes{namespace=~"$namespace"})')
                ),
            ),
        ),
    )
    space = "destination_workload_namespace"
    choices = (
        Choice("namespace", f"label_values(istio_requests_total{{{_SERVED}}}, {space})"),
        Choice(
            "workload",
            f'label_values(istio_requests_total{{{_SERVED}, {space}=~"$namespace"}}, destination_workload)',
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
