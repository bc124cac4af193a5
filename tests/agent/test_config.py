"""What `tulle run` hands to the agent's process arrives as it was."""

from __future__ import annotations

import os
import sys

import pytest

from tulle.agent import config
from tulle.agent.config import AgentConfig, Port

FULL = AgentConfig(
    service="service-b",
    data="/state",
    command=("python", "b.py", "--", os.fsdecode(b"bytes \xff that are no text")),
    service_account="account",
    namespace="shop",
    version="v2",
    labels=(("tier", "front"), ("empty", "")),
    ports=(Port(80), Port(9090, 9091, "grpc", "rpc")),
    health_path="/health",
    envoy="/opt/envoy",
    drain_seconds=1.5,
    grace_seconds=2.5,
    log_format="json",
)


@pytest.mark.parametrize("told", [FULL, AgentConfig("a", "/state", ("true",), "a")], ids=["full", "least"])
def test_a_configuration_goes_through_the_command_line_unchanged(told: AgentConfig) -> None:
    executable, *options = told.argv()
    assert executable == sys.executable
    assert options[:3] == ["-P", "-m", "tulle.agent"]
    assert config.from_argv(options[3:]) == told


def test_without_ports_port_80_is_served_on_the_chosen_port() -> None:
    assert AgentConfig("a", "/state", ("true",), "a").service_ports == (Port(80, None, "http", ""),)
    assert FULL.service_ports == FULL.ports


def test_a_command_line_of_another_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="tulle run"):
        config.from_argv(["{}", "python"])
