"""An authority that is brought along: certificates and a key from files, checked before anything is signed with them.

The names are those of Istio's plugged-in certificates (secret `cacerts`): `ca-cert.pem`, `ca-key.pem`, `root-cert.pem`,
`cert-chain.pem`. The chain may hold the authority itself and the root as well, in any order.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509
from msgspec import Struct

from tulle.config import CaFiles
from tulle.identity.ca import Ca, CaUnusable, check, id_of, read_certificates, read_key
from tulle.identity.private import StateUnusable, read_private

_LONGEST = 10  # certificates in a chain


class Brought(Struct, frozen=True):
    """What the files hold, in PEM. chain: what leads from `cert` to `root`; "" if nothing is between them."""

    cert: str
    key: str
    root: str
    chain: str = ""

    def __repr__(self) -> str:  # its key is for no log
        return "Brought(...)"


def read_brought(files: CaFiles) -> Brought:
    """Raises StateUnusable, also if others can read the key."""
    return Brought(
        cert=_text(files.cert),
        key=_text(files.key, private=True),
        root=_text(files.root),
        chain=_text(files.chain) if files.chain else "",
    )


def brought_ca(brought: Brought, now: datetime) -> Ca:
    """Raises CaUnusable."""
    certificate = _certificates("ca-cert", brought.cert)[0]
    roots = _certificates("ca-root", brought.root)
    if len(roots) != 1:
        raise CaUnusable(f"ca-root: it holds {len(roots)} certificates; give the one root that ca-cert leads to")
    try:
        key = read_key(brought.key.encode())
    except CaUnusable as error:
        raise CaUnusable(f"ca-key: {error}") from error
    between = _certificates("ca-cert", brought.cert)[1:]
    if brought.chain:
        between += _certificates("ca-chain", brought.chain)
    ca = Ca(key, certificate, _chain(certificate, between, roots[0]))
    check(ca, now)
    return ca


def _chain(
    certificate: x509.Certificate, between: list[x509.Certificate], root: x509.Certificate
) -> tuple[x509.Certificate, ...]:
    """From the certificate to the root, by the names of issuers; signatures are checked later. Raises CaUnusable."""
    chain: list[x509.Certificate] = []
    known = {id_of(one) for one in (certificate, root)}
    others = [one for one in between if id_of(one) not in known]
    last = certificate
    while id_of(last) != id_of(root) and last.issuer != root.subject:
        above = next((one for one in others if one.subject == last.issuer and one not in chain), None)
        if above is None or len(chain) == _LONGEST:
            raise CaUnusable(
                f"the chain does not lead to the root: nothing is given of {last.issuer.rfc4514_string()}, which has signed "
                f"{last.subject.rfc4514_string()}. Give it with ca-chain, or another ca-root"
            )
        chain.append(above)
        last = above
    return (*chain, root) if id_of(certificate) != id_of(root) else ()


def _certificates(name: str, text: str) -> list[x509.Certificate]:
    try:
        return read_certificates(text.encode())
    except CaUnusable as error:
        raise CaUnusable(f"{name}: {error}") from error


def _text(path: Path, *, private: bool = False) -> str:
    try:
        return (read_private(path) if private else path.read_bytes()).decode("ascii", "replace")
    except OSError as error:
        raise StateUnusable(f"can't read {path}: {error.strerror}") from error
