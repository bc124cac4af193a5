"""The dashboard: its size, how long until its first graph is drawn, and what a page costs that is left open.

In Debian's Chromium without a window, of a mesh of 13 services that is called all the time; what the pages of a browser cost is
all of its processes together, those that no page needs among them.
"""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

import tulle.api
from bench.figure import Figure
from bench.meshes import Mesh, call
from bench.processes import Failed, children, cpu_seconds, wait_for

_UI = Path(tulle.api.__file__).parent / "ui"
_CHAINS, _LENGTH = 3, 4
_CALLS = 10  # a second, each of which makes as many more as a chain is long
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


def run(quick: bool) -> list[Figure]:
    times, seconds = (2, 5.0) if quick else (10, 30.0)
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in _UI.iterdir()}
    parts = ", ".join(f"{name} {size / 1000:.1f}" for name, size in sorted(sizes.items(), key=lambda each: -each[1]))
    figures = [Figure("dashboard_size", "the dashboard, gzipped", sum(sizes.values()) / 1000, "kB", note=parts)]
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        mesh = Mesh(Path(folder), stack)
        control_plane = mesh.up()
        stack.enter_context(_called(mesh))
        return [*figures, *_pages(mesh, control_plane, times, seconds)]


@contextmanager
def _called(mesh: Mesh) -> Iterator[None]:
    """Services in chains, and a program that calls the first of each in turn."""
    names = [[f"part-{chain}-{place}" for place in range(_LENGTH)] for chain in range(_CHAINS)]
    for chain in names:
        for name, following in itertools.pairwise([*chain, ""]):
            mesh.run(name, sys.executable, "-m", "bench.programs.server", *([following] if following else ()))
    for name in itertools.chain(*names):
        mesh.serves(name)
    door = mesh.run("web", "sleep", "infinity", options=("--capture", "proxy")).outbound
    over = threading.Event()

    def calls() -> None:
        for chain in itertools.cycle(names):
            with suppress(OSError):
                call(door, chain[0])
            if over.wait(1 / _CALLS):
                return

    calling = threading.Thread(target=calls)
    calling.start()
    try:
        wait_for("there are figures of all calls", lambda: _edges(mesh) == _CHAINS * _LENGTH, pause=0.5)
        yield
    finally:
        over.set()
        calling.join()


def _edges(mesh: Mesh) -> int:
    return len(mesh.ask("edges")["edges"])


def _pages(mesh: Mesh, control_plane: int, times: int, seconds: float) -> Iterator[Figure]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        raise Failed("there is no Chromium; Debian's package is chromium")
    calls = f"{_CHAINS * _LENGTH + 1} services, {_CALLS * _LENGTH} calls/s"
    alone = _share((control_plane,), seconds)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_OPTIONS)
        try:
            taken = [_first_graph(mesh, browser.new_context().new_page()) for _ in range(times)]
            spread = f"{min(taken):.2f} to {max(taken):.2f}; {calls}"
            what = "`tulle ui`'s link opened, by the overview, to the first edge of the graph drawn"
            yield Figure("dashboard_graph", what, median(taken), "s", note=spread)
            for context in browser.contexts:
                context.close()
            for name in ("graph", "overview"):
                page = browser.new_context().new_page()
                page.goto(f"{_signed_in(_link(mesh), page)}#/{name}")
                page.wait_for_selector(f"main[data-page={name}]")
                open_ = _share(_browser(), seconds)
                yield Figure(f"dashboard_{name}", f"a page left open, {name}: CPU of the browser", open_, "% of a core")
                page.context.close()
            page = browser.new_context().new_page()
            page.goto(f"{_signed_in(_link(mesh), page)}#/graph")
            shown = _share((control_plane,), seconds)
            note = f"{alone:.1f} % with none; {calls}"
            yield Figure("dashboard_shown", "the same: CPU of the control plane", shown, "% of a core", note=note)
        finally:
            browser.close()


def _signed_in(link: str, page: Page) -> str:
    """The dashboard's address without a place in it."""
    page.goto(link)
    page.wait_for_selector("main[data-page=overview]")
    return link.partition("#")[0]


def _link(mesh: Mesh) -> str:
    return str(mesh.ask("ui", "--no-open")["url"])


def _first_graph(mesh: Mesh, page: Page) -> float:
    link = _link(mesh)
    started = time.perf_counter()
    page.goto(f"{_signed_in(link, page)}#/graph")
    page.wait_for_selector("[data-edge]", state="attached")  # a line that is level has no height
    return time.perf_counter() - started


def _browser() -> tuple[int, ...]:
    """The processes of the one that this process has started, by way of its driver."""
    found: list[int] = []
    below = children(os.getpid())
    while below:
        found += below
        below = [each for one in below for each in children(one)]
    return tuple(one for one in found if Path(f"/proc/{one}/exe").readlink().name == "chromium")


def _share(pids: tuple[int, ...], seconds: float) -> float:
    """In percent of a core, as long as that."""
    before = sum(map(cpu_seconds, pids))
    time.sleep(seconds)
    return (sum(map(cpu_seconds, pids)) - before) / seconds * 100
