"""What can go wrong around an agent, and what the user is told of it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tulle.agent.config import Port

Until = Callable[..., Awaitable[Any]]
StartAgent = Callable[..., Any]


async def test_without_a_control_plane_it_says_how_to_start_one_waits_and_goes_on(
    control_plane: Any, start_agent: StartAgent, until: Until
) -> None:
    await control_plane.stop()
    agent = start_agent("echo", "the program")
    text = await agent.says("waiting for it")
    assert f"tulle up --data {control_plane.data}" in text
    await control_plane.start()
    assert await agent.exit_code() == 0
    assert "the program" in agent.text.splitlines()
    assert agent.text.count("tulle up") == 1


async def test_it_can_be_stopped_while_it_waits(start_agent: StartAgent) -> None:
    agent = start_agent("true")
    await agent.says("waiting for it")
    agent.send(signal.SIGINT)
    assert await agent.exit_code() == 130


@pytest.mark.parametrize("secret", [b"of another control plane", b"\xff no UTF-8"], ids=["another's", "damaged"])
async def test_a_wrong_secret_is_a_clear_error(control_plane: Any, start_agent: StartAgent, secret: bytes) -> None:
    (control_plane.data / "secret").write_bytes(secret)
    agent = start_agent("true")
    assert await agent.exit_code() == 125
    assert f"does not accept the secret in {control_plane.data}/secret" in agent.text


async def test_a_refusal_is_told_in_the_control_planes_words(control_plane: Any, start_agent: StartAgent) -> None:
    control_plane.refusal = (400, "no such namespace, create it first")
    agent = start_agent("true")
    assert await agent.exit_code() == 125
    assert "no such namespace, create it first" in agent.text


async def test_a_control_plane_in_trouble_is_asked_again(
    control_plane: Any, start_agent: StartAgent, until: Until
) -> None:
    control_plane.refusal = (503, "no room on the disk")
    agent = start_agent("true")
    await agent.says("no room on the disk")
    control_plane.refusal = None
    assert await agent.exit_code() == 0


async def test_a_program_that_is_not_there_is_said_before_anything_else(start_agent: StartAgent) -> None:
    agent = start_agent("no-such-program")
    assert await agent.exit_code() == 127
    assert agent.text == "tulle | there is no program 'no-such-program'\n"


async def test_a_taken_port_is_said_before_anything_else(start_agent: StartAgent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        agent = start_agent("true", ports=(Port(80, number),))
        assert await agent.exit_code() == 125
    assert f"port {number} is taken by process {os.getpid()}" in agent.text


async def test_a_missing_envoy_is_a_clear_error(control_plane: Any, start_agent: StartAgent) -> None:
    agent = start_agent("true", envoy="/no/such/envoy")
    assert await agent.exit_code() == 125
    assert "there is no Envoy at /no/such/envoy" in agent.text


async def test_an_envoy_that_does_not_start_is_given_up_with_its_last_words(
    control_plane: Any, start_agent: StartAgent, tmp_path: Path
) -> None:
    envoy = tmp_path / "envoy"
    envoy.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "envoy  version: 0/1.40.9/Clean/RELEASE/BoringSSL" && exit 0\n'
        "echo the reason >&2; exit 1\n"
    )
    envoy.chmod(0o755)
    agent = start_agent("echo", "the program", envoy=str(envoy))
    assert await agent.exit_code() == 125
    assert "Envoy does not start" in agent.text
    assert "the reason" in agent.text
    assert "the program" not in agent.text.splitlines()
    assert list((control_plane.data / "proxies").iterdir()) == []


async def test_an_envoy_that_can_not_even_be_run_is_given_up_with_the_reason(
    control_plane: Any, start_agent: StartAgent, tmp_path: Path
) -> None:
    envoy = tmp_path / "envoy"
    envoy.write_text('#!/bin/sh\nrm "$0"; echo "envoy  version: 0/1.40.9/Clean/RELEASE/BoringSSL"\n')
    envoy.chmod(0o755)
    agent = start_agent("echo", "the program", envoy=str(envoy))
    assert await agent.exit_code() == 125
    assert f"Envoy does not start; it can't be run: [Errno 2] No such file or directory: '{envoy}'" in agent.text
    assert "Traceback" not in agent.text
    assert "the program" not in agent.text.splitlines()


async def test_an_envoy_that_can_not_be_given_its_door_is_given_up_with_the_reason(
    control_plane: Any, start_agent: StartAgent
) -> None:
    before = """import tulle.agent.epoch
def die_with_parent(_):
    raise BlockingIOError
