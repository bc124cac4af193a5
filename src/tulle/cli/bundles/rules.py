"""Recording and alert rules for Prometheus (prometheus.io, "Defining recording rules", "Alerting rules")."""

from __future__ import annotations

from typing import Any

from tulle.model.grpc_statuses import FAILED

_SERVICE = "destination_service_namespace, destination_service_name"
SERVED = 'reporter="destination"'
# What came to no sidecar of a service, as where nobody serves it: only its callers tell of that.
UNMET = 'reporter="source", destination_principal="unknown", destination_service_namespace!="unknown"'
# What `tulle stat` takes for success: an answer without 5xx, and with none of gRPC's that say that the server failed.
SUCCEEDED = f'response_code!~"5..|0", grpc_response_status!~"{"|".join(FAILED)}"'
_NAMED = "{{ $labels.destination_service_name }}.{{ $labels.destination_service_namespace }}"


def recording() -> dict[str, Any]:
    """Of services: what the sidecars of those that serve them have counted, and those of callers where it came to none."""
    rate, good = _requests(""), _requests(f", {SUCCEEDED}")
    rules = [
        _record("service:istio_requests:rate1m", rate),
        # Where nothing succeeds there is no series of what does, and the share of errors is 1, not nothing.
        _record("service:istio_requests_errors:ratio1m", f"1 - ({good} or 0 * {rate}) / {rate}"),
    ]
    for percent in (50, 95, 99):
        buckets = f"sum by (le, {_SERVICE}) (rate(istio_request_duration_milliseconds_bucket{{{SERVED}}}[1m]))"
        name = f"service:istio_request_duration_milliseconds:p{percent}_1m"
        rules.append(_record(name, f"histogram_quantile(0.{percent}, {buckets})"))
    return {"groups": [{"name": "tulle services", "rules": rules}]}


def _requests(more: str) -> str:
    """Of each service, a second. more: of which requests."""
    both = " or ".join(f"rate(istio_requests_total{{{which}{more}}}[1m])" for which in (SERVED, UNMET))
    return f"sum by ({_SERVICE}) ({both})"


def alerts() -> dict[str, Any]:
    return {"groups": [{"name": "tulle calls", "rules": _calls()}, {"name": "tulle itself", "rules": _itself()}]}


def _calls() -> list[dict[str, Any]]:
    busy = "service:istio_requests:rate1m > 0.1"
    return [
        _alert(
            "TulleServiceFails",
            f"service:istio_requests_errors:ratio1m > 0.05 and on ({_SERVICE}) {busy}",
            "5m",
            "critical",
            f"{{{{ $value | humanizePercentage }}}} of the calls to {_NAMED} fail",
            "tulle stat services, then tulle tap and tulle trace ls --errors",
        ),
        _alert(
            "TulleServiceSlow",
            f"service:istio_request_duration_milliseconds:p95_1m > 1000 and on ({_SERVICE}) {busy}",
            "10m",
            "warning",
            f"a call of twenty to {_NAMED} takes more than {{{{ $value | humanize }}}} ms",
            "tulle stat services, then tulle trace ls",
        ),
    ]


def _itself() -> list[dict[str, Any]]:
    by_agent = "{{ $labels.instance }}"
    late = "histogram_quantile(0.99, sum by (le) (rate({}_bucket[5m])))".format
    return [
        _alert(
            "TulleControlPlaneDown",
            'absent(up{job="tulle-control-plane"} == 1)',
            "1m",
            "critical",
            "the control plane does not answer; calls go on with what sidecars have",
            "start it: tulle up",
        ),
        _alert(
            "TulleAgentDown",
            'up{job="tulle-sidecars"} == 0',
            "1m",
            "warning",
            f"the agent of {by_agent} does not answer",
            "tulle proxies",
        ),
        _alert(
            "TulleAgentAlone",
            "tulle_agent_connected == 0",
            "2m",
            "warning",
            f"the agent of {by_agent} has no session with its control plane, and gets nothing new",
            "tulle status; on another machine look at the network",
        ),
        _alert(
            "TulleConfigurationRefused",
            "sum by (type) (increase(pilot_total_xds_rejects[5m])) > 0",
            "0m",
            "warning",
            "an Envoy refuses configuration of type {{ $labels.type }}, and keeps what it had",
            "tulle proxies names it and its reason",
        ),
        _alert(
            "TulleOutOfSync",
            "tulle_proxies - tulle_proxies_in_sync > 0",
            "5m",
            "warning",
            "{{ $value }} sidecars do not hold what they should",
            "tulle proxies",
        ),
        _alert(
            "TulleSlowToConverge",
            f"{late('pilot_proxy_convergence_time')} > 10",
            "5m",
            "warning",
            "changes take {{ $value | humanizeDuration }} to reach sidecars",
            "tulle proxies names those that are not in sync",
        ),
        _alert(
            "TulleNoFigures",
            "sum by (instance) (increase(tulle_agent_envoy_reads_failed_total[5m])) > 10",
            "1m",
            "warning",
            f"the Envoy of {by_agent} does not tell what it counts",
            "look at its agent's log",
        ),
        _alert(
            "TulleFiguresDropped",
            "sum by (instance) (increase(tulle_agent_series_dropped_total[10m])) > 0",
            "0m",
            "warning",
            f"{by_agent} has more kinds of calls than are told apart",
            "see whether a Telemetry adds a label with many values",
        ),
        _alert(
            "TulleCollectorFails",
            "sum by (collector) (increase(tulle_collector_deliveries_failed_total[5m])) > 0",
            "1m",
            "warning",
            "the collector {{ $labels.collector }} does not take all spans and access logs of sidecars",
            "see whether it runs and keeps up",
        ),
        _alert(
            "TulleCertificateExpires",
            "tulle_agent_certificate_expires_seconds - time() < 300",
            "1m",
            "critical",
            f"the certificate of {by_agent} ends in {{{{ $value | humanizeDuration }}}}, and was not renewed",
            "tulle status; then the agent's log",
        ),
        _alert(
            "TulleAuthorityExpires",
            "citadel_server_cert_chain_expiry_timestamp - time() < 86400",
            "10m",
            "critical",
            "the authority that signs certificates ends in {{ $value | humanizeDuration }}",
            "tulle ca; if it was brought along, bring a newer one: tulle up --ca-dir",
        ),
        _alert(
            "TulleRootExpires",
            "citadel_server_root_cert_expiry_seconds < 30 * 86400",
            "1h",
            "warning",
            "the root certificate ends in {{ $value | humanizeDuration }}",
            "tulle ca rotate",
        ),
        _alert(
            "TulleStoreFails",
            "increase(tulle_store_write_errors_total[5m]) > 0",
            "0m",
            "critical",
            "the control plane can't write to its store; calls go on, changes do not",
            "make room on the disk of its state folder",
        ),
        _alert(
            "TulleControlPlaneLate",
            f"{late('tulle_event_loop_lag_seconds')} > 0.5",
            "5m",
            "warning",
            "the control plane comes {{ $value | humanizeDuration }} too late to what it has to do",
            "give it more CPU",
        ),
    ]


def _record(name: str, expression: str) -> dict[str, Any]:
    return {"record": name, "expr": expression}


def _alert(name: str, expression: str, after: str, severity: str, what: str, do: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": after,
        "labels": {"severity": severity},
        "annotations": {"summary": what, "do": do},
    }
