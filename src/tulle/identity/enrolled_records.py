"""The records of who is enrolled (enrolled.py), read, made and forgotten."""

from __future__ import annotations

import logging
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import Struct

from tulle.identity import enrolled
from tulle.identity.authority import IssuedCertificate
from tulle.identity.enrolled import Enrolled, Issued
from tulle.store.contract import KeyValue, Store, Unchanged

_log = logging.getLogger(__name__)


class Found(Struct, frozen=True):
    """record: None if there is none, or none that is still good. revision: what is at its key; 0 for nothing."""

    record: Enrolled | None
    revision: int

    def unchanged(self, proxy: str) -> Unchanged:
        return Unchanged(enrolled.key(proxy), self.revision)


class EnrolledRecords:
    """clock: Unix time in seconds."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def find(self, proxy: str) -> Found:
        """A record that can't be read is taken for none."""
        stored = await self._store.get(enrolled.key(proxy))
        if stored is None:
            return Found(None, 0)
        record = self._decoded(stored)
        return Found(record if record and self._is_good(record) else None, stored.revision)

    async def tidy(self) -> None:
        """Forgets whoever has no certificate that is still good."""
        for stored in (await self._store.range(enrolled.PREFIX)).items:
            record = self._decoded(stored)
            if record is not None and not self._is_good(record):
                await self._store.transaction(
                    (Unchanged(stored.key, stored.revision),), (enrolled.deletion(record.proxy),)
                )

    async def ends(self) -> dict[str, int]:
        """By proxy, when the first of the newest certificates of its ids ends; Unix time in seconds."""
        records = [self._decoded(stored) for stored in (await self._store.range(enrolled.PREFIX)).items]
        return {record.proxy: _end(record.certificates) for record in records if record and record.certificates}

    def still_good(self, certificates: tuple[Issued, ...]) -> tuple[Issued, ...]:
        now = self._clock()
        return tuple(each for each in certificates if each.not_after > now)

    def _is_good(self, record: Enrolled) -> bool:
        return bool(self.still_good(record.certificates))

    def _decoded(self, stored: KeyValue) -> Enrolled | None:
        try:
            return enrolled.decode(stored.value)
        except ValueError as error:
            _log.warning("the record at %s in the store is skipped: %s", stored.key, error)
            return None


def _end(certificates: tuple[Issued, ...]) -> int:
    return min({one.spiffe_id: one.not_after for one in certificates}.values())  # the oldest come first


def issued(certificate: IssuedCertificate, spiffe_id: str) -> Issued:
    """What the record says of a certificate; only the leaf counts."""
    leaf = x509.load_pem_x509_certificate(certificate.chain_pem.encode())
    return Issued(f"{leaf.serial_number:x}", leaf.fingerprint(SHA256()).hex(), spiffe_id, certificate.not_after)
