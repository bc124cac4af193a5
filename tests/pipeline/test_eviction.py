"""What a sidecar is relieved of, and that whoever calls it afterwards is served as at first."""

from __future__ import annotations

from collections.abc import Iterator
from operator import le

import pytest

from envoy_like import EnvoyLike
from golden import known_services
from test_hub import TO_B, A, B, host, hub_of, instance
from tulle.model.names import Destination, ServiceName
from tulle.model.snapshot import Snapshot
from tulle.pipeline.allowance import BURST, PER_SECOND
from tulle.pipeline.demands import KEPT_STRANGERS, STRANGER_SECONDS
from tulle.pipeline.eviction import KEPT_SERVICES, PAUSE_SECONDS
from tulle.pipeline.hub import Hub
from tulle.xds.resources import CDS, EDS, RDS, VHDS

MANY = [ServiceName("default", f"svc-{n}") for n in range(KEPT_SERVICES)]


@pytest.fixture
def hub() -> Hub:
    return hub_of(instance("a1", A, None), instance("b1", B), *(instance(f"{s.name}-1", s) for s in MANY))


@pytest.fixture
def envoy(hub: Hub) -> EnvoyLike:
    return EnvoyLike(hub, "a1").settle()


def call(envoy: EnvoyLike, *authorities: str) -> list[str]:
    """Which of them it asked for."""
    asked = envoy.call(*authorities)
    envoy.settle()
    return asked


def later(envoy: EnvoyLike, seconds: float) -> None:
    """Time goes by, and the control plane looks."""
    envoy.now += seconds
    envoy.hub.evict(envoy.now)
    envoy.settle()


def strangers(envoy: EnvoyLike) -> list[str]:
    return [name for name in envoy.held[VHDS] if "stranger" in name]


def test_a_stranger_is_forgotten_after_a_while_and_asked_for_again(envoy: EnvoyLike) -> None:
    call(envoy, "stranger-1", "service-b")
    later(envoy, STRANGER_SECONDS - 1)
    assert strangers(envoy)
    assert call(envoy, "stranger-1", "service-b") == []
    envoy.sent.clear()
    later(envoy, 1)
    assert envoy.sent == [(RDS, "outbound.a1"), (VHDS, f"-{host('stranger-1')}")]
    assert (envoy.view.strangers, envoy.view.destinations, envoy.view.ready) == (0, 1, True)
    assert call(envoy, "service-b") == [], "what is needed stays"
    assert call(envoy, "stranger-1") == ["stranger-1"]
    assert strangers(envoy) == [host("stranger-1")]


