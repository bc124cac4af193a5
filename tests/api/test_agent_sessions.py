"""An agent's session, both ways over one request on the real server."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import msgspec
import pytest

from tulle.model.workload import Health, Proxy
from tulle.sources.documents import documents

HEARTBEAT = ("keep_alive", "web-3fa2c1")


async def registered(agent: Any, web: Proxy) -> None:
    agent.say(proxy=web)
    assert await agent.hear() == {"registered": True}


async def test_an_agent_hears_that_it_is_registered_ready_and_known_everywhere(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        assert api.told == [("register", web)]

        api.agents.in_sync.set()
        assert await agent.hear() == {"ready": True}
        agent.say(health="healthy")
        await api.until("set_health", "web-3fa2c1", "web-3fa2c1", Health.HEALTHY)
        api.agents.acknowledged[Health.HEALTHY].set()
        assert await agent.hear() == {"propagated": "healthy"}


async def test_a_heartbeat_keeps_alive_and_changes_nothing(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        for _ in range(3):
            agent.say(health="starting")
        agent.say(bye=True)
        assert await agent.hear() is None
    assert api.told == [("register", web), HEARTBEAT, HEARTBEAT, HEARTBEAT, ("leave", "web-3fa2c1")]


async def test_after_an_orderly_end_nothing_is_abandoned(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        agent.say(health="draining")
        api.agents.acknowledged[Health.DRAINING].set()
        assert await agent.hear() == {"propagated": "draining"}
        agent.say(bye=True)
        assert await agent.hear() is None
    assert ("abandon", "web-3fa2c1") not in api.told


async def test_only_the_newest_health_is_told_when_it_has_reached_everyone(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        agent.say(health="healthy")
        agent.say(health="draining")
        await api.until("set_health", "web-3fa2c1", "web-3fa2c1", Health.DRAINING)
        api.agents.acknowledged[Health.STARTING].set()
        api.agents.acknowledged[Health.HEALTHY].set()
        api.agents.acknowledged[Health.DRAINING].set()
        assert await agent.hear() == {"propagated": "draining"}
        agent.say(bye=True)
        assert await agent.hear() is None


async def test_an_agent_that_comes_back_draining_hears_when_everyone_knows(api: Any, web: Proxy) -> None:
    draining = msgspec.structs.replace(web.workloads[0], health=Health.DRAINING)
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, msgspec.structs.replace(web, workloads=(draining,)))
        api.agents.acknowledged[Health.DRAINING].set()
        assert await agent.hear() == {"propagated": "draining"}


async def test_an_agent_is_told_whom_its_program_means_while_it_goes_on(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        agent.say(resolve="slow")
        agent.say(resolve="db")
        assert await agent.hear() == {"resolved": "db", "vip": "127.64.0.2"}
        agent.say(resolve="example.org")
        assert await agent.hear() == {"resolved": "example.org", "vip": None}
        agent.say(resolve="broken")
        problem = "the sidecar rejected the configuration of broken.default"
        assert await agent.hear() == {"resolved": "broken", "problem": problem}
        agent.say(bye=True)
        assert await agent.hear() is None


async def test_an_agent_registers_anew_when_its_program_listens_elsewhere(api: Any, web: Proxy) -> None:
    port = msgspec.structs.replace(web.workloads[0].ports[0], target=9999)
    moved = msgspec.structs.replace(web.workloads[0], ports=(port,), health=Health.HEALTHY)
    again = msgspec.structs.replace(web, workloads=(moved,))
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        await registered(agent, again)
        assert api.told == [("register", web), ("register", again)]
        api.agents.in_sync.set()
        assert await agent.hear() == {"ready": True}
        api.agents.acknowledged[Health.HEALTHY].set()
        assert await agent.hear() == {"propagated": "healthy"}


COUNT = {"what": "denied", "source": "", "place": "", "caller": "x", "count": 3, "ago": 0.5}


async def test_decisions_are_shown_as_they_are_told_last_while_the_session_lasts(api: Any, web: Proxy) -> None:
    document = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "p"}}
    text = json.dumps({**document, "spec": {"action": "DENY", "rules": [{}]}}).encode()
    (sent,) = documents(text, "p.yaml")
    assert (await api.ask("POST", "/v1/resources", msgspec.json.encode(sent)))[0] == 200

    async def shown() -> list[tuple[Any, ...]]:
        _, view = await api.ask("GET", "/v1/resources/AuthorizationPolicy/default/p")
        return [(one["what"], one["place"], one["caller"], one["count"]) for one in view["decisions"]]

    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        other = {**COUNT, "source": "AuthorizationPolicy default/q"}
        for count in (3, 4, 4):
            mine = {**COUNT, "source": "AuthorizationPolicy default/p", "place": "spec.rules[0]", "count": count}
            agent.say(decisions={"counts": [mine, other], "other": 1, "lost": 0})
        agent.say(health="starting")
        await api.until(*HEARTBEAT)
        assert await shown() == [("denied", "spec.rules[0]", "x", 4)]
        agent.vanish()
        await api.until("abandon", "web-3fa2c1")
    assert await shown() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"what": "allowed"},
        {"source": "x" * 1025},
        {"caller": "a\nb"},
        {"count": -1},
        {"count": 2**53},
        {"ago": -1.0},
        {"path": "/"},
    ],
)
async def test_decisions_that_make_no_sense_end_the_session(api: Any, web: Proxy, wrong: dict[str, Any]) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        agent.say(decisions={"counts": [{**COUNT, **wrong}]})
        assert "a line is no report" in (await agent.hear())["error"]


async def test_an_agent_cannot_become_another_proxy(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        agent.say(proxy=msgspec.structs.replace(web, id="web-000000"))
        assert await agent.hear() == {"error": "the proxy 'web-000000' can't register as 'web-3fa2c1'"}


async def test_an_agent_that_vanishes_has_abandoned_its_instances(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        agent.vanish()
        await api.until("abandon", "web-3fa2c1")


async def test_an_agent_that_ends_its_body_without_a_word_has_abandoned_its_instances(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        agent.send(b"")
        assert await agent.hear() is None
    await api.until("abandon", "web-3fa2c1")


async def test_a_newer_session_takes_over_and_the_older_ones_end_abandons_nothing(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as older, api.agent("web-3fa2c1") as newer:
        await registered(older, web)
        await registered(newer, web)
        assert await older.hear() == {"error": "another session of this proxy took over"}
        assert await older.hear() is None
        older.vanish()
        newer.say(health="healthy")
        await api.until("set_health", "web-3fa2c1", "web-3fa2c1", Health.HEALTHY)
        assert ("abandon", "web-3fa2c1") not in api.told
        newer.vanish()
        await api.until("abandon", "web-3fa2c1")


async def test_the_end_of_the_control_plane_abandons_nobody(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        await api.stop()
        with pytest.raises(asyncio.IncompleteReadError):
            await agent.hear()
    assert api.told == [("register", web)]


async def test_an_agent_whose_lease_has_ended_is_told_to_register_again(api: Any, web: Proxy) -> None:
    for report in ("starting", "healthy"):
        async with api.agent("web-3fa2c1") as agent:
            await registered(agent, web)
            api.agents.registered.clear()
            agent.say(health=report)
            assert await agent.hear() == {"error": "the lease has ended; register again"}
            assert await agent.hear() is None
    assert ("abandon", "web-3fa2c1") not in api.told


async def test_while_the_store_can_not_be_written_an_agent_is_told_and_keeps_its_lease(api: Any, web: Proxy) -> None:
    full = {"error": "/data/store.db: no space left; make room"}
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        api.agents.disk_is_full = True
        agent.say(health="healthy")
        assert await agent.hear() == full
        assert await agent.hear() is None
    async with api.agent("web-3fa2c1") as agent:
        agent.say(proxy=web)
        assert await agent.hear() == full
    assert ("abandon", "web-3fa2c1") not in api.told
    assert await api.ask("DELETE", "/v1/services/default/web") == (503, full)


async def test_an_agent_lost_while_the_store_can_not_be_written_is_logged(
    api: Any, web: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        api.agents.disk_is_full = True
        agent.send(b"")
        assert await agent.hear() is None
    assert "the agent of web-3fa2c1 is gone" in caplog.text
    assert "Traceback" not in caplog.text


async def test_an_end_noticed_late_takes_nothing_from_the_registration_that_follows(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as older:
        await registered(older, web)
        api.agents.may_register.clear()
        async with api.agent("web-3fa2c1") as newer:
            newer.say(proxy=web)
            await api.see(lambda: api.agents.begun == 2)
            older.send(b"")
            assert (await api.ask("GET", "/v1/version"))[0] == 200  # the end has come by now
            api.agents.may_register.set()
            assert await newer.hear() == {"registered": True}
            newer.say(health="healthy")
            await api.until("set_health", "web-3fa2c1", "web-3fa2c1", Health.HEALTHY)
            assert ("abandon", "web-3fa2c1") not in api.told


@pytest.mark.parametrize("late", [b'{"health": "healthy"}', b'{"health": "unhealthy"}', b'{"bye": true}'])
async def test_what_an_older_session_has_still_to_say_is_not_heard(api: Any, web: Proxy, late: bytes) -> None:
    async with api.agent("web-3fa2c1") as older, api.agent("web-3fa2c1") as newer:
        await registered(older, web)
        api.agents.may_write.clear()
        older.send(b'{"health": "unhealthy"}\n' + late + b"\n")
        await api.until("set_health", "web-3fa2c1", "web-3fa2c1", Health.UNHEALTHY)
        newer.say(proxy=web)
        assert (await api.ask("GET", "/v1/version"))[0] == 200  # the registration has come by now
        api.agents.may_write.set()
        assert await newer.hear() == {"registered": True}
        assert await older.hear() == {"error": "another session of this proxy took over"}
        assert await older.hear() is None
        newer.say(bye=True)
        assert await newer.hear() is None
    assert [each[0] for each in api.told] == ["register", "set_health", "register", "leave"]


async def test_a_newcomer_that_is_refused_takes_nothing_from_the_session_that_lives(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as living, api.agent("web-3fa2c1") as newcomer:
        await registered(living, web)
        api.agents.refuse = "proxy id web-3fa2c1 is taken"
        newcomer.say(proxy=web)
        assert await newcomer.hear() == {"error": "proxy id web-3fa2c1 is taken"}
        assert await newcomer.hear() is None
        living.say(health="healthy")
        await api.until("set_health", "web-3fa2c1", "web-3fa2c1", Health.HEALTHY)
        assert ("abandon", "web-3fa2c1") not in api.told
        living.vanish()
        await api.until("abandon", "web-3fa2c1")


async def test_what_the_mesh_can_not_take_is_refused_with_its_reason(api: Any, web: Proxy) -> None:
    api.agents.refuse = "web.default is a service of another kind"
    async with api.agent("web-3fa2c1") as agent:
        agent.say(proxy=web)
        assert await agent.hear() == {"error": "web.default is a service of another kind"}
        assert await agent.hear() is None
    assert api.told == []


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"\n", "the first line must be a registration"),
        (b"\xff\n", "the first line must be a registration"),
        (b'{"health": "healthy"}\n', "missing required field `proxy`"),
        (b'{"proxy": {"id": "web-3fa2c1"}}\n', "missing required field `address`"),
        (b"[" * 60_000 + b"\n", "the first line must be a registration"),
        (b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}\n", "the first line must be a registration"),
        (b" " * 70_000, "the registration is longer than 65536 bytes"),
    ],
    ids=["empty", "no UTF-8", "a report", "half", "deep", "deep in what nobody reads", "endless"],
)
async def test_a_bad_first_line_is_refused(api: Any, line: bytes, error: str) -> None:
    async with api.agent("web-3fa2c1") as agent:
        agent.send(line)
        assert error in (await agent.hear())["error"]
        assert await agent.hear() is None
    assert api.told == []


async def test_a_proxy_can_register_as_itself_only(api: Any, web: Proxy) -> None:
    async with api.agent("admin-3fa2c1") as agent:
        agent.say(proxy=web)
        assert await agent.hear() == {"error": "the proxy 'web-3fa2c1' can't register as 'admin-3fa2c1'"}


async def test_everything_wrong_with_a_proxy_is_told_at_once(api: Any, web: Proxy) -> None:
    workload = msgspec.structs.replace(web.workloads[0], version="one two", labels=(("a b", "c"),))
    async with api.agent("web-3fa2c1") as agent:
        agent.say(proxy=msgspec.structs.replace(web, workloads=(workload,)))
        error = (await agent.hear())["error"]
    assert all(part in error for part in ("version 'one two'", "label 'a b'"))


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"\n", "a line is no report"),
        (b"healthy\n", "a line is no report"),
        (b'{"health": "fine"}\n', "Invalid enum value 'fine'"),
        (b"{}\n", 'a line must have "health", "proxy", "resolve", "idle", "decisions", "holds" or "bye"'),
        (b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}\n", "a line is no report"),
        (b"x" * 70_000, "a line is longer than 65536 bytes"),
    ],
)
async def test_a_bad_line_ends_the_session(api: Any, web: Proxy, line: bytes, error: str) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        agent.send(line)
        assert error in (await agent.hear())["error"]
        assert await agent.hear() is None
    await api.until("abandon", "web-3fa2c1")


async def test_lines_may_come_in_pieces_and_together(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        line = msgspec.json.encode({"proxy": web}) + b"\n"
        agent.send(line[:20])
        await asyncio.sleep(0.02)
        agent.send(line[20:] + b'{"health": "healthy"}\n{"health": "healthy"}\n{"heal')
        assert await agent.hear() == {"registered": True}
        agent.send(b'th": "draining"}\n')
        await api.until("set_health", "web-3fa2c1", "web-3fa2c1", Health.DRAINING)
    assert [each[0] for each in api.told[:4]] == ["register", "set_health", "keep_alive", "set_health"]


async def test_a_broken_chunk_ends_only_its_own_session(api: Any, web: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    async with api.agent("web-3fa2c1") as broken, api.agent("web-3fa2c2") as whole:
        await registered(broken, web)
        broken.send_raw(b"this is no chunk\r\n")
        await api.until("abandon", "web-3fa2c1")
        workload = msgspec.structs.replace(web.workloads[0], id="web-3fa2c2")
        await registered(whole, msgspec.structs.replace(web, id="web-3fa2c2", workloads=(workload,)))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_hundred_agents_are_served_at_once(api: Any, web: Proxy) -> None:
    api.agents.in_sync.set()

    async def live(number: int) -> None:
        name = f"web-{number:06}"
        workload = msgspec.structs.replace(web.workloads[0], id=name)
        async with api.agent(name) as agent:
            await registered(agent, msgspec.structs.replace(web, id=name, workloads=(workload,)))
            assert await agent.hear() == {"ready": True}
            agent.say(bye=True)
            assert await agent.hear() is None

    async with asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(live(number))
    assert sum(each[0] == "leave" for each in api.told) == 100


async def test_an_agent_tells_what_its_program_has_not_called_for_long(api: Any, web: Proxy) -> None:
    async with api.agent("web-3fa2c1") as agent:
        await registered(agent, web)
        agent.say(idle=["outbound|80||b.default.svc.cluster.local"])
        await api.until("idles", "web-3fa2c1", "outbound|80||b.default.svc.cluster.local")


async def test_an_agent_is_told_what_to_trust_and_to_renew_and_says_what_it_holds(api: Any, web: Proxy) -> None:
    async with api.agent(web.id) as agent:
        agent.say(proxy=web)
        [trust] = [(await agent.hear_trust())["trust"]]
        status, ca = await api.ask("GET", "/v1/ca")
        assert status == 200
        [root] = ca["roots"]
        assert trust["bundle"].count("BEGIN CERTIFICATE") == 1 and trust["crl"] == ""
        agent.say(holds={"trust": trust["version"], "root": "another root"})
        asked = await agent.hear_trust()
        assert asked["renew"] and asked["within"] >= 0
        agent.say(holds={"trust": trust["version"], "root": root["id"]})
        assert (await api.ask("POST", "/v1/ca/rotate"))[0] == 200
        both = (await agent.hear_trust())["trust"]
        assert both["bundle"].startswith(trust["bundle"]) and both["bundle"].count("BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize("line", [b'{"holds": {"trust": 1, "root": ""}}\n', b'{"holds": {"trust": "x"}}\n'])
async def test_what_an_agent_holds_must_be_said_as_it_should(api: Any, web: Proxy, line: bytes) -> None:
    async with api.agent(web.id) as agent:
        agent.say(proxy=web)
        assert await agent.hear() == {"registered": True}
        agent.send(line)
        assert "no report" in (await agent.hear())["error"]
