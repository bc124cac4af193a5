"""Changes a module right after the program has imported it, and never imports one that the program does not."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Change = Callable[[ModuleType], None]


class Finder:
    """An entry of sys.meta_path. changes: by the module's name; a change that fails leaves the module as it is."""

    def __init__(self) -> None:
        self.changes: dict[str, list[Change]] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        changes = self.changes.get(name)
        if changes is None:
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find else None
            if spec is not None:
                _hook(spec, changes)
                return spec
        return None


def when_imported(name: str, change: Change) -> None:
    """Calls `change` with the module once it is loaded; at once if it is."""
    _FINDER.changes.setdefault(name, []).append(change)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    module = sys.modules.get(name)
    if module is not None:
        _apply(change, module)


def report() -> None:
    """Tells the error that is being handled, if somebody wants to know (TULLE_DEBUG=1)."""
    if os.environ.get("TULLE_DEBUG"):
        import traceback

        traceback.print_exc()


def _hook(spec: ModuleSpec, changes: list[Change]) -> None:
    loader = spec.loader
    load = getattr(loader, "exec_module", None)
    if load is None or isinstance(loader, type):  # of frozen modules: one for all
        return

    def exec_module(module: ModuleType) -> None:
        load(module)
        if module.__name__ == spec.name:
            for change in changes:
                _apply(change, module)

    try:
        setattr(loader, "exec_module", exec_module)  # noqa: B010  of this module's own loader
    except Exception:
        report()


def _apply(change: Change, module: ModuleType) -> None:
    try:
        change(module)
    except Exception:
        report()


_FINDER = Finder()
