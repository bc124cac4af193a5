"""Makes aiohttp heed the proxy variables, for the mode of capture `proxy`.

aiohttp.ClientSession ignores them unless trust_env=True is given. Here that becomes the default; a program that says
trust_env=False still gets its way.
"""

from __future__ import annotations

from .imports import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def install() -> None:
    when_imported("aiohttp.client", _trust_environment)


def _trust_environment(module: ModuleType) -> None:
    defaults = module.ClientSession.__init__.__kwdefaults__
    if defaults and defaults.get("trust_env") is False:
        defaults["trust_env"] = True
