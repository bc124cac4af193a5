"""The dashboard as people use it: a real Chromium, a real mesh, calls all the time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as NotThere

from browsing import AXE, CHROMIUM, browsing
from running import Mesh, wait_for
from shop import Shop

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium; Debian's package is called so")

# What is there once a page shows what is true of this mesh.
PAGES = {
    "overview": "[data-tiles] .value:has-text('ms')",
    "graph": "[data-edge='shop/checkout>shop/payments']",
    "graph?sel=shop/checkout": "aside .plot canvas",
    "graph?sel=shop/checkout>shop/payments": "aside code:has-text('spiffe://cluster.local/ns/shop/sa/payments')",
    "graph?view=list&find=err>1%25": "[data-row='shop/checkout>shop/payments']",
    "services": "[data-row='shop/crawler'] td:has-text('1 running')",
    "service/shop/checkout": "[data-row='shop/web>shop/checkout']",
    "service/shop/crawler": ".tile:has-text('1 running')",
    "service/shop/checkout?tab=instances": "td:has-text('v2')",
    "service/shop/checkout?tab=routes": "[data-table=routes] tbody tr",
    "service/shop/payments?tab=policies": ".policies :text('shop/sa/checkout')",
    "service/shop/checkout?tab=config": "[data-row='VirtualService/shop/checkout']",
    "service/shop/checkout?tab=events": "[data-table=events] :text('created VirtualService shop/checkout')",
    "workload/shop/checkout-v1": "[data-table=proxies] tbody tr",
    "workload/shop/checkout-v1?tab=config": ".resources code",
    "traces?min=10": "[data-table=traces] tbody tr:nth-child(2) a",
    "tap": "[data-table=calls] tbody tr:nth-child(3)",
    "config": "[data-row='VirtualService/shop/catalog'] .badge",
    "config?kind=VirtualService": ".wrong li:has-text('catalogue')",
    "resource/VirtualService/shop/catalog": ".line.error",
    "resource/VirtualService/shop/catalog?tab=status": ".wrong li:has-text('catalogue')",
    "resource/VirtualService/shop/catalog?tab=history": ".history .plus",
    "resource/VirtualService/shop/checkout?tab=edit": "textarea",
    "policy?from=shop/web&to=shop/payments": ".verdict .badge.bad",
    "proxies": "[data-table=proxies] tbody tr:nth-child(7) :text('left')",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Mesh(tmp_path_factory.mktemp("shop")) as mesh:
        opened = Shop(mesh)
        opened.open()
        yield opened


def test_every_page_shows_the_mesh_without_an_error_in_both_themes_and_on_a_phone(shop: Shop) -> None:
    flaws: dict[str, list[str]] = {}
    wide: dict[str, int] = {}
    with browsing() as browser:
        browser.sign_in(shop.link())
        proxy = shop.mesh.proxies()[0]["id"]
        traces = shop.traces()
        more = {
            f"proxy/{proxy}?part=clusters": ".resources code",
            f"trace/{traces[0]}?critical=1": ".waterfall li:nth-child(4)",
        }
        for address, at in {**PAGES, **more}.items():
            for theme in ("light", "dark"):
                browser.page.emulate_media(color_scheme=theme)
                browser.look(address, at)
                if AXE.exists() and (found := browser.flaws(*(() if theme == "light" else ("color-contrast",)))):
                    flaws[f"{address} {theme}"] = found
            browser.page.set_viewport_size({"width": 360, "height": 740})
            if (pixels := browser.sideways()) > 0:
                wide[address] = pixels
            if covered := browser.covered("aside .tile"):
                wide[f"{address}: {covered}"] = 0
            browser.page.set_viewport_size({"width": 1440, "height": 900})
        assert browser.wrong == []
    assert flaws == {}
    assert wide == {}


def _look_at_a_call_with_headers(page: Page) -> None:
    """The first row may be of a call that ended before the headers were asked for."""
    for _ in range(20):
        page.click("[data-table=calls] tbody tr button")
        with suppress(NotThere):
            page.wait_for_selector("aside h3:has-text('Headers of the request')", timeout=2_000)
            return
    raise AssertionError("no call is shown with its headers")


def test_what_is_done_on_a_page_takes_effect_and_can_be_undone(shop: Shop) -> None:
    def spec(name: str) -> dict[str, list[dict[str, object]]]:
        found = [one for one in shop.mesh._ask("resources") if (one["kind"], one["name"]) == ("VirtualService", name)]
        return dict(found[0]["spec"]) if found else {}

    with browsing() as browser:
        browser.sign_in(shop.link())
        page = browser.page

        browser.look("tap", "[data-table=calls] tbody tr")
        page.click("label:has-text('Headers')")
        page.wait_for_selector(".command:has-text('tulle tap --headers')")
        _look_at_a_call_with_headers(page)
        page.wait_for_selector("aside dt:has-text('user-agent')")

        before = spec("checkout")
        browser.look("service/shop/checkout", "button:has-text('Shift traffic')")
        page.click("button:has-text('Shift traffic')")
        page.locator("[aria-label='Percent for v2']").fill("50")
        assert page.locator("dialog .command code").text_content() == "$ tulle shift checkout.shop v1=50 v2=50"
        page.wait_for_selector("dialog .tried .ok")
        page.click("dialog [data-confirm]")
        page.wait_for_selector(".toast:has-text('configured')")
        assert [one["weight"] for one in spec("checkout")["http"][0]["route"]] == [50, 50]  # type: ignore[attr-defined]
        page.click(".toast button:has-text('Undo')")
        page.wait_for_selector(".toast:has-text('Undone')")
        assert spec("checkout") == before

        browser.look("service/shop/inventory", "button:has-text('Inject fault')")
        page.click("button:has-text('Inject fault')")
        page.locator("[aria-label='Percent that fail']").fill("100")
        page.wait_for_selector("dialog .tried .ok")
        page.click("dialog [data-confirm]")
        page.wait_for_selector(".toast:has-text('created')")
        wait_for("calls fail by the fault", lambda: any("FI" in one["flags"] for one in shop.edges()), 60)
        page.wait_for_selector(".tile b:has-text('did not reach it')")
        page.click(".toast:has-text('created') button:has-text('Undo')")
        wait_for("the fault is gone", lambda: not spec("inventory"))

        browser.look("resource/VirtualService/shop/checkout?tab=edit", "textarea")
        text = page.locator("textarea").input_value()
        page.locator("textarea").fill(text.replace("timeout: 5s", "timeout: soon"))
        page.click("[data-dry-run]")
        page.wait_for_selector(".problems code:has-text('spec.http[0].timeout')")
        assert page.locator("[data-apply]").is_disabled()
        page.locator("textarea").fill(text.replace("timeout: 5s", "timeout: 4s"))
        page.click("[data-dry-run]")
        page.wait_for_selector(".problems :text('would be configured')")
        page.click("[data-apply]")
        page.click("dialog [data-confirm]")
        page.wait_for_selector(".toast:has-text('configured')")
        assert spec("checkout")["http"][0]["timeout"] == "4s"

        proxy = next(one["id"] for one in shop.mesh.proxies() if one["service"] == "inventory")
        browser.look(f"proxy/{proxy}", "button:has-text('Weight 1')")
        page.click("button:has-text('Weight 1')")
        page.locator("dialog input").fill("3")
        page.click("dialog [data-confirm]")
        page.wait_for_selector("button:has-text('Weight 3')")
        page.click("button:has-text('Restart Envoy')")
        page.click("dialog [data-confirm]")
        page.wait_for_selector(".toast:has-text('has taken over')", timeout=60_000)
        refused = [one for one in browser.wrong if not re.search("422", one)]  # of the faulty document
        assert refused == []


def test_the_keyboard_is_enough(shop: Shop) -> None:
    with browsing() as browser:
        browser.sign_in(shop.link())
        page = browser.page
        page.keyboard.press("g")
        page.keyboard.press("g")
        page.wait_for_selector("[data-node='shop/checkout']")
        first = page.locator("[data-live=live]").get_attribute("data-at")
        wait_for("the graph is told again", lambda: page.locator("[data-live]").get_attribute("data-at") != first)
        page.focus("[data-node='shop/web']")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_selector("aside.detail h2")
        assert "sel=shop" in page.url
        page.keyboard.press("/")
        page.keyboard.type("payments")
        page.keyboard.press("Escape")
        assert "find=payments" in page.url
        page.keyboard.press("?")
        page.wait_for_selector("dialog:has-text('Keys')")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        page.keyboard.press("g")
        page.keyboard.press("s")
        page.wait_for_selector("[data-table=services] tbody tr")
        page.focus("[data-table=services] tbody tr:first-child a")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_selector("main[data-page=service]")
        browser.look("graph", "[data-node='shop/checkout']")
        page.locator("[aria-label='Moment that is shown']").focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector("[data-live=past]")
        assert "at=" in page.url
        assert browser.wrong == []


def test_a_row_is_as_good_as_its_link(shop: Shop) -> None:
    with browsing() as browser:
        browser.sign_in(shop.link())
        page = browser.page
        browser.look("services", "[data-row='shop/checkout']")
        cell = page.locator("[data-row='shop/checkout'] td:nth-child(2)")
        for options in ({"button": "middle"}, {"modifiers": ["Control"]}):
            with page.context.expect_page() as opened:
                cell.click(**options)
            assert opened.value.url.endswith("#/service/shop/checkout")
            opened.value.close()
        box = cell.locator("span").bounding_box()
        assert box
        page.mouse.move(box["x"] + 1, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"], box["y"] + box["height"] / 2)
        page.mouse.up()
        assert page.evaluate("getSelection().toString()").startswith("sho")
        assert page.url.endswith("#/services")
        cell.click()
        page.wait_for_selector("main[data-page=service]")
        assert browser.wrong == []


def test_a_link_signs_in_once_and_a_viewer_only_looks(shop: Shop, tmp_path: Path) -> None:
    link = shop.link("viewer")
    with browsing() as browser:
        browser.sign_in(link)
        assert "ticket" not in browser.page.url
        browser.look("service/shop/checkout", ".tiles")
        browser.page.wait_for_selector("[data-row='shop/web>shop/checkout']")
        assert browser.page.locator("button:has-text('Shift traffic')").count() == 0
        browser.look("tap?headers=1", "[data-table=calls] tbody tr")
        assert browser.page.locator("label:has-text('Headers')").count() == 0
        browser.look("service/shop/checkout", ".tiles")
        browser.page.reload()
        browser.page.wait_for_selector(".tiles")
        browser.page.click("[aria-label='Sign out']")
        browser.page.wait_for_selector("main[data-page=sign-in]")
        if AXE.exists():
            assert browser.flaws() == []
        assert browser.wrong == []
        browser.page.goto("about:blank")
        browser.page.goto(link)
        browser.page.wait_for_selector(".sign-in .failure:has-text('tulle ui')")

        made = shop.mesh.tulle("user", "create", "ada", "--role", "admin", "-o", "json")
        assert made.returncode == 0, made.stderr
        browser.page.fill("input[name=token]", "nonsense")
        browser.page.click("button[type=submit]")
        browser.page.wait_for_selector(".sign-in .failure")
        browser.page.fill("input[name=token]", re.findall(r'"token":\s*"([^"]+)"', made.stdout)[0])
        browser.page.click("button[type=submit]")
        browser.page.wait_for_selector("main[data-page=overview]")
        assert "ada" in (browser.page.locator(".who").text_content() or "")
        stored = browser.page.evaluate("JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie")
        assert not re.search("tulle_|ticket|nonsense", stored.replace("tulle-key", ""))
