"""How authorities follow each other: intermediates below one root, one root after another, whatever cuts a change off."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tulle.identity.authority import Authority, RotationRefused
from tulle.identity.crl import Revoked
from tulle.identity.root import new_root
from tulle.identity.svid import proved_id

DAY = 24 * 3600.0
NOW = 1_800_000_000.0


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def signs(authority: Authority) -> str:
    return authority.known.active.id


def crls_of(authority: Authority) -> list[x509.CertificateRevocationList]:
    lists = authority.trust.crl_pem.split("-----END X509 CRL-----\n")[:-1]
    return [x509.load_pem_x509_crl(f"{one}-----END X509 CRL-----\n".encode()) for one in lists]


def test_another_intermediate_is_made_at_half_of_its_life_and_signs_once_it_may() -> None:
    clock = Clock()
    authority = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), clock)
    first, bundle = signs(authority), authority.bundle_pem
    clock.now += 3.4 * DAY
    authority.renew()
    assert authority.known.upcoming is None
    clock.now += 0.2 * DAY
    authority.renew()
    assert authority.known.upcoming and signs(authority) == first
    upcoming = authority.known.upcoming.id
    authority.renew()
    assert authority.known.upcoming.id == upcoming, "one is enough"
    authority.activate()
    assert signs(authority) == upcoming
    assert authority.bundle_pem == bundle
    assert len(authority.known.issuers) == 2, "what the first signed is still shown"
    clock.now += 3.5 * DAY
    authority.renew()
    assert next(one.id for one in authority.known.issuers) == upcoming


def test_an_intermediate_that_nobody_has_heard_of_signs_when_it_has_to() -> None:
    clock = Clock()
    authority = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), clock)
    first = signs(authority)
    clock.now += 5.3 * DAY
    authority.renew()
    assert signs(authority) != first
    clock.now += 30 * DAY
    authority.renew()
    assert authority.known.active.ends.timestamp() > clock.now + 6 * DAY


def test_a_machine_that_has_slept_for_weeks_signs_with_a_good_intermediate_at_once() -> None:
    clock = Clock()
    authority = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), clock)
    clock.now += 30 * DAY
    assert authority.server_certificate(3600).certificate.not_after == int(clock.now) + 3600


def test_a_control_plane_that_was_away_for_long_starts_with_a_good_intermediate(tmp_path: Path) -> None:
    clock = Clock()
    Authority.open(tmp_path / "ca", clock)
    clock.now += 400 * DAY
    authority = Authority.open(tmp_path / "ca", clock)
    assert authority.server_certificate(3600).certificate.not_after == int(clock.now) + 3600
    assert len(list((tmp_path / "ca").iterdir())) == 3, "what has ended is gone"


def test_certificates_that_live_for_weeks_get_intermediates_that_live_longer(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path / "ca", Clock(), ttl=30 * DAY)
    assert authority.server_certificate(30 * DAY).certificate.not_after == NOW + 30 * DAY


def test_both_roots_are_trusted_before_the_new_one_signs_and_until_the_rotation_is_finished(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path / "ca", Clock())
    old, first = authority.bundle_pem, signs(authority)
    with pytest.raises(RotationRefused, match="no rotation is under way"):
        authority.finish()

    authority.rotate()
    assert authority.bundle_pem.startswith(old) and authority.bundle_pem.count("BEGIN CERTIFICATE") == 2
    assert signs(authority) == first
    with pytest.raises(RotationRefused, match="under way"):
        authority.rotate()

    authority.activate()
    new = authority.known.anchors[1]
    assert authority.known.active.root_id == new.id
    assert authority.server_certificate(60).certificate.root == new.id
    assert authority.bundle_pem.count("BEGIN CERTIFICATE") == 2

    authority.finish()
    assert old not in authority.bundle_pem and authority.bundle_pem.count("BEGIN CERTIFICATE") == 1
    assert {path.name for path in (tmp_path / "ca").iterdir()} == {
        *("authority.json", f"{new.id}.pem", f"{signs(authority)}.pem")
    }
    again = Authority.open(tmp_path / "ca", Clock())
    assert (again.bundle_pem, signs(again)) == (authority.bundle_pem, signs(authority))


def test_a_rotation_that_is_finished_by_force_goes_over_at_once() -> None:
    authority = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), Clock())
    authority.rotate()
    authority.finish()
    assert authority.known.active.root_id == authority.known.anchors[0].id
    assert authority.known.upcoming is None
    assert proved_id(authority.server_certificate(60).certificate.chain_pem.encode())


def test_a_rotation_that_lasts_does_not_let_the_old_intermediate_end() -> None:
    clock = Clock()
    authority = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), clock)
    authority.rotate()
    old = authority.known.anchors[0].id
    clock.now += 6 * DAY
    authority.renew()
    assert authority.known.active.root_id == old
    assert authority.known.active.ends.timestamp() > clock.now + 6 * DAY
    assert authority.known.upcoming and authority.known.upcoming.root_id != old


def test_lists_of_revoked_certificates_are_there_for_every_issuer_or_for_none() -> None:
    clock = Clock()
    authority = Authority(new_root(datetime.fromtimestamp(NOW, UTC)), clock)
    plain = authority.trust
    assert plain.crl_pem == ""
    authority.revoke([Revoked(0xABC, NOW)])
    assert authority.trust.version != plain.version
    authority.rotate()
    lists = crls_of(authority)
    assert {one.issuer for one in lists} == {one.certificate.subject for one in authority.known.issuers}
    for found, issuer in zip(lists, authority.known.issuers, strict=True):
        assert found.is_signature_valid(issuer.key.public_key())
        assert [one.serial_number for one in found] == [0xABC]
        assert found.next_update_utc and found.next_update_utc > issuer.ends
    authority.activate()
    authority.finish()
    assert len(crls_of(authority)) == 1
    authority.revoke([])
    assert authority.trust.crl_pem == ""


def test_lists_that_are_only_signed_anew_are_no_other_trust(tmp_path: Path) -> None:
    versions = set()
    for _ in range(2):  # as by a control plane that starts anew
        authority = Authority.open(tmp_path / "ca", time.time)
        authority.revoke([Revoked(2, NOW), Revoked(1, NOW)])
        versions.add(authority.trust.version)
    assert len(versions) == 1
    authority.revoke([Revoked(1, NOW)])
    assert authority.trust.version not in versions


CHANGES: dict[str, Callable[[Authority], None]] = {
    "rotate": lambda authority: authority.rotate(),
    "activate": lambda authority: authority.activate(),
    "finish": lambda authority: authority.finish(),
}


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Whether the kernel's step of that number came: there the process doing `work` is gone, as by SIGKILL."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, arguments: Any) -> None:
            nonlocal left
            if event in ("open", "os.rename", "os.remove", "os.mkdir"):
                left -= 1
                if left < 0:
                    os._exit(7)

        sys.addaudithook(count)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 7


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_is_killed_at_any_moment_is_made_or_not_made(tmp_path: Path, change: str) -> None:
    step, seen = 0, set()
    while True:
        folder = tmp_path / str(step) / "ca"
        folder.parent.mkdir()
        authority = Authority.open(folder, time.time)
        for before in list(CHANGES)[: list(CHANGES).index(change)]:
            CHANGES[before](authority)
        old = authority.known
        was_killed = killed_at(step, lambda authority=authority: CHANGES[change](authority))  # type: ignore[misc]
        found = Authority.open(folder, time.time).known
        is_old = (found.active.id, len(found.anchors)) == (old.active.id, len(old.anchors))
        seen.add(is_old)
        assert found.active.root_id in {anchor.root_id for anchor in found.anchors}
        assert len(list(folder.iterdir())) == 1 + len({one.id for one in (*found.anchors, *found.issuers)})
        if not was_killed:
            assert not is_old
            break
        step += 1
    assert step >= 3 and seen == {True, False}
