"""The page on the data plane and what Envoy is sent say the same: headers, answers, defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tulle.agent import credentials, health, session
from tulle.agent.api import Enrolment
from tulle.agent.idle import IDLE_SECONDS
from tulle.config import Settings
from tulle.pipeline.allowance import BURST, PER_SECOND
from tulle.pipeline.demands import KEPT_STRANGERS, MOST_SERVICES, MOST_STRANGERS, STRANGER_SECONDS
from tulle.pipeline.eviction import KEPT_SERVICES
from tulle.registry.registry import Registry
from tulle.translate import http_routes, names

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reference" / "data-plane.md").read_text()


def section(heading: str) -> str:
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", TEXT, re.M | re.S)
    assert found, f"there is no section {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    lines = re.findall(r"^\| (.*) \|$(?!\n\| ---)", text, re.M)
    return [line.split(" | ") for line in lines if not line.startswith("---")]


def resources() -> list[dict[str, Any]]:
    """All that the golden cases send."""
    texts = [path.read_text() for path in (ROOT / "tests" / "golden").glob("*/envoy.yaml")]
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = [row["resource"] for text in texts for row in yaml.load(text, loader) if row["resource"]]
    return [resource for resource in found if not resource.get("name", "").endswith("/_init")]


def below(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield str(key), inner
        yield from below(inner)


ALL = resources()


def test_every_header_of_ours_is_told() -> None:
    told = set(re.findall(r"`(x-[\w-]+)`", section("Headers")))
    assert {names.EXPLAIN_HEADER, names.PEER_HEADER, names.NOT_SERVED_HEADER} <= told
    sources = "".join(path.read_text() for path in (ROOT / "src/tulle/translate").rglob("*.py"))
    assert set(re.findall(r"x-tulle-[\w-]+", sources)) == {name for name in told if name.startswith("x-tulle-")}


def errors() -> dict[str, set[int]]:
    """Every text that a sidecar answers by itself, and its status where that is fixed."""
    found: dict[str, set[int]] = {}
    for key, value in below(ALL):
        if key == "direct_response" and value["status"] != 200:  # that is the canary's
            body = json.loads(value["body"]["inline_string"])
            assert body["code"] == value["status"]
            found.setdefault(body["error"], set()).add(value["status"])
        elif key == "mappers":
            for mapper in (each for each in value if "body_format_override" in each):
                error = mapper["body_format_override"]["json_format"]["error"]
                statuses = {mapper["status_code"]} if "status_code" in mapper else set()
                found.setdefault(error, set()).update(statuses)
    return found


def test_every_answer_of_a_sidecar_is_told_and_no_other() -> None:
    told = {row[1].strip("`"): int(row[0]) for row in rows(section("Answers of the sidecar itself"))}
    forms = {
        text: re.compile(re.sub(r"[A-Z]{4,}", ".+", re.escape(text).replace("CONNECT", "connect"))) for text in told
    }
    used = set()
    for error, statuses in errors().items():
        matching = [text for text, form in forms.items() if form.fullmatch(error.replace("CONNECT", "connect"))]
        assert len(matching) == 1, error
        assert statuses <= {told[matching[0]]}, error
        used |= set(matching)
    # These come of what no golden case sends: an Envoy that rejects something, a VirtualService without a last resort.
    assert set(told) - used == {"this sidecar rejected the configuration of NAME: REASON", http_routes._NO_ROUTE}
    source = (ROOT / "src" / "tulle" / "resolve" / "outbound.py").read_text()
    assert "this sidecar rejected the configuration of {" in source


def of(kind: str, start: str) -> list[dict[str, Any]]:
    found = [r for r in ALL if r["@type"].endswith(f".{kind}") and r["name"].startswith(start)]
    assert found
    return found


def proves(resource: dict[str, Any]) -> bool:
    """Whether ids of the mesh are proved there, as opposed to the names of hosts outside."""
    return "spiffe://" in str(resource)


@pytest.mark.parametrize(
    ("heading", "shown"),
    [
        ("Calls", of("VirtualHost", "outbound.")),
        ("Between sidecars", [r for r in of("Cluster", "outbound|") if "transport_socket" in r and proves(r)]),
        ("To the program", of("Cluster", "inbound|")),
        ("Outside the mesh", of("Cluster", "passthrough")),
        ("The first call to a host", of("Listener", "outbound.")),
    ],
)
def test_every_default_is_what_envoy_is_sent(heading: str, shown: list[dict[str, Any]]) -> None:
    for what, value, field in rows(section(heading)):
        if field:
            sent = {str(inner) for key, inner in below(shown) if key == field.strip("`")}
            assert sent == {value.strip("`")}, what


def test_tls_is_the_same_at_least_and_at_most() -> None:
    inside = [resource for resource in ALL if proves(resource)]
    versions = {value for key, value in below(inside) if re.fullmatch(r"tls_(min|max)imum_protocol_version", key)}
    assert versions == {"TLSv1_3"}


def test_bounds_and_clocks_are_those_of_the_code() -> None:
    assert f"at most {MOST_SERVICES:,} services and {MOST_STRANGERS:,} other" in section(
        "Answers of the sidecar itself"
    )
    told = {row[0]: row[1] for row in rows(section("Clocks and bounds"))}
    settings = Settings(Path("/"))
    grace = (Registry.__init__.__defaults__ or ())[-1]
    enrolment = Enrolment("", "", "", 0, 100, {}, "", "", "")
    early, late = (credentials.renewal_after(enrolment, chance) for chance in (1, 0))
    assert told == {
        "an agent reports every": f"{session._BEAT_SECONDS:g} s",
        "an agent that is silent is taken out after": f"{settings.lease:g} s",
        "one whose connection ends without a word": f"{grace:g} s",
        "the program is asked whether it is well every": (
            f"{health._OFTEN_SECONDS:g} s until it is, for at most {health._LATE_SECONDS:g} s; "
            f"then {health._SELDOM_SECONDS:g} s"
        ),
        "it has to answer within": f"{health._TIMEOUT_SECONDS:g} s",
        "it is unhealthy after": f"1 refused connection, or {health._FAILURES} failures of another kind in a row",
        "services that one sidecar holds, at most": f"{MOST_SERVICES:,}",
        "other names that it was asked for, at most": f"{MOST_STRANGERS:,}",
        "unknown names that it may ask for": f"{BURST:g} at once, then {PER_SECOND:g} a second",
        "unknown names are forgotten": (
            f"after {STRANGER_SECONDS / 60:g} min, the oldest when they are more than {KEPT_STRANGERS}"
        ),
        "services are let go of": (
            f"after {IDLE_SECONDS / 3600:g} h without a call, if the sidecar holds more than {KEPT_SERVICES}"
        ),
        "a certificate lives": (
            f"{settings.cert_ttl / 3600:g} h, and is renewed between {early:g} and {late:g} % of that"
        ),
    }
