"""A control plane of our own, small and at our seam only, and agents that run against it as processes.

It signs, keeps sessions, and hands out a bootstrap whose listeners come from a file, which it writes once an agent has
told its ports: outbound answers every call itself, inbound (TLS by the agent's certificate) goes on to the program.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tulle.agent.config import AgentConfig

SECRET = "5" * 64
SOURCES = str(Path(__file__).parents[2] / "src")
TYPES = "type.googleapis.com/envoy"


Until = Callable[..., Awaitable[Any]]
StartAgent = Callable[..., "RunningAgent"]


async def wait_until(condition: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """Waits for a true value of the condition, and gives it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        await asyncio.sleep(0.01)
    return value


@pytest.fixture
def until() -> Until:
    return wait_until


@pytest.fixture
def marked() -> Callable[[str], list[int]]:
    """Tells which processes, but zombies, have a text in their command line or environment."""

    def processes_with(text: str) -> list[int]:
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                try:
                    words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
                except OSError:  # it has ended meanwhile
                    continue
                if text.encode() in words:
                    found.append(int(process.name))
        return found

    return processes_with


class FakeControlPlane:
    """The control plane's side of enrolment and session."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.lifetime = 3600.0
        self.root = "root 1"
        self.enrolments: list[dict[str, str]] = []
        self.proxies: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        self.says_ready = True
        self.propagates = True
        self.refusal: tuple[int, str] | None = None
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._root = self._certificate(self._key.public_key(), [], "test root")

    @property
    def healths(self) -> list[str]:
        """Each health that was told, once a change."""
        told: list[str] = [line["health"] for line in list(self.heard) if "health" in line]
        return [health for i, health in enumerate(told) if i == 0 or told[i - 1] != health]

    def folder(self) -> Path:
        return self.data / "proxies" / str(self.proxies[-1]["id"])

    async def start(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        (self.data / "secret").write_text(SECRET)
        self._server = await asyncio.start_unix_server(self._serve, self.data / "api.sock")

    async def stop(self) -> None:
        """As if it were killed."""
        if self._server:
            self._server.close()
            for writer, task in list(self._open.items()):
                writer.transport.abort()
                if task:
                    await task
            (self.data / "api.sock").unlink(missing_ok=True)
            self._server = None

    def say_ready(self) -> None:
        """On all sessions."""
        self.says_ready = True
        for writer in self._open:
            writer.write(b'10\r\n{"ready": true}\n\r\n')

    def say(self, **line: Any) -> None:
        """On all sessions."""
        data = json.dumps(line).encode() + b"\n"
        for writer in self._open:
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    def says_garbage(self) -> None:
        """On all sessions."""
        for writer in self._open:
            writer.write(b"c\r\nno JSON at a\n\r\n")

    async def restart(self, within: float = 20.0) -> str:
        """Asks the one agent for a new Envoy; its answer, empty if all is well."""
        number = 1 + sum("restarted" in line for line in self.heard)
        data = json.dumps({"restart": number, "within": within}).encode() + b"\n"
        for writer in self._open:
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        return str((await wait_until(lambda: [x for x in self.heard if x.get("restarted") == number]))[0]["error"])

    def add_listener(self, name: str, port: int) -> None:
        """One more for the Envoy of the agent that registered last."""
        file = self._resources(self.proxies[-1]["id"], "lds")
        listeners = json.loads(file.read_text())["resources"]
        aside = file.with_suffix(".new")
        aside.write_text(json.dumps({"resources": [*listeners, _listener(name, port, _answer(name))]}))
        aside.replace(file)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = asyncio.current_task()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split("\r\n")[0].split()
            assert method == "POST"
            if f"authorization: bearer {SECRET}" not in head.lower():
                await self._answer(writer, 401, {"error": "wrong secret"})
            elif self.refusal:
                await self._answer(writer, self.refusal[0], {"error": self.refusal[1]})
            elif target == "/v1/enrol":
                length = int(head.lower().partition("content-length:")[2].split()[0])
                await self._answer(writer, 200, self._enrol(json.loads(await reader.readexactly(length))))
            elif target.endswith("/metrics"):
                length = int(head.lower().partition("content-length:")[2].split()[0])
                self.reports.append(json.loads(await reader.readexactly(length)))
                await self._answer(writer, 200, {"again": 2})
            else:
                await self._session(target.rpartition("/")[2], reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._open[writer]
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(data), data))
        await writer.drain()

    async def _session(self, proxy: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def tell(message: dict[str, Any]) -> None:
            data = json.dumps(message).encode() + b"\n"
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))

        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size := int(await reader.readuntil(b"\r\n"), 16):
            message = json.loads((await reader.readexactly(size + 2))[:-2])
            self.heard.append(message)
            if "proxy" in message:
                assert message["proxy"]["id"] == proxy
                self.proxies.append(message["proxy"])
                self._write_resources(message["proxy"])
                tell({"registered": True})
                if self.says_ready:
                    tell({"ready": True})
            elif "health" in message and self.propagates:
                tell({"propagated": message["health"]})
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _enrol(self, request: dict[str, str]) -> dict[str, Any]:
        self.enrolments.append(request)
        now = time.time()
        proxy = request["proxy"]
        for kind in ("lds", "cds"):
            self._resources(proxy, kind).parent.mkdir(parents=True, exist_ok=True)
            if not self._resources(proxy, kind).exists():
                self._resources(proxy, kind).write_text('{"resources": []}')
        return {
            "identity": self._signed(request["csr"]),
            "proxy": self._signed(request["proxy_csr"]),
            "bundle": self._root,
            "not_before": now,
            "not_after": now + self.lifetime,
            "crl": "",
            "trust": "trust 1",
            "root": self.root,
            "bootstrap": {
                "node": {"id": proxy, "cluster": request["service"]},
                "admin": {"address": {"pipe": {"path": "admin.sock"}}},
                "dynamic_resources": {
                    f"{kind}_config": {
                        "path_config_source": {"path": str(self._resources(proxy, kind))},
                        "resource_api_version": "V3",
                    }
                    for kind in ("lds", "cds")
                },
            },
        }

    def _signed(self, pem: str) -> str:
        request = x509.load_pem_x509_csr(pem.encode())
        assert request.is_signature_valid
        return self._certificate(request.public_key(), list(request.extensions), "workload")

    def _certificate(self, public_key: Any, extensions: list[Any], name: str) -> str:
        now = datetime.datetime.now(datetime.UTC)
        named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test root")])
        builder = x509.CertificateBuilder().subject_name(named).issuer_name(issuer).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
        builder = builder.not_valid_after(now + datetime.timedelta(hours=1))
        for extension in extensions:
            builder = builder.add_extension(extension.value, critical=False)
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM).decode()

    def _resources(self, proxy: str, kind: str) -> Path:
        return self.data / "xds" / proxy / f"{kind}.json"

    def _write_resources(self, proxy: dict[str, Any]) -> None:
        ports = proxy["workloads"][0]["ports"]
        target = ports[0]["target"] if ports else 1  # where nothing listens
        tls = {
            "name": "tls",
            "typed_config": {
                "@type": f"{TYPES}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {"tls_certificate_sds_secret_configs": [_file_secret("identity")]},
            },
        }
        listeners = [
            _listener("outbound", proxy["outbound_port"], _answer("mesh"), canary=proxy["id"]),
            _listener("inbound", proxy["inbound_port"], {"route": {"cluster": "program"}}, transport_socket=tls),
        ]
        for kind, resources in (("cds", [_cluster("program", target)]), ("lds", listeners)):
            file = self._resources(proxy["id"], kind)
            aside = file.with_suffix(".new")
            aside.write_text(json.dumps({"resources": resources}))
            aside.replace(file)


def _answer(body: str) -> dict[str, Any]:
    return {"direct_response": {"status": 200, "body": {"inline_string": body}}}


def _file_secret(name: str) -> dict[str, Any]:
    source = {"path": f"sds/{name}.json", "watched_directory": {"path": "sds"}}
    return {"name": name, "sds_config": {"path_config_source": source, "resource_api_version": "V3"}}


def _listener(name: str, port: int, action: dict[str, Any], canary: str = "", **chain: Any) -> dict[str, Any]:
    router = {"name": "router", "typed_config": {"@type": f"{TYPES}.extensions.filters.http.router.v3.Router"}}
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}]
    if canary:
        routes = [{"match": {"prefix": "/"}, **_answer(canary)}]
        hosts.append({"name": "canary", "domains": ["canary.tulle.internal"], "routes": routes})
    manager = {
        "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "http_filters": [router],
        "route_config": {"virtual_hosts": hosts},
    }
    return {
        "@type": f"{TYPES}.config.listener.v3.Listener",
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}], **chain}],
    }


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    return {
        "@type": f"{TYPES}.config.cluster.v3.Cluster",
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


BEFORE = """
import sys
from tulle.agent import life
{}
from tulle.agent.__main__ import main
sys.exit(main())
"""


class RunningAgent:
    """One agent as a process, with what it and its program print."""

    def __init__(self, config: AgentConfig, log: Path, environment: dict[str, str], before: str) -> None:
        self.log = log
        self.started = time.monotonic()
        python, _, _, _, *rest = config.argv()
        path = ":".join(filter(None, (SOURCES, environment.get("PYTHONPATH"))))
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [python, "-P", "-c", BEFORE.format(before), *rest] if before else config.argv(),
                env={**os.environ, **environment, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    async def says(self, text: str, seconds: float = 20.0) -> str:
        """Waits until agent or program have printed `text`; everything printed so far."""
        await wait_until(
            lambda: text in self.text or self.process.poll() is not None, seconds, f"{text!r} in {self.log}"
        )
        assert text in self.text, self.text
        return self.text

    async def exit_code(self, seconds: float = 20.0) -> int:
        await wait_until(lambda: self.process.poll() is not None, seconds, "exit of the agent")
        code = self.process.returncode
        assert code is not None
        return code

    def send(self, number: int) -> None:
        self.process.send_signal(number)


@pytest.fixture
async def control_plane(tmp_path: Path) -> AsyncIterator[FakeControlPlane]:
    fake = FakeControlPlane(tmp_path / "state")
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[StartAgent]:
    """Starts agents; what is left of them at the end is killed. `before`: a line of Python that is run in the agent."""
    agents: list[RunningAgent] = []

    def start(
        *command: str, environment: dict[str, str] | None = None, before: str = "", **options: Any
    ) -> RunningAgent:
        service = options.pop("service", "service-b")
        config = AgentConfig(
            service=service,
            service_account=options.pop("service_account", service),
            capture=options.pop("capture", "proxy"),
            data=options.pop("data", str(tmp_path / "state")),
            command=command,
            **options,
        )
        agents.append(RunningAgent(config, tmp_path / f"agent-{len(agents)}.log", environment or {}, before))
        return agents[-1]

    yield start
    for agent in agents:
        if agent.process.poll() is None:
            agent.send(signal.SIGKILL)
            agent.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> str:
    """A program: serves HTTP on $PORT; /slow takes a second, /health answers as the file `health` says."""
    file = tmp_path / "server.py"
    file.write_text(SERVER)
    return str(file)


SERVER = """
import http.server, os, pathlib, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = 200
        if self.path == "/slow":
            print("the program was called", flush=True)
            time.sleep(1)
        if self.path == "/health":
            status = int((pathlib.Path(__file__).parent / "health").read_text())
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"from the program")
    def log_message(self, *args):
        pass

print("serving on", os.environ["PORT"], flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
