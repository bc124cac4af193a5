"""The mesh's certificate authority: signs what enrolment has decided, for the time that the settings give.

It knows how authorities follow each other: short-lived intermediates below one root, and one root after another. When it is
time is for others to say who know what proxies hold (control_plane/trust.py). Files are ca_folder.py's matter, the
certificates' shape is svid.py's and root.py's. May be used by any thread.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct

from tulle.identity import ca_folder
from tulle.identity.audit import Audit, Event, nobody
from tulle.identity.brought import Brought, brought_ca
from tulle.identity.ca import Ca, CaUnusable, id_of, key_pem, pem_of
from tulle.identity.ca_folder import Authorities
from tulle.identity.crl import Revoked, crls
from tulle.identity.csr import CsrRefused, requested_key
from tulle.identity.private import StateUnusable
from tulle.identity.root import new_intermediate, new_root
from tulle.identity.svid import BACK_DATED, sign_leaf
from tulle.identity.trust import Trust
from tulle.model.spiffe import CONTROL_PLANE_ID

INTERMEDIATE_LIFETIME = timedelta(days=7)
_HALF = 0.5
_LATEST = 0.75  # of an intermediate's life: then another signs, whoever has heard of it


class IssuedCertificate(Struct, frozen=True):
    """A certificate chain in PEM, leaf first, without the root.

    not_before: when it was issued, from which its lifetime counts (the certificate itself begins some minutes earlier).
    not_after: when it ends. Both are Unix time in whole seconds. serial, digest: of the leaf, as Issued's. root: the id of
    the root that it leads to.
    """

    chain_pem: str
    not_before: int
    not_after: int
    serial: str
    digest: str
    root: str


class ServerCertificate(Struct, frozen=True):
    """What the control plane's own TLS server needs."""

    key_pem: str
    certificate: IssuedCertificate


class RotationRefused(Exception):
    """The authorities can't be changed so now. The message says why, and what to do."""


class AuthorityEnded(Exception):
    """No certificate that is good can be signed any more. The message says what to do."""


