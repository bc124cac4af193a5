"""`tulle explain`: what a field is, in the terminal."""

from __future__ import annotations

from typing import Any


async def test_a_kind_is_explained_field_by_field(alone: Any) -> None:
    ended = await alone("explain", "vs")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(
        "KIND:     VirtualService\nVERSION:  networking.istio.io/v1\n\nDESCRIPTION:\n    Where the "
    )
    assert "\nFIELDS:\n  hosts <string[]>\n    The hosts that are called" in ended.out
    assert "\n  http <HTTPRoute[]>\n" in ended.out


async def test_a_kind_of_security_is_explained_by_any_of_its_names(alone: Any) -> None:
    for names in (("pa", "PeerAuthentications"), ("ra", "requestauthentication"), ("ap", "authorizationpolicies")):
        [text] = {(await alone("explain", name)).out for name in names}
        assert "\nVERSION:  security.istio.io/v1\n" in text
    assert "  serviceAccounts <string[]>" in (await alone("explain", "ap.rules.from.source")).out


async def test_a_field_is_found_by_its_way(alone: Any) -> None:
    texts = set()
    for way in ("VirtualService.spec.http.retries", "virtualservices.http.retries", "vs.http[].retries"):
        texts.add((await alone("explain", way)).out)
    [text] = texts
    assert "FIELD:    spec.http.retries <HTTPRetry>" in text
    assert "  attempts <int32>\n    How often a call is made again, at most. 0: never.\n" in text


async def test_a_field_is_found_by_its_original_name(alone: Any) -> None:
    ended = await alone("explain", "vs.http.mirror_percent")
    assert ended.code == 0 and "FIELD:    spec.http.mirrorPercent <uint32>" in ended.out


async def test_values_and_what_is_not_supported_are_told(alone: Any) -> None:
    out = (await alone("explain", "dr.trafficPolicy.tls")).out
    assert "    One of: DISABLE, SIMPLE, MUTUAL, ISTIO_MUTUAL.\n" in out
    out = (await alone("explain", "meshconfig.enablePrometheusMerge")).out
    assert "VERSION:  mesh.istio.io/v1alpha1\n" in out
    assert out.endswith(
        "    Not supported: agents give out figures and the control plane collects them: leave it out.\n"
    )


async def test_all_that_is_below_is_shown_when_asked_for(alone: Any) -> None:
    out = (await alone("explain", "dr.subsets", "--recursive")).out
    assert "\n  trafficPolicy <TrafficPolicy>\n    loadBalancer <LoadBalancerSettings>\n      simple <string>\n" in out
    below = (await alone("explain", "dr", "--recursive", "-o", "json")).json
    [subsets] = [field for field in below["fields"] if field["name"] == "subsets"]
    assert [field["name"] for field in subsets["fields"]] == ["name", "labels", "trafficPolicy"]


async def test_programs_get_the_schema_as_json(alone: Any) -> None:
    found = (await alone("explain", "dr.trafficPolicy.loadBalancer.simple", "-o", "json")).json
    assert (found["kind"], found["name"], found["type"]) == (
        "DestinationRule",
        "spec.trafficPolicy.loadBalancer.simple",
        "string",
    )
    assert "LEAST_REQUEST" in found["values"] and "fields" not in found


async def test_a_wrong_name_is_answered_with_the_nearest(alone: Any) -> None:
    ended = await alone("explain", "virtualservce")
    assert ended.code == 2 and "did you mean virtualservice" in ended.err
    ended = await alone("explain", "vs.http.timeot")
    assert ended.code == 2
    assert "there is no field 'timeot' in VirtualService.spec.http; did you mean timeout?" in ended.err
    ended = await alone("explain", "vs.hosts.a")
    assert "there is no field 'a' in VirtualService.spec.hosts; it has none" in ended.err