tulle.agent.epoch.die_with_parent = die_with_parent"""
    agent = start_agent("echo", "the program", before=before)
    assert await agent.exit_code() == 125
    assert "Envoy does not start; it can't be run: it could not be prepared" in agent.text
    assert "Traceback" not in agent.text


async def test_an_unwritable_state_folder_is_a_clear_error(control_plane: Any, start_agent: StartAgent) -> None:
    (control_plane.data / "proxies").write_text("not a folder")
    agent = start_agent("true")
    assert await agent.exit_code() == 125
    assert f"can't write to {control_plane.data}/proxies" in agent.text


async def test_a_control_plane_that_goes_and_comes_back_is_told_once_each(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    agent = start_agent(sys.executable, server)
    await until(lambda: "healthy" in control_plane.healths)
    await control_plane.stop()
    await agent.says("the control plane has gone")
    await control_plane.start()
    await agent.says("the control plane is there again")
    await until(lambda: len(control_plane.proxies) == 3)
    assert control_plane.proxies[2] == {
        **control_plane.proxies[1],
        "workloads": [{**control_plane.proxies[1]["workloads"][0], "health": "healthy"}],
    }
    agent.send(signal.SIGTERM)
    assert await agent.exit_code() == 143
    assert agent.text.count("has gone") == agent.text.count("there again") == 1


async def test_it_ends_in_good_order_without_a_control_plane(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    agent = start_agent(sys.executable, server)
    await until(lambda: "healthy" in control_plane.healths)
    folder = control_plane.folder()
    await control_plane.stop()
    await agent.says("the control plane has gone")
    agent.send(signal.SIGTERM)
    assert await agent.exit_code() == 143
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["exits", "crashes"])
async def test_a_program_that_ends_by_itself_is_reported_at_once(
    control_plane: Any, start_agent: StartAgent, kind: str
) -> None:
    agent = start_agent("sh", "-c", "exit 3" if kind == "exits" else "kill -SEGV $$")
    assert await agent.exit_code() == (3 if kind == "exits" else 139)
    assert ("exited at once with exit code 3" if kind == "exits" else "was ended by SIGSEGV") in agent.text
    assert control_plane.healths[-1] == "unhealthy"
    assert control_plane.heard[-1] == {"bye": True}


async def test_no_program_starts_before_its_sidecar_is_ready(
    control_plane: Any, start_agent: StartAgent, until: Until
) -> None:
    control_plane.says_ready = False
    agent = start_agent("echo", "the program", before="life._READY_SECONDS = 2.0")
    await agent.says("has not seen its Envoy take its configuration")
    assert "the program" not in agent.text.splitlines()
    control_plane.say_ready()
    assert await agent.exit_code() == 0
    assert "the program" in agent.text.splitlines()


async def test_garbage_from_the_control_plane_ends_the_session_only(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    agent = start_agent(sys.executable, server)
    await until(lambda: "healthy" in control_plane.healths)
    control_plane.says_garbage()
    await until(lambda: len(control_plane.proxies) == 2)
    assert agent.process.poll() is None


async def test_it_can_be_stopped_while_the_program_can_not_be_started_again(
    control_plane: Any, start_agent: StartAgent, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nrm "$0"; exit 7\n')
    program.chmod(0o755)
    agent = start_agent(str(program), restart="always")
    await agent.says("trying again")
    agent.send(signal.SIGTERM)
    assert await agent.exit_code() == 7
    assert "Traceback" not in agent.text
    assert control_plane.healths[-1] == "unhealthy"


async def test_a_mode_for_which_something_is_lacking_just_now_gives_way_to_the_next(
    control_plane: Any, start_agent: StartAgent
) -> None:
    before = """import tulle.agent.capture.choose as choose
prepared = choose.prepared
def lacking(mode, settings):
    if mode != "proxy":
        raise OSError(24, "Too many open files")
    return prepared(mode, settings)
choose.prepared = lacking"""
    agent = start_agent("echo", "the program", capture="auto", before=before)
    assert await agent.exit_code() == 0
    assert "the program" in agent.text.splitlines()
    assert "captured by proxy" in agent.text and "Too many open files" in agent.text
    assert "Traceback" not in agent.text


async def test_a_program_that_can_not_be_executed_is_the_only_thing_that_is_said_to_go_wrong(
    control_plane: Any, start_agent: StartAgent, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_text("neither\n")
    program.chmod(0o755)
    agent = start_agent(str(program))
    assert await agent.exit_code() == 126
    assert "neither a binary nor a script" in agent.text
    assert "starting Envoy again" not in agent.text
    assert control_plane.heard[-1] == {"bye": True}
