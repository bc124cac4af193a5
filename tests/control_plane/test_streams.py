"""How many streams a proxy may have at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tulle.control_plane.envoys import Envoys
from tulle.control_plane.mesh import LiveMesh
from tulle.control_plane.timeline import Timeline
from tulle.identity.authority import Authority
from tulle.model.spiffe import proxy_id, workload_id
from tulle.telemetry.own import Own
from tulle.xds.server import Refusal, StreamEnded


def certificate(folder: Path, spiffe_id: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    return Authority.open(folder, time.time).issue(pem, spiffe_id, 600).chain_pem.encode()


def test_the_oldest_of_too_many_streams_is_woken_and_ended(tmp_path: Path) -> None:
    envoys, proved, woken = (
        Envoys(LiveMesh(Timeline(time.time)), lambda _: "", Own("1")),
        certificate(tmp_path / "ca", proxy_id("a1")),
        [],
    )
    streams = [envoys.connect(proved, "a1", lambda number=number: woken.append(number)) for number in range(4)]  # type: ignore[misc]
    assert woken == [0]
    oldest, *others = streams
    assert not isinstance(oldest, Refusal)
    with pytest.raises(StreamEnded, match="newer streams"):
        oldest.flush()
    oldest.disconnect()
    for stream in others:
        assert not isinstance(stream, Refusal)
        assert stream.flush() == []


def test_only_a_proxy_gets_a_stream_and_only_its_own(tmp_path: Path) -> None:
    envoys = Envoys(LiveMesh(Timeline(time.time)), lambda _: "", Own("1"))
    workload = certificate(tmp_path / "ca", workload_id("default", "service-a"))
    refused = envoys.connect(workload, "service-a-1", lambda: None)
    assert isinstance(refused, Refusal)
    assert "is no proxy's identity" in refused.reason
    lying = envoys.connect(certificate(tmp_path / "ca", proxy_id("a1")), "b1", lambda: None)
    assert isinstance(lying, Refusal)
    assert lying.reason == "the certificate is proxy a1's, the node says that it is b1"
