"""Makes the pictures of the dashboard that the README and the guides show, of a real mesh.

    PYTHONPATH=tests/e2e .venv/bin/python tests/ui/screenshots.py [FOLDER] [SECONDS]

FOLDER: docs/images. SECONDS: for how long the shop is called before, 300. Look at the pictures before they are committed, and
make them small (at most 200 kB each): pngquant --force --ext .png docs/images/*.png
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from browsing import Browser, browsing
from running import Mesh
from shop import Part, Shop

_BUY = ["http://payments/charge", "http://inventory/reserve", "http://users.accounts/me"]
PARTS = [
    Part("users", {"ms": 4}, "v6", "accounts"),
    Part("auth", {"ms": 2, "calls": ["http://users/session"]}, "v3", "accounts"),
    Part("payments", {"ms": 30, "fail": 17}, "v5"),
    Part("inventory", {"ms": 5}, "v8"),
    Part("checkout", {"ms": 15, "calls": _BUY}, "v1"),
    Part("checkout", {"ms": 9, "calls": _BUY}, "v2"),
    Part("recommendations", {"ms": 40}, "v2"),
    Part("catalog", {"ms": 8, "calls": ["http://inventory/stock", "http://recommendations/for"]}, "v9"),
    Part(
        "web",
        {
            "ms": 3,
            "rate": 25,
            "drives": [
                "http://catalog/items",
                "http://catalog/item/7",
                "http://auth.accounts/check",
                "http://checkout/buy",
            ],
        },
        "v31",
    ),
]
# By name: the address, what must be there, and whether it is dark.
PICTURES = {
    "overview": ("overview", "[data-tiles] .value:has-text('ms')", False),
    "graph": ("graph", "[data-edge='shop/checkout>shop/payments']", False),
    "graph-dark": ("graph?sel=shop/checkout", "aside .plot canvas", True),
    "service": ("service/shop/checkout", "[data-row='shop/web>shop/checkout']", False),
    "tap-dark": ("tap", "[data-table=calls] tbody tr:nth-child(14)", True),
    "traces-dark": ("traces", "[data-table=traces] tbody tr:nth-child(12)", True),
    "policy": ("policy?from=shop/web&to=shop/payments", ".matrix tr:last-child .cell.ok", False),
    "config": ("resource/VirtualService/shop/catalog", ".line.error", True),
}


def picture(browser: Browser, folder: Path, name: str) -> None:
    address, at, is_dark = PICTURES[name]
    browser.page.emulate_media(color_scheme="dark" if is_dark else "light")
    browser.look(address, at)
    browser.page.wait_for_timeout(1500)  # charts and layout come to rest
    browser.page.screenshot(path=folder / f"{name}.png")


def main(folder: Path, seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as state, Mesh(Path(state)) as mesh:
        shop = Shop(mesh, PARTS)
        shop.open()
        time.sleep(seconds)
        with browsing(1440, 900) as browser:
            browser.sign_in(shop.link())
            for name in PICTURES:
                picture(browser, folder, name)
                print(folder / f"{name}.png")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0] if given else "docs/images"), float(given[1]) if len(given) > 1 else 300.0)
