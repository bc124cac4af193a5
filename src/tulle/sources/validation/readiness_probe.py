"""`probe` of a WorkloadGroup. Source: Istio, pkg/config/validation (validateReadinessProbe) and its CRD."""

from __future__ import annotations

from tulle.model.resources.workload_entry import ReadinessProbe
from tulle.sources.at import At
from tulle.sources.validation.amounts import check_not_negative, check_one_of
from tulle.sources.validation.basics import check_header_name, check_port


def check(probe: ReadinessProbe | None, at: At) -> None:
    if probe is None:
        return
    check_not_negative(probe.initial_delay_seconds, at.field("initialDelaySeconds"))
    check_not_negative(probe.timeout_seconds, at.field("timeoutSeconds"))
    check_not_negative(probe.period_seconds, at.field("periodSeconds"))
    check_not_negative(probe.success_threshold, at.field("successThreshold"))
    check_not_negative(probe.failure_threshold, at.field("failureThreshold"))
    if not check_one_of(probe, at, http_get="httpGet", tcp_socket="tcpSocket", exec="exec", grpc="grpc"):
        at.error("says nothing of how to probe: give `httpGet`, `tcpSocket`, `exec` or `grpc`")
    _check_http(probe, at.field("httpGet"))
    if probe.tcp_socket is not None:
        check_port(probe.tcp_socket.port, at.field("tcpSocket").field("port"))
    if probe.grpc is not None:
        check_port(probe.grpc.port, at.field("grpc").field("port"))
    if probe.exec is not None and not all(probe.exec.command or ("",)):
        at.field("exec").field("command").error("needs a command, and no empty word in it")


def _check_http(probe: ReadinessProbe, at: At) -> None:
    http = probe.http_get
    if http is None:
        return
    check_port(http.port, at.field("port"))
    if http.scheme not in ("", "HTTP", "HTTPS"):
        at.field("scheme").error(f"`{http.scheme}` must be HTTP or HTTPS, in capitals")
    for index, header in enumerate(http.http_headers):
        check_header_name(header.name, at.field("httpHeaders").item(index).field("name"))
