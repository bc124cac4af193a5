"""Lists of revoked certificates (RFC 5280, section 5), one of each issuer whose leaves may still be shown.

Envoy and BoringSSL refuse a certificate whose issuer's list is missing once they have any list (CertificateValidationContext,
`crl`), so all issuers have one or none has. Every list names every revoked serial: serials are random, and none is used twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from msgspec import Struct

from tulle.identity.ca import Ca
from tulle.identity.svid import BACK_DATED

_MARGIN = timedelta(days=1)


class Revoked(Struct, frozen=True):
    """serial: of the certificate. since: when it was revoked, in Unix seconds."""

    serial: int
    since: float


def crls(issuers: Sequence[Ca], revoked: Iterable[Revoked], now: float) -> str:
    """The lists in PEM; "" if nothing is revoked, or if an issuer may sign none by its key usage.

    A list holds until its issuer ends, which may be over: sidecars go on without a control plane, and a list that has ended
    refuses all.
    """
    entries = [
        x509.RevokedCertificateBuilder()
        .serial_number(one.serial)
        .revocation_date(datetime.fromtimestamp(int(one.since), UTC))
        .build()
        for one in revoked
    ]
    if not entries or not all(issuer.signs_crls for issuer in issuers):
        return ""
    return "".join(_signed(issuer, entries, datetime.fromtimestamp(int(now), UTC)) for issuer in issuers)


def _signed(issuer: Ca, entries: Sequence[x509.RevokedCertificate], now: datetime) -> str:
    builder = (
        x509.CertificateRevocationListBuilder(revoked_certificates=list(entries))
        .issuer_name(issuer.certificate.subject)
        .last_update(now - BACK_DATED)
        .next_update(max(issuer.certificate.not_valid_after_utc, now) + _MARGIN)
        .add_extension(issuer.key_identifier, critical=False)
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
    )
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
