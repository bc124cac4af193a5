"""An instance that is to be called in plain text, or no longer: in which order its door and its callers are told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from envoy_like import EnvoyLike
from tulle.model.names import ServiceName
from tulle.model.resources.peer_authentication import PeerAuthentication
from tulle.model.resources.resource import Ref, Resource
from tulle.model.snapshot import Snapshot
from tulle.model.workload import Health, Proxy, ServicePort, Workload
from tulle.pipeline.hub import Hub
from tulle.pipeline.turning import MOST_BEATS
from tulle.pipeline.view import View
from tulle.translate import names
from tulle.xds.resources import EDS, LDS

REF = Ref("PeerAuthentication", "default", "default")
PORTS = (ServicePort(80, 8080),)
DOOR = (LDS, names.inbound_listener("web-1"))
ENDPOINTS = (EDS, "outbound|80||web.default.svc.cluster.local")


def proxy(service: str, number: int = 1) -> Proxy:
    id = f"{service}-{number}"
    workload = Workload(id, ServiceName("default", service), service, ports=PORTS, health=Health.HEALTHY)
    return Proxy(id, "127.0.0.1", 20001, 20002, (workload,))


class Two:
    """A server and its caller."""

    def __init__(self) -> None:
        self.hub, self.revision = Hub(), 1
        self.hub.apply(Snapshot(1, proxies={f"{name}-1": proxy(name) for name in ("web", "caller")}))
        self.server, self.caller = (EnvoyLike(self.hub, name).settle() for name in ("web-1", "caller-1"))
        self.caller.ask("web")
        self.caller.settle()

    def say(self, mode: str) -> None:
        self.revision += 1
        spec = msgspec.convert({"mtls": {"mode": mode}}, type=PeerAuthentication)
        self.hub.apply(Snapshot(self.revision, resources={REF: Resource(REF, spec)}))

    def beat(self, times: int = 1) -> None:
        for _ in range(times):
            self.hub.beat()

    @property
    def is_called_in_plain_text(self) -> bool:
        return "envoy.transport_socket_match" in str(self.caller.bodies[ENDPOINTS])

    @property
    def is_open(self) -> bool:
        return "raw_buffer" in str(self.server.bodies[DOOR])

    def settle(self) -> None:
        self.server.settle()
        self.caller.settle()


@pytest.fixture
def two() -> Two:
    return Two()


def in_force(two: Two) -> Any:
    (view,) = two.hub.views["web-1"]
    return view.in_force()[str(REF)].acknowledged


def test_callers_wait_until_the_door_is_open(two: Two) -> None:
    two.say("DISABLE")
    two.beat(MOST_BEATS)
    two.caller.settle()
    assert not two.is_called_in_plain_text  # the server has acknowledged nothing
    two.server.settle()
    two.beat()
    two.caller.settle()
    assert two.is_open and not two.is_called_in_plain_text  # its threads may not have taken the door up
    two.beat()
    two.settle()
    assert two.is_called_in_plain_text


def turn_to_plain_text(two: Two) -> None:
    two.say("DISABLE")
    two.settle()
    two.beat(2)
    two.settle()
    assert two.is_called_in_plain_text and two.is_open


def test_the_door_waits_until_callers_know(two: Two) -> None:
    turn_to_plain_text(two)
    two.say("STRICT")
    two.server.settle()
    two.beat(3)
    two.server.settle()
    assert two.is_open and not in_force(two)  # the caller has acknowledged nothing
    two.settle()
    assert not two.is_called_in_plain_text
    two.beat(2)
    two.settle()
    assert not two.is_open and in_force(two)


def test_a_caller_that_acknowledges_nothing_holds_no_door_open(two: Two) -> None:
    turn_to_plain_text(two)
    two.say("STRICT")
    two.server.settle()
    two.beat(MOST_BEATS)
    two.server.settle()
    assert not two.is_open


def test_what_nobody_was_told_is_undone_at_once(two: Two) -> None:
    two.say("DISABLE")
    two.server.settle()
    assert two.is_open
    two.say("STRICT")
    two.settle()
    assert not two.is_open


def test_permissive_to_strict_waits_for_nobody(two: Two) -> None:
    two.say("PERMISSIVE")
    two.settle()
    two.say("STRICT")
    two.settle()
    assert not two.is_open


def test_back_and_forth_ends_where_it_was_said(two: Two) -> None:
    turn_to_plain_text(two)
    two.say("STRICT")
    two.settle()
    two.say("DISABLE")
    two.settle()
    assert two.is_called_in_plain_text and two.is_open
    two.beat(MOST_BEATS + 1)
    two.settle()
    assert two.is_called_in_plain_text and two.is_open and not two.hub.mesh.closing


def test_a_caller_is_looked_at_once_for_all_instances(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    two.hub.apply(Snapshot(2, proxies={f"web-{n}": proxy("web", n) for n in range(2, 6)}))
    two.say("DISABLE")
    for n in range(2, 6):
        EnvoyLike(two.hub, f"web-{n}").settle()
    turn_to_plain_text(two)
    two.say("STRICT")
    assert len(two.hub.mesh.closing) > 4
    asked: list[ServiceName] = []
    told = View.told

    def count(view: View, service: ServiceName) -> bool:
        asked.append(service)
        return told(view, service)

    monkeypatch.setattr(View, "told", count)
    two.beat()
    assert asked == [ServiceName("default", "web")]


def test_of_an_instance_that_is_gone_nothing_is_left(two: Two) -> None:
    turn_to_plain_text(two)
    two.say("STRICT")
    two.hub.apply(Snapshot(9, proxies={"web-1": None}))
    two.beat()
    assert not {"web-1"} & {proxy for proxy, _ in (*two.hub.mesh.closing, *two.hub.mesh.opening)}
