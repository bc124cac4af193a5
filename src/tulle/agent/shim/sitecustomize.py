"""Makes aiohttp heed the proxy variables, in any Python program that has this folder on PYTHONPATH.

aiohttp.ClientSession ignores them unless trust_env=True is given. Here that becomes the default; a program that says
trust_env=False still gets its way. Runs in the program's interpreter, whatever it is: Python 3.8 and later, standard
library only, and whatever fails in here must not keep the program from starting (TULLE_DEBUG=1 shows it). A program
that does not use aiohttp pays for one more entry on sys.meta_path.

Python runs one sitecustomize only, the first on sys.path: another one further on is run from here.
"""
# ruff: noqa: PTH100, PTH120
# Nothing is imported that the program might not need.

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_CLIENT = "aiohttp.client"


class _AiohttpFinder:
    """Lets the others find aiohttp.client, and changes it once it is loaded."""

    searching = False

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != _CLIENT or cls.searching:
            return None
        cls.searching = True
        try:
            return _hooked_spec(name)
        except Exception:
            _report()
            return None
        finally:
            cls.searching = False


def _hooked_spec(name: str) -> ModuleSpec | None:
    import importlib.util

    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return spec
    load = spec.loader.exec_module

    def exec_module(module: ModuleType) -> None:
        load(module)
        _trust_environment(module)

    setattr(spec.loader, "exec_module", exec_module)  # noqa: B010  of this module's own loader
    return spec


def _trust_environment(module: ModuleType) -> None:
    try:
        defaults = module.ClientSession.__init__.__kwdefaults__
        if defaults and defaults.get("trust_env") is False:
            defaults["trust_env"] = True
    except Exception:
        _report()


def _report() -> None:
    if os.environ.get("TULLE_DEBUG"):
        import traceback

        traceback.print_exc()


def _run_next() -> None:
    """Runs the sitecustomize that this one hides. What goes wrong in it is told by Python itself, as without us."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    own = os.path.dirname(os.path.abspath(__file__))
    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if os.path.abspath(entry) != own])
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


sys.meta_path.insert(0, _AiohttpFinder)
_run_next()
