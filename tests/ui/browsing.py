"""A real Chromium that looks at the dashboard and notes all that goes wrong on the way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
_PATIENCE = 30_000  # ms; the machine may be busy


class Browser:
    """One window. wrong: what the console said, answers of 400 and more, and requests to elsewhere."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        self.base = ""
        page.set_default_timeout(_PATIENCE)
        page.on("console", lambda told: self.wrong.append(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("response", lambda answer: self._look(answer.status, answer.url))

    def _look(self, status: int, url: str) -> None:
        if status >= 400 or (self.base and not url.startswith(self.base.removesuffix("ui/"))):
            self.wrong.append(f"{status} {url}")

    def sign_in(self, link: str) -> None:
        self.base = link.partition("#")[0]
        self.page.goto(link)
        self.page.wait_for_selector("main[data-page=overview]")

    def look(self, address: str, at: str) -> None:
        """Goes to an address of the dashboard (`graph?focus=...`) and waits for something there."""
        self.page.goto(f"{self.base}#/{address}")
        self.page.wait_for_selector(at)

    def flaws(self, *rules: str) -> list[str]:
        """What axe finds: rules of WCAG 2 A and AA, or only those that are named."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        what = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": ["wcag2a", "wcag2aa"]}
        script = "(what) => axe.run(document, {runOnly: what, resultTypes: ['violations']})"
        found: dict[str, Any] = self.page.evaluate(script, what)
        return [
            f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def covered(self, selector: str) -> list[str]:
        """What is drawn over the middle of these, of other parts of the page."""
        script = """selector => [...document.querySelectorAll(selector)].flatMap(one => {
            one.scrollIntoView({block: "center"});
            const box = one.getBoundingClientRect();
            const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return !top || one.contains(top) || top.contains(one) ? [] : [top.outerHTML.slice(0, 80)];
        })"""
        found: list[str] = self.page.evaluate(script, selector)
        return found

    def sideways(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@contextmanager
def browsing(width: int = 1440, height: int = 900, **options: Any) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
        try:
            page = chromium.new_page(
                viewport={"width": width, "height": height}, reduced_motion="reduce", locale="en-GB", **options
            )
            yield Browser(page)
        finally:
            chromium.close()
