"""On connections that were open before: what access rules say now counts for the next request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guarded import CALLER, Guarded, guarded, talk
from tulle.ir.access import Access
from written_access import access

GET = b"GET /data HTTP/1.1\r\nhost: guarded\r\n\r\n"
DENY = "{action: DENY, rules: [{to: [{operation: {paths: [/data]}}]}]}"
OTHER = "cluster.local/ns/default/sa/other"


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("envoy"), {"changed": Access(), "revoked": Access()}, live=True) as made:
        yield made


def test_a_policy_counts_at_once_and_so_does_its_end(sidecar: Guarded) -> None:
    with sidecar.connected("changed") as connection:
        assert talk(connection, GET).status == 200
        sidecar.change(changed=access(DENY))
        assert talk(connection, GET).status == 403
        sidecar.change(changed=Access())
        assert talk(connection, GET).status == 200


def test_who_is_revoked_no_longer_counts_whichever_certificate_opened_the_connection(sidecar: Guarded) -> None:
    with sidecar.connected("revoked") as before, sidecar.connected("revoked", OTHER) as others:
        sidecar.renew(CALLER)
        with sidecar.connected("revoked") as after:
            assert [talk(each, GET).status for each in (before, after, others)] == [200, 200, 200]
            sidecar.revoke("CN=another", f"CN={CALLER.rpartition('/')[2]}")
            assert [talk(each, GET).status for each in (before, after, others)] == [403, 403, 200]
    assert sidecar.stats("revoked")["http.inbound.rbac.deny_.policy.revoked certificate.denied"] == 2


def test_the_answer_tells_nothing_of_the_rules(sidecar: Guarded) -> None:
    sidecar.change(changed=access(DENY))
    answer = sidecar.ask("changed", "/data")
    assert (answer.status, answer.body.strip()) == (403, '{"code":403,"error":"access denied"}')
    assert answer.headers["content-type"] == "application/json"
    assert not {name for name in answer.headers if name.startswith("x-")}
    sidecar.change(changed=Access())
