"""The variables of headers are Envoy's own: it takes each that is known here, and one it does not know spoils its routes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable

from tulle.envoy_api.binary import find
from tulle.model.resources.virtual_service import HeaderOperations, Headers
from tulle.sources.at import At, Report
from tulle.sources.validation.header_operations import check
from tulle.sources.validation.header_variables import PLAIN, WITH_ARGUMENT, unknown

HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
KNOWN = [f"%{name}%" for name in sorted(PLAIN)] + [f"%{name}(a)%" for name in sorted(WITH_ARGUMENT)]


def envoy_takes(values: Iterable[str]) -> bool:
    added = [{"header": {"key": f"x-{index}", "value": value}} for index, value in enumerate(values)]
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}, "request_headers_to_add": added}
    manager = {
        "@type": HTTP,
        "stat_prefix": "a",
        "route_config": {"virtual_hosts": [{"name": "a", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    config = json.dumps({"static_resources": {"listeners": [listener]}})
    command = [str(find().path), "--mode", "validate", "-l", "off", "--config-yaml", config]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def test_envoy_takes_every_variable_that_is_known() -> None:
    assert envoy_takes(KNOWN)
    assert [value for value in KNOWN if unknown(value)] == []


def test_a_variable_that_envoy_lacks_is_found() -> None:
    values = ["a %NOPE% b", "%REQ%", "%hostname%", "%HOSTNAME(a)%", "%REQ(x) %"]
    assert [unknown(value) for value in values] == ["%NOPE%", "%REQ%", "%hostname%", "%HOSTNAME(a)%", "%REQ(x) %"]
    assert not any(envoy_takes([value]) for value in values)


def test_envoy_takes_no_longer_values_and_names_than_are_taken_here() -> None:
    longest = "a" * 16384
    assert envoy_takes([longest])
    assert not envoy_takes([longest + "a"])
    assert said_of_header("x-a", longest) == []
    assert said_of_header("x-a", longest + "a") == ["is 16385 bytes long, and Envoy takes up to 16384: shorten it"]
    assert said_of_header(longest, "x") == []
    said = ["is a name of 16385 bytes, and Envoy takes up to 16384: shorten it"]
    assert said_of_header(longest + "a", "x") == said


def said_of_header(name: str, value: str) -> list[str]:
    report = Report()
    check(Headers(request=HeaderOperations(set={name: value})), At(report))
    return [problem.message for problem in report.problems]


def test_a_percent_sign_begins_no_variable() -> None:
    assert unknown("100%% of %HOSTNAME%, 5%%") is None
    assert envoy_takes(["100%% of %HOSTNAME%, 5%%"])
