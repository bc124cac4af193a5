"""`tulle bundle`: what it writes is what Prometheus, Grafana and a collector take."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tulle.agent.figures.labels import HTTP_LABELS
from tulle.cli.bundles import dashboards, grafana, otel, prometheus
from tulle.cli.commands import tulle as every_command
from tulle.translate.telemetry.tracing import ISTIO_TAGS

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")
RULES_TEST = Path(__file__).parent / "alerts_test.yml"


def written(folder: Path, files: Any) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def promtool(*words: str) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_prometheus_takes_its_configuration_and_rules(tmp_path: Path) -> None:
    folder = written(tmp_path, prometheus.files("127.0.0.1:10080"))
    assert "SUCCESS" in promtool("check", "config", str(folder / "prometheus.yml"))
    promtool("check", "rules", "--lint-fatal", *map(str, folder.glob("tulle-*.yml")))


@needs_promtool
def test_alerts_are_raised_when_they_should_be_and_not_before(tmp_path: Path) -> None:
    folder = written(tmp_path, prometheus.files("127.0.0.1:10080"))
    shutil.copy(RULES_TEST, folder)
    promtool("test", "rules", str(folder / RULES_TEST.name))


def test_every_alert_is_tested() -> None:
    alerts = yaml.safe_load(prometheus.files("127.0.0.1:1")["tulle-alerts.yml"])
    names = {rule["alert"] for group in alerts["groups"] for rule in group["rules"]}
    tests = yaml.safe_load(RULES_TEST.read_text())["tests"]
    assert {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")} == names


def queries(dashboard: Any) -> list[str]:
    return [target["expr"] for one in dashboard["panels"] for target in one.get("targets", ())]


@needs_promtool
def test_every_query_of_our_dashboards_is_one(tmp_path: Path) -> None:
    every = [
        re.sub(r"\$\w+", "x", q.replace("$__rate_interval", "1m")) for make in dashboards.ALL for q in queries(make())
    ]
    every.append(grafana.TO_SERVICE.replace("$__tags", 'a="b"').replace("$__rate_interval", "1m"))
    recorded = [{"record": f"q{number}", "expr": query} for number, query in enumerate(every)]
    assert len(every) > 50
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    promtool("check", "rules", str(file))


@needs_promtool
def test_a_service_of_which_no_sidecar_answers_is_no_gap_in_the_dashboards(tmp_path: Path) -> None:
    caller = 'source_workload="web", source_workload_namespace="default"'
    service = 'destination_service="db.default.svc.cluster.local"'
    answers = 'response_code="503", response_flags="UH"'
    more = 'reporter="source", destination_service_namespace="default", destination_principal="unknown"'
    wanted = {
        (dashboards.mesh, "Requests"): {"": 1, service: 1},
        (dashboards.mesh, "Success"): {"": 0, service: 0},
        (dashboards.service, "Requests"): {"": 1, caller: 1},
        (dashboards.service, "Success"): {"": 0, caller: 0},
        (dashboards.service, "Answers by status"): {answers: 1},
    }
    asked = []
    for (make, title), samples in wanted.items():
        panels = [one["targets"][0]["expr"] for one in make()["panels"] if one["title"] == title]
        for query, (labels, value) in zip(panels, samples.items(), strict=False):  # instances come after callers
            text = re.sub(r"\$\w+", ".*", query.replace("$__rate_interval", "1m"))
            found = {"labels": f"{{{labels}}}", "value": value}
            asked.append({"expr": text, "eval_time": "5m", "exp_samples": [found]})
    assert len(asked) == 9
    series = {"series": f"istio_requests_total{{{caller}, {service}, {answers}, {more}}}", "values": "0+15x30"}
    test = {"interval": "15s", "input_series": [series], "promql_expr_test": asked}
    file = tmp_path / "outage.yml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    promtool("test", "rules", str(file))


@pytest.mark.parametrize("make", dashboards.ALL)
def test_a_dashboard_is_laid_out_and_asks_for_nothing_that_it_does_not_define(make: Any) -> None:
    board = make()
    ids, taken = set(), set[tuple[int, int]]()
    for one in board["panels"]:
        place = one["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24, one["title"]
        taken |= cells
        assert one["id"] not in ids
        ids.add(one["id"])
        assert one["type"] == "row" or all(t["datasource"]["uid"] == "${datasource}" for t in one["targets"])
        letters = [target["refId"] for target in one.get("targets", ())]
        assert len(set(letters)) == len(letters)
    variables = {each["name"] for each in board["templating"]["list"]}
    asked = set(re.findall(r"\$\{?(\w+)", json.dumps(board))) - {"__rate_interval", "__all"}
    assert asked == variables


def test_all_that_the_dashboard_of_a_workload_shows_is_of_that_workload() -> None:
    assert [query for query in queries(dashboards.workload()) if "$workload" not in query] == []


def test_grafana_finds_each_dashboard_once_and_no_secret_is_written(tmp_path: Path) -> None:
    made = grafana.files("127.0.0.1:10080", "http://127.0.0.1:9090", "/etc/$tulle")
    boards = [json.loads(content) for name, content in made.items() if name.startswith("dashboards/")]
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == 4
    sources = yaml.safe_load(made["provisioning/datasources/tulle.yaml"])["datasources"]
    assert [(one["type"], one["url"]) for one in sources] == [
        ("prometheus", "http://127.0.0.1:9090"),
        ("jaeger", "http://127.0.0.1:10080"),
    ]
    assert sources[1]["secureJsonData"] == {"httpHeaderValue1": "Bearer $TULLE_API"}
    to_figures = sources[1]["jsonData"]["tracesToMetrics"]
    assert to_figures["datasourceUid"] == sources[0]["uid"]
    assert '{reporter="destination", $$__tags}[$$__rate_interval]' in to_figures["queries"][0]["query"]
    assert {tag["value"] for tag in to_figures["tags"]} <= set(HTTP_LABELS)
    assert {tag["key"] for tag in to_figures["tags"]} <= {tag["tag"] for tag in ISTIO_TAGS}
    [provider] = yaml.safe_load(made["provisioning/dashboards/tulle.yaml"])["providers"]
    assert provider["options"]["path"] == "/etc/$$tulle/dashboards"


def test_a_collectors_pipelines_are_made_of_what_it_has() -> None:
    made = yaml.safe_load(otel.files("127.0.0.1:10080")["collector.yaml"])
    for pipeline in made["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) <= set(made[part])
    assert all(one["endpoint"].startswith("127.0.0.1:") for one in made["receivers"]["otlp"]["protocols"].values())
    # Names that the collector's own documents have now: those before 0.144 are deprecated, and so is batching by a processor.
    assert {part: set(made[part]) for part in ("receivers", "processors", "exporters")} == {
        "receivers": {"otlp", "prometheus"},
        "processors": {"memory_limiter"},
        "exporters": {"otlp_http"},
    }


async def test_it_writes_where_it_is_told_to_and_overwrites_nothing(tulle: Any, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b b"
    done = await tulle("bundle", "prometheus", "-o", str(folder))
    assert done.code == 0, done.err
    assert f"prometheus --config.file='{folder}'/prometheus.yml" in done.err  # as a shell takes it
    assert done.out.splitlines() == [str(folder / n) for n in ("prometheus.yml", "tulle-rules.yml", "tulle-alerts.yml")]
    assert "http://127.0.0.1:10080/v1/prometheus/targets" in (folder / "prometheus.yml").read_text()
    (folder / "prometheus.yml").write_text("mine")
    (folder / "tulle-rules.yml").unlink()
    again = await tulle("bundle", "prometheus", "-o", str(folder))
    assert (again.code, again.out, "is there already" in again.err) == (1, "", True)
    assert (folder / "prometheus.yml").read_text() == "mine" and not (folder / "tulle-rules.yml").exists()
    assert (await tulle("bundle", "prometheus", "-o", str(folder), "--force")).code == 0
    assert (folder / "prometheus.yml").read_text() != "mine"
    assert (await tulle("bundle", "grafana", "-o", str(tmp_path / "prom" / "x"))).code == 0
    (tmp_path / "file").write_text("")
    refused = await tulle("bundle", "otel", "-o", str(tmp_path / "file" / "x"))
    assert (refused.code, "can't write to" in refused.err) == (1, True)


def test_what_alerts_tell_to_do_are_commands_that_there_are() -> None:
    alerts = yaml.safe_load(prometheus.files("127.0.0.1:1")["tulle-alerts.yml"])
    hints = " ".join(rule["annotations"]["do"] for group in alerts["groups"] for rule in group["rules"])
    told = set(re.findall(r"\btulle ([a-z]+)((?: --[a-z-]+)?)", hints))
    told |= {(name, option) for name, option in re.findall(r"\btulle ([a-z]+) [a-z]+( --[a-z-]+)", hints)}
    assert {name for name, _ in told} >= {"stat", "tap", "trace"}
    for name, option in told:
        found = every_command.get_command(click.Context(every_command), name)
        assert found is not None, name
        assert not option or option.strip() in {word for each in found.params for word in each.opts}, (name, option)


@pytest.mark.parametrize("url", ["bad url", "127.0.0.1:9090", "ftp://a", "http://", "http://a:x", "http://a/\x1b"])
async def test_where_prometheus_is_must_be_a_url(alone: Any, url: str) -> None:
    done = await alone("bundle", "grafana", "--prometheus", url)
    assert done.code == 2 and "is no URL" in done.err and "\x1b" not in done.err
