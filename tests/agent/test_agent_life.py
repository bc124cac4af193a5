"""One whole agent, from its first to its last moment, with a real Envoy and a control plane that speaks our contract."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import stat
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509

from tulle.agent.config import Port
from tulle.envoy_api import binary
from tulle.model.names import ServiceName
from tulle.model.workload import Health, Protocol, Proxy, ServicePort, Workload

Until = Callable[..., Awaitable[Any]]
StartAgent = Callable[..., Any]


def inbound_get(port: int, path: str = "/") -> tuple[str, int]:
    """A call that comes in at the sidecar: its body, and the serial number of the certificate that was shown."""
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, context.wrap_socket(raw) as tls:
        shown = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
        tls.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := tls.recv(65536):
            answer += part
    return answer.decode(), shown.serial_number


async def test_a_program_is_started_registered_and_drained(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    agent = start_agent(sys.executable, server, version="v1", labels=(("tier", "front"),))
    await agent.says("the program is healthy")
    await until(lambda: control_plane.healths == ["starting", "running", "healthy"])

    assert control_plane.proxies[0]["workloads"][0]["ports"] == [], "nothing is offered before it is found"
    proxy = msgspec.convert(control_plane.proxies[-1], Proxy)
    workload = Workload(
        id=proxy.id,
        service=ServiceName("default", "service-b"),
        service_account="service-b",
        version="v1",
        labels=(("tier", "front"),),
        ports=(ServicePort(80, proxy.workloads[0].ports[0].target, Protocol.HTTP),),
        health=Health.RUNNING,
    )
    assert proxy.workloads == (workload,)
    assert proxy.address == "127.0.0.1"
    assert proxy.id.startswith("service-b-")

    folder = control_plane.folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secrets = {"identity.json", "proxy.json", "bundle.json", "roots.json"}
    assert {file.name for file in (folder / "sds").iterdir()} == secrets
    assert {stat.S_IMODE(file.stat().st_mode) for file in (folder / "sds").iterdir()} == {0o600}
    assert "from the program" in inbound_get(proxy.inbound_port)[0]

    agent.send(signal.SIGTERM)
    assert await agent.exit_code() == 143
    assert control_plane.healths == ["starting", "running", "healthy", "draining"]
    assert control_plane.heard[-1] == {"bye": True}
    assert not folder.exists()


async def test_the_programs_own_calls_go_to_its_sidecar(control_plane: Any, start_agent: StartAgent) -> None:
    code = "import urllib.request as r; print('answer:', r.urlopen('http://service-b/data').read())"
    agent = start_agent(sys.executable, "-c", code, service="service-a")
    assert await agent.exit_code() == 0
    assert "answer: b'mesh'" in agent.text
    assert control_plane.healths[-1] == "unhealthy"
    assert control_plane.heard[-1] == {"bye": True}


async def test_a_programs_standard_streams_and_exit_code_are_its_own(
    control_plane: Any, start_agent: StartAgent
) -> None:
    agent = start_agent("sh", "-c", "echo out; echo err >&2; exit 42")
    assert await agent.exit_code() == 42
    lines = agent.text.splitlines()
    assert {"out", "err"} <= set(lines)
    assert "tulle | the program exited at once with exit code 42" in lines


async def test_calls_in_flight_are_answered_before_the_program_is_told(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    agent = start_agent(sys.executable, server)
    await until(lambda: "healthy" in control_plane.healths)
    port = control_plane.proxies[0]["inbound_port"]
    answers: list[str] = []
    calls = [threading.Thread(target=lambda: answers.append(inbound_get(port, "/slow")[0])) for _ in range(5)]
    for call in calls:
        call.start()
    admin = control_plane.folder() / "admin.sock"
    await until(lambda: active(admin) == 5)
    agent.send(signal.SIGTERM)
    assert await agent.exit_code() == 143
    for call in calls:
        call.join()
    assert [("from the program" in answer) for answer in answers] == [True] * 5


def active(admin: Path) -> int:
    folder = os.open(admin.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"/proc/self/fd/{folder}/admin.sock")
        os.close(folder)
        client.sendall(
            b"GET /stats?filter=inbound.downstream_rq_active HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        answer = b""
        while part := client.recv(65536):
            answer += part
    found = [line for line in answer.decode().splitlines() if line.startswith("http.inbound.downstream_rq_active:")]
    return int(found[0].split()[1]) if found else 0


async def test_a_program_that_does_not_end_is_killed_and_a_second_signal_hurries(
    control_plane: Any, start_agent: StartAgent, until: Until
) -> None:
    stubborn = "import signal, time; signal.signal(2, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    agent = start_agent(sys.executable, "-c", stubborn, grace_seconds=0.5)
    await agent.says("up")
    agent.send(signal.SIGINT)
    assert await agent.exit_code() == 128 + signal.SIGKILL
    assert "killing it" in agent.text

    control_plane.propagates = False
    agent = start_agent(sys.executable, "-c", stubborn, grace_seconds=600.0)
    await agent.says("up")
    agent.send(signal.SIGINT)  # waits for the word that all sidecars know
    await until(lambda: control_plane.healths[-1] == "draining")
    agent.send(signal.SIGINT)  # waits for the program
    await asyncio.sleep(0.3)
    agent.send(signal.SIGINT)
    assert await agent.exit_code() == 128 + signal.SIGKILL


async def test_other_signals_are_the_programs(control_plane: Any, start_agent: StartAgent) -> None:
    code = (
        "import signal, sys, time; signal.signal(10, lambda *_: sys.exit(5)); print('up', flush=True); time.sleep(600)"
    )
    agent = start_agent(sys.executable, "-c", code)
    await agent.says("up")
    agent.send(signal.SIGUSR1)
    assert await agent.exit_code() == 5


async def test_an_envoy_that_crashes_is_started_again_and_the_program_is_not_touched(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until, marked: Callable[[str], list[int]]
) -> None:
    agent = start_agent(sys.executable, server)
    await until(lambda: "healthy" in control_plane.healths)
    for _ in range(2):
        healths = len(control_plane.healths)
        [envoy] = [pid for pid in children(agent.process.pid) if program_of(pid) == "envoy"]
        os.kill(envoy, signal.SIGKILL)
        await until(lambda healths=healths: control_plane.healths[healths:] == ["unhealthy", "healthy"])
    assert "from the program" in inbound_get(control_plane.proxies[0]["inbound_port"])[0]
    assert agent.text.count("serving on") == 1
    assert "exit code 137" in agent.text


async def test_an_envoy_that_can_not_be_run_for_a_while_does_not_end_the_program(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until, tmp_path: Path
) -> None:
    envoy = tmp_path / "envoy"
    envoy.symlink_to(binary.find().path)
    agent = start_agent(sys.executable, server, envoy=str(envoy))
    await until(lambda: "healthy" in control_plane.healths)
    [process] = [pid for pid in children(agent.process.pid) if program_of(pid) == "envoy"]
    aside = envoy.rename(tmp_path / "aside")
    os.kill(process, signal.SIGKILL)
    await agent.says(f"it can't be run: [Errno 2] No such file or directory: '{envoy}'")
    aside.rename(envoy)
    await until(lambda: control_plane.healths[-2:] == ["unhealthy", "healthy"])
    assert agent.text.count("serving on") == 1
    agent.send(signal.SIGTERM)
    assert await agent.exit_code() == 143


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def program_of(pid: int) -> str:
    return Path(Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]).name


async def test_certificates_are_renewed_while_calls_are_served(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    control_plane.lifetime = 4.0
    agent = start_agent(sys.executable, server)
    await until(lambda: "healthy" in control_plane.healths)
    port = control_plane.proxies[0]["inbound_port"]
    serials = set()

    def called() -> bool:
        answer, serial = inbound_get(port)
        assert "from the program" in answer
        serials.add(serial)
        return len(serials) >= 3

    await until(called)
    assert len({request["csr"] for request in control_plane.enrolments}) == len(control_plane.enrolments) >= 3
    assert agent.process.poll() is None


async def test_a_health_path_decides(
    control_plane: Any, start_agent: StartAgent, server: str, tmp_path: Path, until: Until
) -> None:
    (tmp_path / "health").write_text("503")
    start_agent(sys.executable, server, health_path="/health")
    await until(lambda: control_plane.healths == ["starting"])
    (tmp_path / "health").write_text("200")
    await until(lambda: control_plane.healths == ["starting", "healthy"])
    (tmp_path / "health").write_text("500")
    await until(lambda: control_plane.healths == ["starting", "healthy", "unhealthy"])


async def test_named_ports_are_told_and_given_to_the_program(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
    start_agent(sys.executable, server, ports=(Port(8080, number, "http", "web"), Port(9090, number, "grpc")))
    await until(lambda: "healthy" in control_plane.healths)
    assert control_plane.proxies[0]["workloads"][0]["ports"] == [
        {"number": 8080, "target": number, "protocol": "http", "name": "web", "address": "127.0.0.1"},
        {"number": 9090, "target": number, "protocol": "grpc", "name": "", "address": "127.0.0.1"},
    ]
    with socket.create_connection(("127.0.0.1", number), timeout=10):
        pass


async def test_messages_can_be_json(control_plane: Any, start_agent: StartAgent) -> None:
    agent = start_agent("true", log_format="json")
    assert await agent.exit_code() == 0
    lines = [json.loads(line) for line in agent.text.splitlines()]
    assert {line["level"] for line in lines} == {"info"}
    assert all(line["instance"].startswith("service-b-") and line["message"] and line["time"] for line in lines)


async def test_agent_and_reaper_together_are_small(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    agent = start_agent(sys.executable, server)
    await until(lambda: "healthy" in control_plane.healths)
    helpers = [pid for pid in children(agent.process.pid) if program_of(pid) != "envoy"]
    assert [program_of(pid) for pid in helpers] == [Path(sys.executable).name], "one reaper; who made keys is gone"
    total = sum(resident(pid) for pid in (agent.process.pid, *helpers))
    assert total < 40 * 1024, f"{total} kB"


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def test_certificates_are_renewed_when_the_control_plane_asks_and_it_is_told_what_envoy_holds(
    control_plane: Any, start_agent: StartAgent, server: str, until: Until
) -> None:
    agent = start_agent(sys.executable, server)
    await agent.says("the program is healthy")

    def held() -> list[dict[str, str]]:
        return [line["holds"] for line in control_plane.heard if "holds" in line]

    await until(lambda: {"trust": "trust 1", "root": "root 1"} in held())
    before = await asyncio.to_thread(inbound_get, control_plane.proxies[-1]["inbound_port"])
    control_plane.root = "root 2"
    control_plane.say(renew=True, within=0.5)
    await until(lambda: {"trust": "trust 1", "root": "root 2"} in held())
    assert len(control_plane.enrolments) == 2
    after = await asyncio.to_thread(inbound_get, control_plane.proxies[-1]["inbound_port"])
    assert after[1] != before[1], "Envoy shows the new certificate"
    assert control_plane.enrolments[0]["csr"] != control_plane.enrolments[1]["csr"], "with a new key"

    control_plane.say(trust={"bundle": "B", "crl": "L", "version": "trust 2"})
    await until(lambda: {"trust": "trust 2", "root": "root 2"} in held())
    bundle = json.loads((control_plane.folder() / "sds/bundle.json").read_text())
    assert bundle["version_info"] == "trust 2"
    context = bundle["resources"][0]["validation_context"]
    assert context["trusted_ca"] == {"inline_string": "B"} and context["crl"] == {"inline_string": "L"}
    assert context["only_verify_leaf_cert_crl"]

    told = len(held())
    await control_plane.stop()
    await control_plane.start()
    await until(lambda: len(held()) > told)
    assert held()[-1] == {"trust": "trust 2", "root": "root 2"}, "it is said anew in each session"
