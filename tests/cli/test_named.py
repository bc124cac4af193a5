"""Services whose names are mistyped: what may have been meant, in each command about calls."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.api.views import ServiceView
from tulle.cli.named import missing, service_id


def service(namespace: str, name: str) -> ServiceView:
    return ServiceView(name, namespace, "", [], [], 0)


THERE = [service("default", "checkout"), service("shop", "web"), service("", "api.example.com")]


def test_a_name_is_of_the_namespace_that_is_said_and_a_host_of_none() -> None:
    assert [service_id(text, "shop") for text in ("web", "a/web", "api.example.com")] == [
        "shop/web",
        "a/web",
        "api.example.com",
    ]
    assert service_id("web", None) == "default/web"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("default/checkout", ""),
        ("api.example.com", ""),
        ("default/chekout", "there is no service default/chekout; did you mean checkout?"),
        ("default/web", "there is no service default/web; did you mean shop/web?"),
        ("api.exmple.com", "there is no service api.exmple.com; did you mean api.example.com?"),
        ("default/zzz", "there is no service default/zzz; `tulle services` lists them"),
    ],
)
def test_what_may_have_been_meant_is_said(wanted: str, said: str) -> None:
    assert missing(THERE, wanted) == said


@pytest.mark.parametrize(
    "words", [("stat", "services"), ("top", "services"), ("edges",), ("routes",), ("trace", "ls", "--service")]
)
async def test_a_service_that_there_is_not_is_said_and_one_without_calls_is_none_such(
    tulle: Any, words: tuple[str, ...]
) -> None:
    done = await tulle(*words, "wep")
    assert (done.code, done.out) == (1, "")
    assert "there is no service default/wep; did you mean web?" in done.err and "Usage" not in done.err
    assert (await tulle(*words, "web")).code == 0
