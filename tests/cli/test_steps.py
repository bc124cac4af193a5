"""What happened to a request, as `tulle why` tells it: the steps of a trace, and where it went wrong first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tulle.api.call_views import CalledView
from tulle.api.trace_views import EventView, SpanView, TraceView
from tulle.cli.happened import happened
from tulle.cli.steps import cause, shown, steps, why_failed

TRACE = "ab" * 16
HOST = "svc.cluster.local:80"


def span(id: str, parent: str | None, of: str, kind: str, start: float, **about: Any) -> SpanView:
    attributes = {
        "http.method": "GET",
        "http.url": "http://b/items?key=1",
        "http.status_code": about.pop("status", "200"),
        "guid:x-request-id": "id-1",
        "response_flags": about.pop("flags", ""),
        **about.pop("more", {}),
    }
    name = about.pop("name", "GET")
    failed = attributes["http.status_code"] >= "500" or about.pop("error", False)
    scope, events = about.pop("scope", "envoy"), about.pop("events", [])
    milliseconds = about.pop("ms", 5.0)
    assert not about
    return SpanView(
        *(id, parent, f"{of}.default", f"{of}-1", name, kind, start, milliseconds, failed, attributes, events, scope)
    )


def out(id: str, parent: str | None, of: str, to: str, start: float, **about: Any) -> SpanView:
    return span(id, parent, of, "client", start, name=f"GET {to}.default.{HOST}", **about)


def into(id: str, parent: str | None, of: str, start: float, **about: Any) -> SpanView:
    return span(id, parent, of, "server", start, **about)


def text(spans: Sequence[SpanView], told: Sequence[CalledView] = ()) -> str:
    return click.unstyle("\n".join(happened(told, TraceView(TRACE, list(spans)) if spans else None)))


CHAIN = [
    out("1", None, "a", "b", 10.0, ms=9.0),
    into("2", "1", "b", 10.001, ms=8.0, more={"peer.identity": "spiffe://cluster.local/ns/default/sa/a"}),
    span("3", "2", "b", "server", 10.002, scope="opentelemetry.flask"),
    out("4", "3", "b", "c", 10.003),
    into("5", "4", "c", 10.004, ms=1.0),
]


def test_both_ends_of_a_call_are_one_step_and_what_it_brought_about_is_beneath_it() -> None:
    made = [shown(step) for step in steps(CHAIN[::-1])]
    assert [(one.depth, one.source, one.destination) for one in made] == [
        (0, "default/a", "default/b"),
        (1, "default/b", "default/c"),
    ]
    assert (made[0].instances, made[0].duration_ms, made[0].there_ms, made[0].result) == (["b-1"], 9.0, 8.0, "200")
    assert cause(steps(CHAIN), CHAIN) is None
    said = text(CHAIN)
    assert "2 calls, 9.0ms" in said
    assert "\na -> b  GET /items  200  9.0ms" in said and "by b-1, 8.0ms of it there" in said
    assert "\n  b -> c  GET /items  200" in said
    assert "key=1" not in said and "failed" not in said


def test_a_failure_is_told_where_it_began() -> None:
    broken = [
        out("1", None, "a", "b", 10.0, status="500"),
        into("2", "1", "b", 10.1, status="500"),
        out("3", "2", "b", "c", 10.2, status="503", flags="UF"),
        out("4", "2", "b", "d", 10.3),
    ]
    found = cause(steps(broken), broken)
    assert found and shown(found).destination == "default/c"
    assert why_failed(found) == ("it came to no sidecar of default/c", "UF")
    said = text(broken)
    assert "it failed first at default/b -> default/c: 503 UF; it came to no sidecar of default/c" in said
    assert "flag      UF: the server could not be connected to" in said


def test_who_answered_so_is_told() -> None:
    def why(status: str, flags: str, of_server: str, flags_of_server: str) -> tuple[str, str]:
        made = [
            out("1", None, "a", "b", 1.0, status=status, flags=flags),
            into("2", "1", "b", 1.1, status=of_server, flags=flags_of_server),
        ]
        (step,) = steps(made)
        return why_failed(step)

    assert why("500", "", "500", "") == ("the program of b-1 answered so", "")
    assert why("504", "UT", "200", "") == ("b-1 answered, and its caller did not get that", "UT")
    assert why("503", "", "503", "UF") == ("the sidecar of b-1 answered for its program", "UF")


def test_tries_are_told_one_by_one_with_those_that_came_to_nobody() -> None:
    tried = [
        out("1", None, "a", "b", 10.0, more={"attempts": "3"}),
        into("2", "1", "b", 10.1, status="503"),
        into("3", "1", "b", 10.2),
    ]
    (step,) = steps(tried)
    assert (shown(step).tries, shown(step).instances, step.has_failed) == (3, ["b-1", "b-1"], False)
    said = text(tried)
    assert "  3 tries\n    at b-1: 503, 5.0ms\n    at b-1: 200, 5.0ms\n    1 came to no sidecar" in said


def test_a_caller_without_a_sidecar_is_whom_it_proved_to_be_or_somebody() -> None:
    proved = {"peer.identity": "spiffe://cluster.local/ns/shop/sa/web"}
    made = steps([into("1", "gone", "b", 1.0, more=proved), into("2", None, "b", 2.0)])
    assert [shown(step).source for step in made] == ["shop/web", "somebody"]


def test_what_went_nowhere_is_told_by_its_host() -> None:
    (step,) = steps([span("1", None, "a", "client", 1.0, status="503")])
    assert shown(step).destination == "b"


def test_spans_in_a_circle_end() -> None:
    assert len(steps([out("1", "2", "a", "b", 1.0), out("2", "1", "a", "b", 2.0)])) == 2


def test_what_a_program_says_of_its_failure_is_told_on_one_line() -> None:
    event = EventView(1.0, "exception", {"exception.type": "ValueError", "exception.message": "no\n\x1b[31msuch"})
    failed = span("9", "2", "b", "internal", 11.0, name="pay", scope="flask", status="", error=True, events=[event])
    assert "in the program of default/b: pay: ValueError: no  [31msuch" in text([*CHAIN, failed])


def call(side: str, proxy: str, **about: Any) -> CalledView:
    fields: dict[str, Any] = {
        **dict.fromkeys(CalledView.__struct_fields__, ""),
        **dict.fromkeys(("duration_ms", "sent", "received", "attempts", "lost"), 0),
        "time": 10.0,
        "side": side,
        "proxy": proxy,
        "status": 503,
        "mtls": True,
        "request_id": "id-1",
        "source": "default/a",
        "destination": "default/b",
        "method": "GET",
        "path": "/items",
    }
    return CalledView(**(fields | about))


def test_what_sidecars_told_stands_at_the_step_that_it_is_about() -> None:
    broken = [
        out("1", None, "a", "b", 10.0, status="503", flags="UF"),
        out("2", None, "a", "b", 20.0),
        into("3", "2", "b", 20.1),
    ]
    told = [
        call("source", "a-1", flags="UF", details="upstream_reset_before_response_started"),
        call("destination", "b-1", details="via_upstream"),
    ]
    said = text(broken, told)
    first, second = said.index("a -> b  GET /items  503 UF"), said.index("a -> b  GET /items  200")
    assert first < said.index("seen by   the caller's sidecar, a-1") < second
    assert said.count("flag      UF") == 1
    assert "the server's sidecar" not in said  # it says nothing that the step does not
    assert "seen by   the server's sidecar, b-1" in text((), told)


def test_what_sidecars_told_of_no_step_is_told_before() -> None:
    said = text(CHAIN, [call("source", "z-9", request_id="other", details="route_not_found")])
    assert said.index("no route of the sidecar fits it") < said.index("trace ab")
