"""Logs over the API: the control plane's own, and agents', which are asked over their sessions."""

from __future__ import annotations

from typing import Any

from tulle.api.own_log import OWN_LOG


async def test_the_control_planes_lines_are_told_and_their_level_is_changed(api: Any) -> None:
    OWN_LOG.ring.add("info", "tests", "before")
    status, found = await api.ask("GET", "/v1/logs")
    assert (status, found["proxy"], found["level"]) == (200, "", "info")
    last = found["lines"][-1]
    assert (last["message"], last["logger"]) == ("before", "tests")
    try:
        assert (await api.ask("PUT", "/v1/logs/level", b'{"level": "error"}'))[0] == 200
        OWN_LOG.ring.add("warning", "tests", "unsaid")
        OWN_LOG.ring.add("error", "tests", "said")
        _, later = await api.ask("GET", f"/v1/logs?after={last['number']}")
        assert [line["message"] for line in later["lines"]] == ["said"] and later["level"] == "error"
    finally:
        OWN_LOG.set_level("info")
    for path in ("/v1/logs?level=loud", "/v1/logs?after=x", "/v1/logs?since=x"):
        assert (await api.ask("GET", path))[0] == 400
    assert (await api.ask("PUT", "/v1/logs/level", b'{"level": "loud"}'))[0] == 400


async def test_an_agent_without_a_session_can_not_be_asked(api: Any) -> None:
    status, found = await api.ask("GET", "/v1/proxies/nobody/logs")
    assert (status, found) == (404, {"error": "there is no proxy nobody"})
    for unasked in (b'{"id": "0", "level": "info"}', b"not even read"):
        status, _ = await api.ask("POST", "/v1/agents/web-3fa2c1/logs", unasked)
        assert status == 200
