"""How a function of somebody else's is wrapped: what goes wrong in our part switches it off, and the program goes on."""

from __future__ import annotations

from functools import update_wrapper

from . import context
from .imports import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Function = Callable[..., Any]


class Hook:
    """One place where something is hooked in. on: whether it still is."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = True

    def off(self) -> None:
        """To be called while the error is being handled."""
        self.on = False
        report()


def replace(owner: Any, name: str, wrapped: Callable[[Function, Hook], Function]) -> None:
    """Puts `wrapped(original, hook)` in the place of `owner.name`; once, however often it is asked for."""
    original = getattr(owner, name)
    if getattr(original, "_tulle", False):
        return
    function = update_wrapper(wrapped(original, Hook()), original)
    function._tulle = True  # type: ignore[attr-defined]
    setattr(owner, name, function)


def serving(served: Callable[..., context.Served | None]) -> Callable[[Function, Hook], Function]:
    """Around a function that serves one request from beginning to end. served: reads the request in its arguments."""

    def wrapped(original: Function, hook: Hook) -> Function:
        def serve(*args: Any, **kwargs: Any) -> Any:
            if not hook.on:
                return original(*args, **kwargs)
            request = _read(served, hook, args, kwargs)
            token = context.enter(request)
            try:
                return original(*args, **kwargs)
            finally:
                context.end(request)
                context.leave(token)

        return serve

    return wrapped


def serving_async(served: Callable[..., context.Served | None]) -> Callable[[Function, Hook], Function]:
    """The same around a coroutine function."""

    def wrapped(original: Function, hook: Hook) -> Function:
        async def serve(*args: Any, **kwargs: Any) -> Any:
            if not hook.on:
                return await original(*args, **kwargs)
            request = _read(served, hook, args, kwargs)
            token = context.enter(request)
            try:
                return await original(*args, **kwargs)
            finally:
                context.end(request)
                context.leave(token)

        return serve

    return wrapped


def _read(served: Callable[..., context.Served | None], hook: Hook, args: Any, kwargs: Any) -> context.Served | None:
    try:
        return served(*args, **kwargs)
    except Exception:
        hook.off()
        return None
