"""The certificate that a new connection is shown is good, whatever the clock has done meanwhile."""

from __future__ import annotations

import asyncio
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from tulle.config import Settings
from tulle.control_plane.certificate import OwnCertificate
from tulle.control_plane.running import running
from tulle.identity.authority import Authority
from tulle.identity.root import new_root

HOUR = 3600.0


class WallClock:
    """Goes on by jumps only, as a clock does that is looked at before and after a suspend."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def own_certificate(clock: WallClock) -> OwnCertificate:
    return OwnCertificate(Authority(new_root(datetime.fromtimestamp(clock.now, UTC)), clock), HOUR, clock)


def lifetime(certificate: x509.Certificate) -> tuple[float, float]:
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()


def test_it_is_the_same_for_half_of_its_life_and_then_another() -> None:
    clock = WallClock()
    own = own_certificate(clock)
    first = own.identity()
    clock.now += HOUR / 2 - 2
    assert own.identity() == first
    clock.now += 4
    assert own.identity() != first


def test_a_clock_that_is_set_back_brings_a_certificate_that_is_good_by_it() -> None:
    clock = WallClock()
    own = own_certificate(clock)
    clock.now += 2 * HOUR
    own.identity()
    clock.now -= HOUR
    begins, ends = lifetime(x509.load_pem_x509_certificate(own.identity().chain))
    assert begins <= clock.now < ends


def test_connections_that_come_all_at_once_after_a_suspend_are_shown_the_same_one() -> None:
    clock = WallClock()
    own = own_certificate(clock)
    clock.now += 8 * HOUR
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: own.identity(), range(64)))) == 1


async def test_after_a_suspend_the_first_new_connection_is_shown_a_good_one(tmp_path: Path) -> None:
    clock = WallClock()
    async with running(Settings(tmp_path, cert_ttl=HOUR), clock):
        port = int((tmp_path / "xds-port").read_text())
        before = await shown(port)
        clock.now += 8 * HOUR
        begins, ends = lifetime(await shown(port))
        assert lifetime(before)[1] < clock.now
        assert begins <= clock.now < ends


async def shown(port: int) -> x509.Certificate:
    """What a client sees that does not judge."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    async with asyncio.timeout(20):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        encoded = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
    return x509.load_der_x509_certificate(encoded)
