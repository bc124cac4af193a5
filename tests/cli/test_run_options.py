"""What `tulle run` makes of its options: the agent's configuration, or all mistakes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.agent.config import AgentConfig, Port
from tulle.cli.commands import COMMANDS, tulle
from tulle.cli.durations import seconds
from tulle.cli.exits import Mistakes
from tulle.cli.ports import parse_port
from tulle.cli.run import agent_config
from tulle.model.workload import Protocol, ServicePort


def config(**changes: Any) -> AgentConfig:
    options: dict[str, Any] = {
        "name": "service-b",
        "namespace": "default",
        "service_account": None,
        "version": "",
        "labels": (),
        "weight": 1,
        "locality": "",
        "ports": (),
        "health": None,
        "drain": "30s",
        "grace": "10s",
        "capture": "auto",
        "isolate": False,
        "inbound_port": None,
        "workload_api": False,
        "restart": "no",
        "data": Path("/data"),
        "log_format": "text",
        "log_file": None,
        "program": ["python", "b.py"],
    }
    return agent_config(**{**options, **changes})


def mistakes(**changes: Any) -> str:
    with pytest.raises(Mistakes) as raised:
        config(**changes)
    return raised.value.message


def test_a_name_and_a_program_are_all_that_must_be_given() -> None:
    assert config() == AgentConfig(
        service="service-b",
        data="/data",
        command=("python", "b.py"),
        service_account="service-b",
        metrics="127.0.0.1:0",
        peer="service-b.default.service-b.unknown.service-b.latest.workload",
    )


def test_everything_that_is_given_reaches_the_agent() -> None:
    assert config(
        namespace="shop",
        service_account="backend",
        version="v2",
        labels=["tier=front", "example.com/team=a.b_c", "empty="],
        ports=["web:80:8000", "9000/grpc"],
        health="/healthz?deep=1",
        drain="1m30s",
        grace="500ms",
        capture="seccomp",
        restart="on-failure",
        log_file="/var/log/b.log",
        log_format="json",
        metrics="[::1]:9464",
        scrape="9102/metrics",
    ) == AgentConfig(
        service="service-b",
        data="/data",
        command=("python", "b.py"),
        service_account="backend",
        namespace="shop",
        version="v2",
        labels=(("tier", "front"), ("example.com/team", "a.b_c"), ("empty", "")),
        ports=(Port(80, 8000, "http", "web"), Port(9000, 9000, "grpc")),
        health_path="/healthz?deep=1",
        drain_seconds=90.0,
        grace_seconds=0.5,
        log_format="json",
        log_file="/var/log/b.log",
        capture="seccomp",
        restart="on-failure",
        metrics="[::1]:9464",
        scrape="9102/metrics",
        peer="service-b-v2.shop.service-b.v2.service-b.v2.workload",
    )


def test_mistakes_about_metrics_are_told_with_all_others() -> None:
    told = mistakes(metrics="here", scrape="metrics", drain="soon")
    assert "--metrics here" in told and "--scrape metrics" in told and "--drain" in told
    assert config(metrics="off").metrics == ""


def test_another_envoy_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TULLE_ENVOY", "/opt/envoy")
    assert config().envoy == "/opt/envoy"


def test_port_80_leads_to_the_first_port_unless_it_is_declared() -> None:
    assert config(ports=["9000/grpc", "8080"]).ports == (
        Port(9000, 9000, "grpc"),
        Port(8080, 8080),
        Port(80, 9000, "grpc"),
    )
    assert config(ports=["8080", "80:8081"]).ports == (Port(8080, 8080), Port(80, 8081))


def test_port_80_never_leads_to_a_port_that_carries_tcp() -> None:
    assert config(ports=["5432"]).ports == (Port(5432, 5432, "tcp"),)
    assert config(ports=["5432", "8008"]).ports == (Port(5432, 5432, "tcp"), Port(8008, 8008), Port(80, 8008))


def test_isolate_is_a_mode_of_capture() -> None:
    assert config(isolate=True).capture == "netns"
    assert "--isolate and --capture proxy contradict each other" in mistakes(isolate=True, capture="proxy")


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080", ServicePort(8080, 8080)),
        ("80:8080", ServicePort(80, 8080)),
        ("web:80:8080", ServicePort(80, 8080, Protocol.HTTP, "web")),
        ("web:80:8080/http2", ServicePort(80, 8080, Protocol.HTTP2, "web")),
        ("9000/GRPC", ServicePort(9000, 9000, Protocol.GRPC)),
        ("grpc:9000", ServicePort(9000, 9000, Protocol.GRPC, "grpc")),
        ("grpc-api:9000", ServicePort(9000, 9000, Protocol.GRPC, "grpc-api")),
        ("http2-api:9000", ServicePort(9000, 9000, Protocol.HTTP2, "http2-api")),
        ("http-api:9000", ServicePort(9000, 9000, Protocol.HTTP, "http-api")),
        ("https-api:9000/http", ServicePort(9000, 9000, Protocol.HTTP, "https-api")),
        ("tcpdump:9000", ServicePort(9000, 9000, Protocol.AUTO, "tcpdump")),
        ("9000", ServicePort(9000, 9000, Protocol.AUTO)),
        ("grpc-web-api:9000", ServicePort(9000, 9000, Protocol.HTTP, "grpc-web-api")),
        ("9000/tcp", ServicePort(9000, 9000, Protocol.TCP)),
        ("5432", ServicePort(5432, 5432, Protocol.TCP)),
        ("5432/http", ServicePort(5432, 5432, Protocol.HTTP)),
        ("http-odd:5432", ServicePort(5432, 5432, Protocol.HTTP, "http-odd")),
        ("mysql-main:9001", ServicePort(9001, 9001, Protocol.TCP, "mysql-main")),
        ("https:9443", ServicePort(9443, 9443, Protocol.TLS, "https")),
        ("grpc-api:9000/http", ServicePort(9000, 9000, Protocol.HTTP, "grpc-api")),
    ],
)
def test_a_port_says_its_name_number_target_and_protocol(text: str, port: ServicePort) -> None:
    assert parse_port(text) == port


def test_a_protocol_that_no_port_can_have_is_said_so() -> None:
    assert "there is no protocol 'UDP'; there are: http," in mistakes(ports=["53/UDP"])


@pytest.mark.parametrize("text", ["", "web", ":80", "80:", "80/", "80:81:82", "a:b:80", "-1", "80 ", "٨٠", "80/quic"])
def test_a_port_that_makes_no_sense_is_refused(text: str) -> None:
    assert f"--port {text}: " in mistakes(ports=[text])


@given(st.text(alphabet="0123456789:/-abhtpgrc. \n"))
def test_no_text_whatever_makes_the_port_parser_fail_otherwise(text: str) -> None:
    try:
        assert parse_port(text).protocol in Protocol
    except ValueError as error:
        assert text in str(error)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "Service_B"}, "service name 'Service_B' is no DNS label"),
        ({"name": "b" * 57}, "use at most 56 characters"),
        ({"namespace": "a.b"}, "namespace 'a.b' is no DNS label"),
        ({"service_account": ""}, "service account '' is no DNS label"),
        ({"version": "v 2"}, "version 'v 2' is not valid"),
        ({"labels": ["tier"]}, "--label tier: write KEY=VALUE"),
        ({"labels": ["=a"]}, "label '' is not valid"),
        ({"labels": ["a=b c"]}, "the value 'b c' of label a is not valid"),
        ({"labels": ["a=b", "a=c"]}, "label a is given 2 times"),
        ({"ports": ["70000"]}, "--port 70000: ports go from 1 to 65535"),
        ({"ports": ["80:0"]}, "--port 80:0: ports go from 1 to 65535"),
        ({"ports": ["80", "80:81"]}, "not all different: 80, 80"),
        ({"ports": ["My-Web:80"]}, "port name 'My-Web' is no DNS label"),
        ({"health": "healthz"}, "write a path that begins with a slash"),
        ({"health": "/a b"}, "write a path that begins with a slash"),
        ({"health": "/a\r\nX: y"}, "write a path that begins with a slash"),
        ({"drain": "soon"}, "--drain: 'soon' is no duration"),
        ({"grace": "-1s"}, "--grace: '-1s' is no duration"),
        ({"program": []}, "say what to run after the two dashes"),
    ],
)
def test_a_mistake_is_told_with_what_to_write_instead(changes: dict[str, Any], told: str) -> None:
    message = mistakes(**changes)
    assert told in message
    assert "mistakes" not in message


def test_all_mistakes_are_told_at_once() -> None:
    message = mistakes(name="A", namespace="B", version="v 2", labels=["x"], ports=["y"], health="z", drain="w")
    assert message.startswith("7 mistakes:")
    assert message.count("\n  - ") == 7


@pytest.mark.parametrize(
    ("text", "value"), [("30", 30), ("1.5", 1.5), ("30s", 30), ("500ms", 0.5), ("2m", 120), ("1h30m", 5400), ("0s", 0)]
)
def test_durations_are_read_as_people_write_them(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "1d", "1 s", "1h-30m", "١s", "1e3", "inf", "nan", "10s\n"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["run", "web", "python", "b.py"], 2, "tulle run NAME [OPTIONS] -- PROGRAM"),
        (["run", "--", "python"], 2, "Missing argument 'NAME'"),
        (["run", "web", "--nonsense", "--", "python"], 2, "--nonsense"),
        (["run", "Web", "--port", "a", "--", "python"], 2, "2 mistakes:"),
        (["run", "web", "--", "/no/such/program", "--help"], 127, "/no/such/program"),
        (["up", "--cert-ttl", "4s"], 2, "the least is 5s"),
        (["up", "--cert-ttl", "soon"], 2, "'soon' is no duration"),
        (["up", "--xds-port", "70000"], 2, "70000"),
        (["nonsense"], 2, "there is no command 'nonsense'"),
        ([], 2, "Three terminals make a mesh"),
    ],
)
async def test_a_mistaken_command_line_ends_with_its_code_and_no_traceback(
    alone: Any, arguments: list[str], code: int, told: str
) -> None:
    ended = await alone(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err and "Traceback" not in ended.err


async def test_a_certificates_lifetime_may_come_from_the_environment(alone: Any) -> None:
    ended = await alone("up", TULLE_CERT_TTL="1s")
    assert (ended.code, "the least is 5s" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["aply", "-f", "x"], "there is no command 'aply'; did you mean apply?"),
        (["serivces"], "there is no command 'serivces'; did you mean services?"),
        (["xyz"], "there is no command 'xyz'; `tulle --help` lists them"),
        (["get", "vs", "--watsh"], "--watch"),
        (["apply", "--dryrun"], "--dry-run"),
    ],
)
async def test_a_misspelt_word_is_answered_with_the_nearest(alone: Any, arguments: list[str], told: str) -> None:
    said = await alone(*arguments)
    assert said.code == 2 and told in said.err


def test_the_list_of_commands_and_the_commands_themselves_agree() -> None:
    for name, summary in COMMANDS.items():
        command = tulle.get_command(click.Context(tulle), name)
        assert command is not None and command.name == name
        assert command.help is not None and command.help.splitlines()[0] == summary


async def test_every_commands_help_has_examples(alone: Any) -> None:
    listing = await alone("--help")
    assert listing.code == 0
    for name, summary in COMMANDS.items():
        assert f"{name} " in listing.out and summary in listing.out
    ended = await alone("run", "--help")
    assert (ended.code, "Examples:" in ended.out) == (0, True)


def test_the_sidecar_is_not_where_the_program_is() -> None:
    assert config(inbound_port=8443, ports=["80:8080"]).inbound_port == 8443
    assert mistakes(inbound_port=8080, ports=["80:8080"]) == (
        "--inbound-port 8080: the program listens there; give the sidecar another port, or the program"
    )