def test_of_too_many_strangers_the_oldest_go(envoy: EnvoyLike) -> None:
    for n in range(KEPT_STRANGERS + 10):
        envoy.now += 1
        call(envoy, f"stranger-{n}")
    later(envoy, 0)
    kept = {host(f"stranger-{n}") for n in range(KEPT_STRANGERS // 2 + 10, KEPT_STRANGERS + 10)}
    assert set(strangers(envoy)) == kept
    assert envoy.view.strangers == len(kept)


def test_the_next_one_waits_for_a_minute(envoy: EnvoyLike) -> None:
    call(envoy, "-bad-")
    later(envoy, 1)
    call(envoy, "-bad-too-")
    later(envoy, PAUSE_SECONDS - 1)
    assert envoy.view.strangers == 1
    later(envoy, 1)
    assert envoy.view.strangers == 0


def test_a_week_of_strangers_leaves_what_an_hour_leaves(envoy: EnvoyLike) -> None:
    def held() -> tuple[int, ...]:
        view, session = envoy.view, envoy.view.session
        subscription = session._state.subscription(VHDS)
        return (
            len(subscription.held),
            len(subscription.names),
            len(subscription.aliases),
            len(list(session.wanted)),
            len(view._reaching.holdings._users),
            len(list(view._reaching.holdings)),
            view.destinations,
            view.strangers,
            len(envoy.held[VHDS]),
            len(envoy.asked),
        )

    def hour(number: int) -> tuple[int, ...]:
        """Two new strangers a minute, as many that can be no names, and once a day somebody scans."""
        most: tuple[int, ...] = (0,) * 10
        for minute in range(0, 60, 10):
            scanned = 400 if number % 24 == 0 and minute == 0 else 8
            call(envoy, "service-b", *(f"{'-' * (n % 2)}stranger-{number}-{minute}-{n}" for n in range(scanned)))
            most = tuple(map(max, most, held()))
            later(envoy, 600)
        return most

    first = hour(0)
    assert max(first) < 500
    for number in range(1, 7 * 24):
        assert all(map(le, hour(number), first))


def test_a_name_that_is_asked_for_while_it_goes_stays(envoy: EnvoyLike) -> None:
    call(envoy, "stranger-1")
    envoy.now += STRANGER_SECONDS
    envoy.hub.evict(envoy.now)
    envoy.ask("stranger-1.default")
    envoy.settle()
    assert strangers(envoy) == [host("stranger-1")]


def test_a_stranger_that_becomes_a_service_while_it_goes_is_asked_for_again(envoy: EnvoyLike, hub: Hub) -> None:
    call(envoy, "service-n")
    envoy.now += STRANGER_SECONDS
    hub.evict(envoy.now)
    new = instance("n1", ServiceName("default", "service-n"))
    hub.apply(Snapshot(7, {"n1": new}, known_services([new])))
    envoy.settle()
    call(envoy, "service-n")
    assert "outbound|80||service-n" in str(envoy.bodies[VHDS, host("service-n")])
    assert host("service-n") in envoy.held[VHDS]


def test_a_service_that_is_forgotten_becomes_a_stranger(envoy: EnvoyLike, hub: Hub) -> None:
    call(envoy, "service-b")
    hub.apply(Snapshot(7, {"b1": None}, {B: None}))
    envoy.settle()
    later(envoy, 1)
    assert envoy.view.strangers == 1
    later(envoy, STRANGER_SECONDS)
    assert envoy.view.destinations == 0


def many(envoy: EnvoyLike) -> Iterator[str]:
    yield from (f"outbound|80||{service.host}" for service in MANY)


def test_an_idle_service_is_taken_away_from_a_sidecar_that_holds_many(envoy: EnvoyLike, hub: Hub) -> None:
    call(envoy, "service-b", *(service.name for service in MANY))
    envoy.sent.clear()
    hub.idles("a1", [TO_B])
    later(envoy, 1)
    gone = [(VHDS, f"-{host('service-b')}"), (EDS, f"-{TO_B}"), (CDS, f"-{TO_B}")]
    assert envoy.sent == [(RDS, "outbound.a1"), *gone]
    assert not hub.holders(B)
    assert envoy.view.ready
    envoy.sent.clear()
    assert call(envoy, "service-b") == ["service-b"]
    assert envoy.sent == [(CDS, TO_B), (EDS, TO_B), (VHDS, host("service-b"))]
    assert hub.holders(B)


def test_few_services_stay_however_idle(envoy: EnvoyLike, hub: Hub) -> None:
    call(envoy, *(service.name for service in MANY))
    hub.idles("a1", list(many(envoy)))
    later(envoy, 1)
    assert envoy.view.destinations == len(MANY)


def test_an_idle_service_is_remembered(hub: Hub) -> None:
    """By the service that called it: its next instance, and this one when it connects anew, begin with it."""
    hub.apply(Snapshot(2, callees={A: (Destination(B, 80),)}))
    envoy = EnvoyLike(hub, "a1").settle()
    call(envoy, *(service.name for service in MANY))
    hub.idles("a1", [TO_B])
    later(envoy, 1)
    assert host("service-b") not in envoy.held[VHDS]
    assert host("service-b") in EnvoyLike(hub, "a1").settle().held[VHDS]


def test_a_sidecar_that_connects_anew_after_an_eviction_is_sent_nothing(hub: Hub, envoy: EnvoyLike) -> None:
    call(envoy, "service-b", "stranger-1")
    later(envoy, STRANGER_SECONDS)
    hub.disconnect(envoy.view)
    again = EnvoyLike(hub, "a1", held=envoy.held)
    for kind, names in ((EDS, [TO_B]), (RDS, ["outbound.a1"]), (VHDS, ["*"])):
        again._start(kind, *names)
    assert not [name for _, name in again.settle().sent if name != host("service-b")]
    assert again.view.ready


def test_whoever_scans_names_is_refused_and_the_services_it_calls_are_not(envoy: EnvoyLike) -> None:
    call(envoy, *(f"stranger-{n}" for n in range(int(BURST) + 50)))
    assert envoy.view.allowance.refused == 50
    assert len([body for (kind, _), body in envoy.bodies.items() if kind == VHDS and body is None]) == 50
    call(envoy, "service-b", *(service.name for service in MANY))
    assert envoy.view.allowance.refused == 50
    assert host("service-b") in envoy.held[VHDS]
    envoy.now += 2
    call(envoy, *(f"late-stranger-{n}" for n in range(50)))
    assert envoy.view.allowance.refused == 100 - 2 * PER_SECOND


def test_a_refused_name_may_be_asked_for_again_after_the_next_eviction(envoy: EnvoyLike, hub: Hub) -> None:
    call(envoy, *(f"stranger-{n}" for n in range(int(BURST))), "service-n")
    new = instance("n1", ServiceName("default", "service-n"))
    hub.apply(Snapshot(7, {"n1": new}, known_services([new])))
    envoy.settle()
    later(envoy, 1)
    assert call(envoy, "service-n") == ["service-n"]
    assert host("service-n") in envoy.held[VHDS]


def test_wrong_ports_of_a_service_are_strangers(envoy: EnvoyLike) -> None:
    call(envoy, *(f"service-b:{port}" for port in range(1000, 1000 + int(BURST) + 5)))
    assert envoy.view.allowance.refused == 5
    later(envoy, STRANGER_SECONDS)
    assert envoy.view.destinations == 0
