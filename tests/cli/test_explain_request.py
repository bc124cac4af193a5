"""`tulle explain request`: what would happen to a request, on a mesh of `web`, `api` in two versions, and rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tulle.model.names import ServiceName
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Protocol, Proxy, ServicePort, Workload

RULES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api}
spec:
  hosts: [api]
  http:
  - name: beta
    match: [{headers: {x-beta: {exact: "1"}}}]
    route: [{destination: {host: api, subset: v2}}]
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new, redirectCode: 302}
  - match: [{uri: {prefix: /half}}]
    rewrite: {uri: /whole}
    route:
    - {destination: {host: api, subset: v1}, weight: 75}
    - {destination: {host: api, subset: gone}, weight: 25}
  - match: [{method: {exact: GET}}]
    route: [{destination: {host: api}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api}
spec:
  host: api
  trafficPolicy: {connectionPool: {http: {http2MaxRequests: 10}}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin}
spec:
  action: DENY
  rules: [{to: [{operation: {paths: ["/admin*"]}}]}]
"""


def instance(id: str, name: str, version: str, health: Health = Health.HEALTHY) -> Proxy:
    ports = (ServicePort(80, 8080, Protocol.HTTP),)
    workload = Workload(id, ServiceName("default", name), name, version, ports=ports, health=health)
    number = int(id[-1])
    return Proxy(id, "127.0.0.1", 15000 + number, 16000 + number, (workload,))


@pytest.fixture
async def ruled(tulle: Any, tmp_path: Path) -> Any:
    proxies = [
        instance("web-1", "web", ""),
        instance("api-2", "api", "v1"),
        instance("api-3", "api", "v1", Health.UNHEALTHY),
        instance("api-4", "api", "v2", Health.STARTING),
    ]
    tulle.live.hub.apply(Snapshot(1, {proxy.id: proxy for proxy in proxies}))
    (tmp_path / "rules.yaml").write_text(RULES)
    assert (await tulle("apply", "-f", str(tmp_path / "rules.yaml"))).code == 0
    return tulle


async def test_it_says_whom_the_name_means_which_route_fits_and_who_serves(ruled: Any, tmp_path: Path) -> None:
    ended = await ruled("explain", "request", "web", "GET", "http://api/things?id=1")
    assert (ended.code, ended.err) == (0, "")
    out = ended.out
    assert out.startswith(
        "GET http://api/things?id=1 from web.default: is served by api.default.svc.cluster.local:80\n"
    )
    assert "api means the service default/api, port 80" in out
    file = tmp_path / "rules.yaml"
    assert (
        f"beta of VirtualService default/api spec.http[0]  ({file}:7) does not fit: the header x-beta is not there"
        in out
    )
    assert f"VirtualService default/api spec.http[3]  ({file}:17) fits" in out
    assert "api-2 at 127.0.0.1:15002  serves" in out
    assert "api-3 at 127.0.0.1:15003  out: its health check fails" in out
    assert "at most 10 requests at a time; beyond that 503 with the flag UO" in out
    assert "allowed at api-2" in out
    assert "not told  whom its sidecar leaves out for errors: the agent of web-1 has no session" in out


async def test_a_subset_without_a_healthy_instance_is_told_with_the_reason_for_each(ruled: Any) -> None:
    ended = await ruled("explain", "request", "web", "GET", "http://api/", "-H", "X-Beta: 1", "-o", "json")
    found = ended.json
    assert ended.code == 1 and found["status"] == 503
    assert {one["name"]: one["out"] for one in found["shares"][0]["candidates"]} == {
        "api-2": "it has version=v1, and the subset v2 wants version=v2",
        "api-3": "its health check fails",
        "api-4": "it is starting, and has not been healthy yet",
    }
    assert found["shares"][0]["cluster"] == "outbound|80|v2|api.default.svc.cluster.local"
    assert found["fixes"] == ["see why its instances are out above, and mend that: tulle services api"]


async def test_a_redirect_ends_at_the_callers_own_sidecar(ruled: Any) -> None:
    ended = await ruled("explain", "request", "web", "GET", "http://api/old/x")
    assert ended.code == 0 and "is redirected (302)" in ended.out


async def test_shares_are_told_apart_with_what_is_sent_to_each(ruled: Any) -> None:
    found = (await ruled("explain", "request", "web", "GET", "http://api/half/x?y", "-o", "json")).json
    assert [(share["percent"], share["path"]) for share in found["shares"]] == [
        (75.0, "/whole/x?y"),
        (25.0, "/whole/x?y"),
    ]
    assert found["outcome"].startswith("75 %: is served by") and "does not exist" in found["outcome"]


async def test_who_would_be_denied_learns_by_which_rule(ruled: Any) -> None:
    ended = await ruled("explain", "request", "web", "GET", "http://api.default/admin/../admin/x")
    assert ended.code == 1 and "denies it (403)" in ended.out
    assert re.search(
        r"denied at [\w, -]+, mutual TLS STRICT: AuthorizationPolicy default/no-admin spec.rules\[0\]", ended.out
    )
    assert (
        "to change: see which rule decides, and why the others do not fit: tulle authz check web.default api"
        in ended.out
    )


async def test_a_request_that_no_route_fits_gets_404(ruled: Any) -> None:
    ended = await ruled("explain", "request", "web-1", "PUT", "api/")
    assert ended.code == 1 and "no route of its VirtualService fits (404)" in ended.out


async def test_a_port_that_a_service_lacks_and_a_stranger_are_told_apart(ruled: Any) -> None:
    lacking = await ruled("explain", "request", "web", "GET", "http://api:9999/")
    assert lacking.code == 1 and "service api.default has no port 9999" in lacking.out
    stranger = await ruled("explain", "request", "web", "GET", "http://example.com/")
    assert stranger.code == 0 and "goes on to wherever DNS says" in stranger.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("web", "GET", "https://api/"), "does not see requests within the program's own TLS"),
        (("web", "GET", "ftp://api/"), "is no URL of HTTP"),
        (("web", "GET", "http://api:port/"), "is no URL"),
        (("web", "G T", "http://api/"), "is no method"),
        (("nobody", "GET", "http://api/"), "there is no service nobody.default"),
        (("web", "GET", "http://api/", "-H", "x"), "write NAME:VALUE"),
    ],
)
async def test_what_is_no_request_is_refused(ruled: Any, arguments: tuple[str, ...], said: str) -> None:
    ended = await ruled("explain", "request", *arguments)
    assert ended.code == 2 and said in ended.err