class Authority:
    """first: the only anchor. clock: Unix time in seconds. lifetime: of an intermediate."""

    def __init__(
        self,
        first: Ca,
        clock: Callable[[], float],
        audit: Audit = nobody,
        lifetime: timedelta = INTERMEDIATE_LIFETIME,
    ) -> None:
        self._clock, self._audit, self._lifetime = clock, audit, lifetime
        self._folder: Path | None = None
        self._changing = threading.Lock()
        self._revoked: tuple[Revoked, ...] = ()
        issuer = self._issuer(first)
        self._take(Authorities((first,), (issuer,), issuer))

    @classmethod
    def open(
        cls,
        folder: Path,
        clock: Callable[[], float],
        brought: Brought | None = None,
        audit: Audit = nobody,
        ttl: float = 3600.0,
    ) -> Authority:
        """The authority in `folder`, made if there is none: anew, or of what was brought along.

        ttl: how long leaves will live; intermediates live longer. Raises StateUnusable.
        """
        now = datetime.fromtimestamp(clock(), UTC)
        try:
            ca = brought_ca(brought, now) if brought else None
        except CaUnusable as error:
            raise StateUnusable(f"the certificate authority that is brought along can't be used: {error}") from error
        lifetime = max(INTERMEDIATE_LIFETIME, timedelta(seconds=4 * ttl))
        if not folder.exists():
            made = cls(ca or new_root(now), clock, audit, lifetime)
            ca_folder.create(folder, made.known)
        elif known := ca_folder.load(folder):
            if ca is None or ca.root_id != known.anchors[-1].root_id:
                ca_folder.check_anchors(folder, known, now)
            made = cls(known.anchors[-1], clock, audit, lifetime)
            made._take(known)
        else:
            made = cls(ca_folder.load_old(folder, now), clock, audit, lifetime)
            ca_folder.change(folder, made.known)
        made._folder = folder
        if ca:
            made._expect(ca)
        made.renew()
        return made

    @property
    def known(self) -> Authorities:
        return self._known

    @property
    def trust(self) -> Trust:
        """What all are to trust now."""
        return self._trust

    @property
    def bundle_pem(self) -> str:
        return self._trust.bundle_pem

    @property
    def revokes(self) -> bool:
        """Whether every issuer may sign lists of revoked certificates."""
        return all(issuer.signs_crls for issuer in self._known.issuers)

    def issue(
        self, csr_pem: str, spiffe_id: str, ttl: float, who: str = "", instance: str = "", peer: str = ""
    ) -> IssuedCertificate:
        """Signs the key of a certificate request as `spiffe_id` for `ttl` seconds from now. Raises CsrRefused, AuthorityEnded.

        who: asks, for the audit log. instance, peer: of the workload, as sign_leaf's.
        """
        try:
            key = requested_key(csr_pem, spiffe_id)
        except CsrRefused as error:
            self.refused(spiffe_id, str(error), who)
            raise
        return self._sign(key, spiffe_id, ttl, who, instance, peer)

    def refused(self, spiffe_id: str, reason: str, who: str) -> None:
        """A certificate is not issued, for the audit log."""
        self._audit(Event(self._clock(), "certificate refused", who, spiffe_id=spiffe_id, reason=reason))

    def server_certificate(self, ttl: float) -> ServerCertificate:
        """A fresh key, and a certificate by which the control plane proves itself to proxies. Raises AuthorityEnded."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key.public_key(), CONTROL_PLANE_ID, ttl, "control plane")
        return ServerCertificate(key_pem(key).decode(), certificate)

    def revoke(self, revoked: Collection[Revoked]) -> None:
        """From now on exactly these certificates are on the lists."""
        with self._changing:
            self._revoked = tuple(revoked)
            self._take(self._known)

    def renew(self) -> None:
        """Makes the next intermediate when the one that signs has passed half of its life, and drops those that ended.

        The next one signs when `activate` is called, or when it has to.
        """
        with self._changing:
            known, now = self._known, self._now()
            issuers, active, upcoming = known.issuers, known.active, known.upcoming
            anchor, life = known.anchor_of(active), self._life(active, now)
            has_to = life >= _LATEST or now < active.certificate.not_valid_before_utc
            if anchor and anchor.id != active.id and anchor.ends > now:
                if upcoming is None and life >= _HALF:
                    upcoming = self._issuer(anchor)
                    issuers += (upcoming,)
                if has_to and (upcoming is None or known.anchor_of(upcoming) is not anchor):
                    active, has_to = self._issuer(anchor), False
                    issuers += (active,)
            if has_to and upcoming and (anchor is None or known.anchor_of(upcoming) is anchor):
                active, upcoming = upcoming, None
            self._change(Authorities(known.anchors, issuers, active, upcoming, known.retired))

    def activate(self) -> None:
        """The upcoming issuer signs from now on."""
        with self._changing:
            known = self._known
            if known.upcoming:
                self._change(Authorities(known.anchors, known.issuers, known.upcoming, None, known.retired))

    def rotate(self, brought: Brought | None = None) -> None:
        """Begins to go over to another root, a new one or what is brought along: it is trusted now, and signs later.

        An authority below the root that is trusted already signs as soon as it may. Raises RotationRefused.
        """
        with self._changing:
            if len(self._known.anchors) > 1:
                raise RotationRefused(
                    "a rotation is under way: see `tulle ca status`, and end it with `tulle ca finish` first"
                )
            try:
                ca = brought_ca(brought, self._now()) if brought else new_root(self._now())
            except CaUnusable as error:
                raise RotationRefused(f"what is brought along can't be used: {error}") from error
            known = self._known
            if ca.id == known.anchors[0].id:
                raise RotationRefused("this is the mesh's authority already")
            if ca.root_id == known.anchors[0].root_id:
                self._change(self._beside(ca))
                return
            issuer = self._issuer(ca)
            anchors, issuers = (*known.anchors, ca), (*known.issuers, issuer)
            self._change(Authorities(anchors, issuers, known.active, issuer, known.retired))

    def finish(self) -> None:
        """The older root is trusted no more, and its keys are removed. Raises RotationRefused."""
        with self._changing:
            known = self._known
            if len(known.anchors) < 2:
                raise RotationRefused("no rotation is under way; `tulle ca rotate` begins one")
            new = known.anchors[-1]
            issuers = tuple(one for one in known.issuers if one.root_id == new.root_id)
            active = known.active if known.active.root_id == new.root_id else issuers[-1]
            upcoming = known.upcoming if known.upcoming is not active else None
            self._change(Authorities((new,), issuers, active, upcoming, known.retired))

    def _expect(self, ca: Ca) -> None:
        """What was brought along is what there is, or is beneath the same root. Raises StateUnusable."""
        known = self._known
        if ca.id in (anchor.id for anchor in known.anchors):
            return
        if len(known.anchors) == 1 and ca.root_id == known.anchors[0].root_id:
            with self._changing:
                self._change(self._beside(ca))
            return
        raise StateUnusable(
            "this mesh has another certificate authority than the one that is brought along. To go over to it without a lost "
            "call: start without these options, then `tulle ca rotate` with them. If that was done, leave them out"
        )

    def _beside(self, ca: Ca) -> Authorities:
        """Another authority below the root that is trusted takes the anchor's place; what the old one signed holds on."""
        known, issuer = self._known, self._issuer(ca)
        return Authorities((ca,), (*known.issuers, issuer), known.active, issuer, known.retired)

    def _issuer(self, anchor: Ca) -> Ca:
        """What signs leaves: an intermediate, or the anchor itself if it may sign no other authority."""
        return new_intermediate(anchor, self._now(), self._lifetime) if anchor.has_room else anchor

    def _life(self, ca: Ca, now: datetime) -> float:
        """How much of it has passed, 0 to 1."""
        begins = ca.certificate.not_valid_before_utc + BACK_DATED
        return (now - begins) / max(ca.certificate.not_valid_after_utc - begins, timedelta(seconds=1))

    def _change(self, known: Authorities) -> None:
        """Durably, if it is one. Issuers that signed once are kept as long as what they signed may be shown."""
        now, until = int(self._clock()), int(self._clock() + self._lifetime.total_seconds())
        signing = (known.active, known.upcoming)
        retired = {one.id: known.retired.get(one.id, until) for one in known.issuers if one not in signing}
        issuers = tuple(
            one for one in known.issuers if one in signing or (retired[one.id] > now and one.ends.timestamp() > now)
        )
        kept = {one.id: retired[one.id] for one in issuers if one.id in retired}
        known = Authorities(known.anchors, issuers, known.active, known.upcoming, kept)
        if known == self._known:
            return
        if self._folder:
            ca_folder.change(self._folder, known)
        before, after = _told(self._known), _told(known)
        self._take(known)
        self._audit(Event(self._clock(), "authority changed", "control plane", before=before, after=after))

    def _take(self, known: Authorities) -> None:
        bundle, crl = pem_of(known.roots), crls(known.issuers, self._revoked, self._clock())
        listed = (
            [*sorted(f"{one.serial:x}" for one in self._revoked), *(one.id for one in known.issuers)] if crl else []
        )
        version = hashlib.sha256("\n".join([bundle, *listed]).encode()).hexdigest()[:16]
        self._known, self._trust = known, Trust(bundle, crl, version)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._clock()), UTC)

    def _sign(
        self, key: ec.EllipticCurvePublicKey, spiffe_id: str, ttl: float, who: str, instance: str = "", peer: str = ""
    ) -> IssuedCertificate:
        issued = int(self._clock())
        if self._known.active.ends.timestamp() <= issued:  # the machine has slept for long
            self.renew()
        issuer = self._known.active
        if issuer.ends.timestamp() <= issued:
            ended = (self._known.anchor_of(issuer) or issuer).ends
            raise AuthorityEnded(
                f"the mesh's certificate authority has ended at {ended:%Y-%m-%d %H:%M} UTC, if this machine's clock is "
                "right; go over to another: tulle ca rotate"
            )
        # A chain is good no longer than what it leads through.
        ends = min(int(issued + ttl), int(issuer.ends.timestamp()))
        certificate = sign_leaf(
            key,
            spiffe_id,
            datetime.fromtimestamp(issued, UTC) - BACK_DATED,
            datetime.fromtimestamp(ends, UTC),
            issuer,
            instance,
            peer,
        )
        made = IssuedCertificate(
            certificate.public_bytes(Encoding.PEM).decode() + issuer.above_leaf_pem,
            issued,
            ends,
            f"{certificate.serial_number:x}",
            certificate.fingerprint(hashes.SHA256()).hex(),
            issuer.root_id,
        )
        self._audit(
            Event(issued, "certificate issued", who, spiffe_id=spiffe_id, serial=made.serial, not_after=made.not_after)
        )
        return made


def _told(known: Authorities) -> dict[str, object]:
    """For the audit log."""
    upcoming = known.upcoming.id if known.upcoming else ""
    return {"roots": [id_of(root) for root in known.roots], "signs": known.active.id, "upcoming": upcoming}
