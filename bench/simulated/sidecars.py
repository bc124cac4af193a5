"""`python -m bench.simulated.sidecars DATA FIRST END SERVICES`: simulated sidecars, each on a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.simulated import mesh
from bench.simulated.child import Command, cpu_seconds, obey
from bench.simulated.sidecar import Receipt, Sidecar
from tulle.config import AUTHORITY
from tulle.identity.authority import Authority
from tulle.model.spiffe import proxy_id

_AT_ONCE = 20


class Sidecars:
    """Those of the services `indices`, in a mesh of `services` services. data: the control plane's folder."""

    def __init__(self, data: Path, indices: range, services: int) -> None:
        self._authority = Authority.open(data / AUTHORITY, time.time)
        self._port = int((data / "xds-port").read_text())
        self._indices = indices
        self._services = services
        self._sidecars: list[Sidecar] = []
        self._receipts: list[Receipt] = []

    async def connect(self) -> float:
        """All of them connect and call what they call. Gives the seconds until all hold it."""
        started = time.monotonic()
        gate = asyncio.Semaphore(_AT_ONCE)
        with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder:
            async with asyncio.TaskGroup() as tasks:
                for index in self._indices:
                    tasks.create_task(self._connect(index, gate, Path(folder)), name=f"connect {index}")
        return time.monotonic() - started

    async def call(self, service: int) -> None:
        """All of them call a service anew. Returns when all hold it."""
        for sidecar in self._sidecars:
            sidecar.call([str(mesh.service(service))])
        for sidecar in self._sidecars:
            await sidecar.complete()

    async def receipts(self) -> list[Receipt]:
        """What came since this was last asked."""
        for sidecar in self._sidecars:
            if sidecar.stream.problem is not None:
                raise sidecar.stream.problem
        taken = self._receipts.copy()
        self._receipts.clear()
        return taken

    async def cpu(self) -> float:
        return cpu_seconds()

    def close(self) -> None:
        for sidecar in self._sidecars:
            sidecar.stream.close()

    async def _connect(self, index: int, gate: asyncio.Semaphore, folder: Path) -> None:
        calls = [str(mesh.service(other)) for other in mesh.held(index, self._services)]
        sidecar = Sidecar(index, mesh.sidecar_id(index), calls, self._receipts)
        async with gate:
            tls = _tls(self._authority, sidecar.id, folder)
            await asyncio.to_thread(sidecar.stream.connect, "127.0.0.1", self._port, tls)
            sidecar.start()
            await sidecar.complete()
        self._sidecars.append(sidecar)


def _tls(authority: Authority, proxy: str, folder: Path) -> ssl.SSLContext:
    """As an enrolled proxy. The name of the server is checked by its stream."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    issued = authority.issue(request.public_bytes(Encoding.PEM).decode(), proxy_id(proxy), 3600)
    file = folder / f"{proxy}.pem"  # the only way in for Python's ssl
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + issued.chain_pem.encode())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.load_verify_locations(cadata=authority.bundle_pem)
    tls.load_cert_chain(file)
    tls.set_alpn_protocols(["h2"])
    return tls


async def _main(data: str, first: str, end: str, services: str) -> None:
    sidecars = Sidecars(Path(data), range(int(first), int(end)), int(services))
    with contextlib.closing(sidecars):
        commands: dict[str, Command] = {
            "connect": sidecars.connect,
            "call": sidecars.call,
            "receipts": sidecars.receipts,
            "cpu": sidecars.cpu,
        }
        await obey(commands)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
