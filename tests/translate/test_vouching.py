"""Whose address a sidecar takes for the caller's: the connection's, whatever `X-Forwarded-For` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

import one_envoy
from tulle.envoy_api.messages import message, pack, unpack
from tulle.translate.vouching import vouched_by_sidecars_alone

_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What an Envoy that answers with the caller's address says."""
    original = one_envoy._listener

    def door(hosts: Any) -> Any:
        listener = original(hosts)
        manager = unpack(listener.filter_chains[0].filters[0].typed_config)
        manager.MergeFrom(message(_MANAGER)(**vouched_by_sidecars_alone()))
        body = {
            "text_format_source": {"inline_string": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %REQ(X-FORWARDED-FOR)%"}
        }
        answer = {"status": 200, "body_format": body}
        manager.route_config.CopyFrom(
            message("envoy.config.route.v3.RouteConfiguration")(
                name="caller",
                virtual_hosts=[
                    {
                        "name": "caller",
                        "domains": ["*"],
                        "routes": [{"match": {"prefix": "/"}, "direct_response": answer}],
                    }
                ],
            )
        )
        listener.filter_chains[0].filters[0].typed_config.CopyFrom(pack(manager))
        return listener

    monkeypatch.setattr(one_envoy, "_listener", door)
    with one_envoy.one_envoy(tmp_path, [], {}) as envoy:
        yield lambda headers: httpx.get(f"http://127.0.0.1:{envoy.port}/", headers=headers).text


def test_the_callers_address_is_the_connections(ask: Any) -> None:
    assert ask({}) == "127.0.0.1 -"
    many = ", ".join(["10.0.0.1"] * 2000)
    for said in ("10.0.0.1", "192.0.2.7", "192.0.2.7, 10.0.0.1", "no address", "," * 100, many):
        assert ask({"X-Forwarded-For": said}) == f"127.0.0.1 {said}"
