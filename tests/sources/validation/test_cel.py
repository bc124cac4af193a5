"""What is taken as CEL, Envoy takes too; and it is told what it does not take."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tulle.envoy_api import binary
from tulle.envoy_api.messages import message, to_dict
from tulle.ir.telemetry import AccessLog
from tulle.sources.at import At, Report
from tulle.sources.validation import cel, log_format
from tulle.translate.telemetry.logs import request_logs

TAKEN = (
    "response.code >= 400",
    "has(request.host)",
    "request.path.matches(r'^/\\d+$')",
    "matches(request.path, 'a{60}')",
    "size(request.headers) > 1 && 'a'.size() == 1",
    "'a' + 'b' == \"ab\" || [1, 2,][0] in [1]",
    "duration('1s') < request.duration",
    "request.time.getHours('UTC') == 3",
    "connection.mtls ? request.url_path.contains('v1') : !has(request.referer)",
    "{'a': 1,}['a'] == 0x1 && 1u == 1u && 1.5e3 > .5",
    "-response.code < 0 // a comment",
    "'''a\nb''' == '\\x41\\u0041\\101' || b'\\x41' == b''",
    "type(response.code) == int",
    "request.headers['x'] in ['a', 'b']",
    "null == null && (true)",
)
REFUSED = (
    "string(response.code) == '200'",
    "request.headers.exists(x, x == 'a')",
    "nofunc(1)",
    "request.host.upperAscii() == 'A'",
    "request.path.matches('(')",
    "request.path.matches('a{200}')",
    "request.path.matches()",
    "getHours(request.time) == 1",
    "size() == 1",
    "99999999999999999999 == 1",
    "1 +",
    "(response.code",
    "response.code ? 1",
    "'abc",
    "'\\q' == 'a'",
    "b'\\u0041' == b'A'",
    "has(1)",
    "has(request.headers['x'])",
    "request.in",
    "Foo{}",
    "request?.path",
    "if",
    "request.path # 1",
)
FORMATS = (
    "%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)% %REQ(:METHOD):10%",
    "%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)% %%",
    "%CEL(request.path):3% %GRPC_STATUS(SNAKE_STRING)%",
    "%FILTER_STATE(a:PLAIN):3% %METADATA(ROUTE:a:b)% %ENVIRONMENT(HOME):3%",
)
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
NO_FORMATS = (
    "%NOPE%",
    "100%",
    "%REQ()%",
    "%PROTOCOL:3%",
    "%PROTOCOL(a)%",
    "%START_TIME(%s):3%",
    "%CEL(x y)%",
    "%TRACE_ID",
)


def told(expression: str) -> list[str]:
    report = Report()
    cel.check(expression, At(report))
    return [problem.message for problem in report.problems]


def of_format(text: str) -> list[str]:
    report = Report()
    log_format.check(text, At(report))
    return [problem.message for problem in report.problems]


def envoy_takes(folder: Path, *logs: AccessLog) -> bool:
    """Whether it starts with all of these."""
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "x",
        "route_config": {},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
        "access_log": [to_dict(message("envoy.config.accesslog.v3.AccessLog")(**log)) for log in request_logs(logs)],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    config = {"static_resources": {"listeners": [{"address": address, "filter_chains": [chain]}]}}
    path = folder / "envoy.json"
    path.write_text(json.dumps(config))
    command = [
        str(binary.find().path),
        "--mode",
        "validate",
        "-l",
        "critical",
        "--use-dynamic-base-id",
        "-c",
        str(path),
    ]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("expression", TAKEN)
def test_an_expression_of_cel_has_no_problem(expression: str) -> None:
    assert told(expression) == []


@pytest.mark.parametrize("expression", REFUSED)
def test_what_envoy_would_not_take_is_told(expression: str) -> None:
    assert told(expression)


def test_a_name_that_has_no_value_is_told_though_envoy_takes_it() -> None:
    assert told("respose.code == 1")[0].startswith("there is no attribute `respose`")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("response.cod >= 500", "there is no attribute `response.cod`, so it has no value; did you mean code?"),
        ("has(request.heders)", "there is no attribute `request.heders`, so it has no value; did you mean headers?"),
        ("request.x.code == 1", "there is no attribute `request.x`, so it has no value; use one of duration, headers"),
    ],
)
def test_a_part_that_has_no_value_is_told_with_what_is_meant(expression: str, said: str) -> None:
    [one] = told(expression)
    assert one.startswith(said)


@pytest.mark.parametrize("expression", ["request.headers.code == ''", "{'a': 1}.cod == 1", "(request.path).cod == ''"])
def test_what_is_no_part_of_an_attribute_may_have_any_name(expression: str) -> None:
    assert told(expression) == []


@pytest.mark.parametrize("text", ["a" * 5000, "(" * 40 + "1" + ")" * 40, "!" * 4000])
def test_an_expression_without_end_is_refused_quickly(text: str) -> None:
    assert told(text)


@pytest.mark.parametrize("text", FORMATS)
def test_a_text_in_envoys_format_has_no_problem(text: str) -> None:
    assert of_format(text) == []


@pytest.mark.parametrize("text", NO_FORMATS)
def test_a_command_that_envoy_lacks_is_told(text: str) -> None:
    assert len(of_format(text)) == 1


def test_envoy_takes_all_that_is_taken(tmp_path: Path) -> None:
    filters = (AccessLog("f", "/dev/null", filter=expression) for expression in TAKEN)
    assert envoy_takes(tmp_path, *filters, *(AccessLog("f", "/dev/null", text=text) for text in FORMATS))


@pytest.mark.parametrize(
    "log",
    [
        *(AccessLog("f", "/dev/null", filter=one) for one in (REFUSED[0], REFUSED[1], REFUSED[5])),
        AccessLog("f", "/dev/null", text="%NOPE%"),
    ],
    ids=["a function", "a comprehension", "a large expression", "a command"],
)
def test_envoy_takes_none_of_what_is_refused(tmp_path: Path, log: AccessLog) -> None:
    assert not envoy_takes(tmp_path, log)
