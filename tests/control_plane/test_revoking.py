"""What is revoked in the store has its effects: at once, and at the next start if the control plane was killed in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tulle.api.ca import tell_trust
from tulle.api.doors import ProxyRevoked
from tulle.control_plane.envoys import Envoys
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.revoking import RevocationKeeper
from tulle.control_plane.sessions import AgentReports
from tulle.control_plane.timeline import Timeline
from tulle.control_plane.trust import TrustKeeper
from tulle.identity.attestors import Attested
from tulle.identity.authority import Authority
from tulle.identity.caller import Grant
from tulle.identity.enrolled_records import EnrolledRecords
from tulle.identity.enrolment import EnrolAnswer, Enrolment, EnrolRequest
from tulle.identity.revocations import Revocations
from tulle.identity.root import new_root
from tulle.model.names import ServiceName
from tulle.model.workload import Proxy, ServicePort, Workload
from tulle.registry.registry import Registry
from tulle.store.contract import Store
from tulle.store.sqlite import open_store
from tulle.telemetry.own import Own
from tulle.xds.server import Refusal, StreamEnded

WEB = Proxy(
    "web-1",
    "127.0.0.1",
    20001,
    30001,
    (Workload("web-1", ServiceName("shop", "web"), "web", ports=(ServicePort(80, 8080),)),),
)


def csr() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


class ControlPlane:
    def __init__(self, store: Store) -> None:
        self.authority = Authority(new_root(datetime.now(UTC)), time.time)
        self.mesh = LiveMesh(Timeline(time.time))
        self.registry, self.revocations = Registry(store), Revocations(store, time.time)
        self.keeper = RevocationKeeper(self.revocations, self.authority, self.mesh, self.registry, time.time)
        self.trusts = TrustKeeper(self.authority, self.mesh, time.monotonic, self.keeper.why)
        records = EnrolledRecords(store, time.time)
        self.agents = AgentReports(self.registry, self.mesh, records, self.revocations)
        self.enrolment = Enrolment(self.authority, 600, lambda *_: {}, store, records, self.revocations)
        self.envoys = Envoys(self.mesh, self.keeper.why, Own("1"))

    async def enrol(self) -> EnrolAnswer:
        async def local() -> Attested:
            return Attested(Grant("local"))

        return await self.enrolment.enrol(EnrolRequest("web-1", "shop", "web", "web", csr(), csr()), local)

    async def is_registered(self) -> bool:
        return await self.registry.keep_alive("web-1")

    async def gone(self) -> None:
        async with asyncio.timeout(10):
            while await self.is_registered():  # noqa: ASYNC110  it does not tell
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        known = asyncio.Event()
        tasks = [
            asyncio.create_task(self.keeper.keep(known, self.trusts.changed)),
            asyncio.create_task(self.keeper.remove()),
        ]
        try:
            await asyncio.wait_for(known.wait(), 10)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path) as opened:
        yield opened


async def test_session_stream_and_registration_end_and_none_comes_back(store: Store) -> None:
    control_plane = ControlPlane(store)
    async with control_plane.keeping():
        given = await control_plane.enrol()
        await control_plane.agents.register(WEB)
        woken = asyncio.Event()
        stream = control_plane.envoys.connect(given.proxy.encode(), "web-1", woken.set)
        assert not isinstance(stream, Refusal)
        assert stream.flush() == []

        async def say(line: dict[str, object]) -> None:
            pass

        session = asyncio.create_task(tell_trust(control_plane.trusts, "web-1", say))
        await asyncio.sleep(0)
        await control_plane.revocations.revoke("web-1", reason="lost")

        assert await asyncio.wait_for(session, 10) == "proxy web-1 is revoked: lost"
        await asyncio.wait_for(woken.wait(), 10)
        with pytest.raises(StreamEnded, match="proxy web-1 is revoked: lost"):
            stream.flush()
        stream.disconnect()
        await control_plane.gone()
        refused = control_plane.envoys.connect(given.proxy.encode(), "web-1", woken.set)
        assert refused == Refusal("proxy web-1 is revoked: lost")
        with pytest.raises(ProxyRevoked):
            await control_plane.agents.register(WEB)
        [crl] = [x509.load_pem_x509_crl(control_plane.authority.trust.crl_pem.encode())]
        assert len(list(crl)) == 2

        await control_plane.revocations.undo("web-1")
        await control_plane.agents.register(WEB)
        async with asyncio.timeout(10):
            while control_plane.authority.trust.crl_pem:  # noqa: ASYNC110  it does not tell
                await asyncio.sleep(0.01)
        assert control_plane.keeper.why("web-1") == ""


async def test_what_a_killed_control_plane_had_written_down_is_done_by_the_next(store: Store) -> None:
    killed = ControlPlane(store)
    await killed.enrol()
    await killed.agents.register(WEB)
    await killed.revocations.revoke("web-1")
    assert await killed.is_registered()
    control_plane = ControlPlane(store)
    async with control_plane.keeping():
        assert control_plane.keeper.why("web-1")
        assert control_plane.authority.trust.crl_pem
        await control_plane.gone()


async def test_who_is_revoked_is_a_source_of_the_mesh(store: Store) -> None:
    control_plane = ControlPlane(store)
    given = await control_plane.enrol()
    snapshots = control_plane.revocations.snapshots()
    assert (await anext(snapshots)).revoked == ()
    await control_plane.revocations.revoke("web")
    leaf = x509.load_pem_x509_certificate(given.identity.encode())
    assert (await asyncio.wait_for(anext(snapshots), 10)).revoked == (leaf.subject.rfc4514_string(),)
    await snapshots.aclose()
