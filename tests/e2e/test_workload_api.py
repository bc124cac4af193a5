"""A program finds a SPIFFE Workload API that the SPIFFE project's own client takes for one: X.509 and JWT, both streamed."""

from __future__ import annotations

import os
import queue
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from spiffe import JwtSource, SpiffeId, TrustDomain, WorkloadApiClient, X509Source
from spiffe.errors import PySpiffeError
from spiffe.workloadapi.x509_context import X509Context

from running import Mesh, Running, children, command_line, wait_for

ME = SpiffeId("spiffe://cluster.local/ns/default/sa/service-b")
DOMAIN = TrustDomain("cluster.local")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mesh, Running, Path]]:
    """A mesh whose certificates live for 6 s, a workload in it, and where its socket is."""
    with Mesh(tmp_path_factory.mktemp("w")) as mesh:
        mesh.up("--cert-ttl", "6s")
        running = mesh.serve("service-b", options=("--workload-api",))
        wait_for("service-b to be healthy", lambda: mesh.healthy("service-b"))
        (socket,) = mesh.data.glob("proxies/*/workload.sock")
        yield mesh, running, socket


@pytest.fixture
def client(served: tuple[Mesh, Running, Path]) -> Iterator[WorkloadApiClient]:
    with WorkloadApiClient(f"unix://{served[2]}", default_timeout=20) as client:
        yield client


def test_the_program_is_told_where_it_is_and_nobody_else_may_open_it(served: tuple[Mesh, Running, Path]) -> None:
    _, running, socket = served
    environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in _tree(running.pid)]
    assert any(f"SPIFFE_ENDPOINT_SOCKET=unix://{socket}".encode() in each for each in environments)
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


def test_the_x509_svid_is_the_sidecars_own_with_its_key_and_whom_to_trust(client: WorkloadApiClient) -> None:
    svid = client.fetch_x509_svid()
    assert svid.spiffe_id == ME
    assert svid.private_key.public_key() == svid.leaf.public_key()
    bundle = client.fetch_x509_bundles().get_bundle_for_trust_domain(DOMAIN)
    assert bundle is not None
    *_, last = svid.cert_chain
    assert any(last.issuer == root.subject for root in bundle.x509_authorities)


def test_a_renewed_certificate_comes_by_the_stream(client: WorkloadApiClient) -> None:
    seen: queue.Queue[X509Context] = queue.Queue()
    failures: queue.Queue[Exception] = queue.Queue()
    stream = client.stream_x509_contexts(seen.put, failures.put)
    try:
        first, second = (seen.get(timeout=20).default_svid.leaf.serial_number for _ in range(2))
    finally:
        stream.cancel()
    assert first != second
    assert failures.empty()


def test_a_jwt_svid_is_for_its_audience_alone(client: WorkloadApiClient) -> None:
    svid = client.fetch_jwt_svid({"shop", "bank"})
    assert svid.spiffe_id == ME
    assert set(svid.audience) == {"shop", "bank"}
    assert client.validate_jwt_svid(svid.token, "shop").spiffe_id == ME
    with pytest.raises(PySpiffeError, match=r"(?i)audience"):
        client.validate_jwt_svid(svid.token, "another")
    with pytest.raises(PySpiffeError):
        client.fetch_jwt_svid({"shop"}, subject=SpiffeId("spiffe://cluster.local/ns/default/sa/service-a"))


def test_a_jwt_svid_is_checked_by_the_bundle_of_keys(client: WorkloadApiClient) -> None:
    token = client.fetch_jwt_svid({"shop"}).token
    bundle = client.fetch_jwt_bundles().get_bundle_for_trust_domain(DOMAIN)
    assert bundle is not None
    key: Any = bundle.get_jwt_authority(jwt.get_unverified_header(token)["kid"])
    assert jwt.decode(token, key, algorithms=["ES256"], audience="shop")["sub"] == str(ME)


@pytest.mark.parametrize("forged", ["none", "HS256"])
def test_a_forged_token_is_no_good(client: WorkloadApiClient, forged: str) -> None:
    good = client.fetch_jwt_svid({"shop"}).token
    header, claims = jwt.get_unverified_header(good), jwt.decode(good, options={"verify_signature": False})
    key: Any = None if forged == "none" else "a secret that is not asymmetric at all"
    token = jwt.encode(claims, key, algorithm=forged, headers={"kid": header["kid"]})
    with pytest.raises(PySpiffeError):
        client.validate_jwt_svid(token, "shop")


def test_the_sources_of_spiffes_client_work(served: tuple[Mesh, Running, Path]) -> None:
    with X509Source(socket_path=f"unix://{served[2]}", timeout_in_seconds=20) as source:
        assert source.get_x509_context().default_svid.spiffe_id == ME
    with JwtSource(socket_path=f"unix://{served[2]}", timeout_in_seconds=20) as tokens:
        assert tokens.fetch_svid({"shop"}).spiffe_id == ME


def test_it_is_there_again_after_it_was_killed(served: tuple[Mesh, Running, Path]) -> None:
    _, running, socket = served
    (process,) = [pid for pid in _tree(running.pid) if "tulle.workload_api" in command_line(pid)]
    before = socket.stat().st_ctime_ns
    os.kill(process, signal.SIGKILL)
    wait_for("another socket", lambda: socket.exists() and socket.stat().st_ctime_ns != before)
    with WorkloadApiClient(f"unix://{socket}", default_timeout=20) as client:
        assert client.fetch_x509_svid().spiffe_id == ME


def test_without_being_asked_for_there_is_none(served: tuple[Mesh, Running, Path]) -> None:
    mesh, _, _ = served
    plain = mesh.serve("service-c")
    wait_for("service-c to be healthy", lambda: mesh.healthy("service-c"))
    assert not any("tulle.workload_api" in command_line(pid) for pid in _tree(plain.pid))


def _tree(pid: int) -> list[int]:
    return [pid, *(each for child in children(pid) for each in _tree(child))]
