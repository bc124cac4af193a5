"""Runs at the start of any Python program that has this folder on PYTHONPATH, and puts in what $TULLE_SHIM names.

`proxy`: aiohttp heeds the proxy variables. `trace`: a trace's context is passed on. `spans`: the program makes spans of
its own, if it has what that takes. In the program's interpreter, whatever it is: Python 3.8 and later, standard library
only, and whatever fails in here must not keep the program from starting (TULLE_DEBUG=1 shows it). A program pays for one
more entry on sys.meta_path, and for what it imports. An older Python, 2.7 too, has to be able to read this file: it would say
at each start that it can't.

Python runs one sitecustomize only, the first on sys.path: another one further on is run from here.
"""
# ruff: noqa: PTH100, PTH120
# Nothing is imported that the program might not need.

import os
import sys


def _install():
    # type: () -> None
    for part in os.environ.get("TULLE_SHIM", "").split(","):
        if part in ("proxy", "trace", "spans"):
            try:
                __import__("_tulle_shim." + part, fromlist=["install"]).install()
            except Exception:
                if os.environ.get("TULLE_DEBUG"):
                    import traceback

                    traceback.print_exc()


def _run_next():
    # type: () -> None
    """Runs the sitecustomize that this one hides. What goes wrong in it is told by Python itself, as without us."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    own = os.path.dirname(os.path.abspath(__file__))
    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if os.path.abspath(entry) != own])
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if sys.version_info >= (3, 8):  # noqa: UP036
    _install()
if sys.version_info >= (3, 4):  # noqa: UP036
    _run_next()
