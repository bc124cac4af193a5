"""Work that is handed to another thread goes on for the request that handed it over. asyncio's tasks do so by themselves.

Only our own variable is carried: what else is in the program's context stays where it is. A thread may outlive its request and
serve others: one that is a daemon is no part of the request after its end. Threads and processes of pools belong to no request,
only the work that threads are given does.
"""

from __future__ import annotations

from functools import partial

from . import context
from .hooks import Hook, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from .context import Served
    from .hooks import Function


def thread(module: ModuleType) -> None:
    replace(module.Thread, "start", _starting)


def executor(module: ModuleType) -> None:
    replace(module.ThreadPoolExecutor, "submit", _submitting)


def executor_of_processes(module: ModuleType) -> None:
    replace(module, "_process_worker", _working_for_all)


def pool(module: ModuleType) -> None:
    replace(module, "worker", _working_for_all)


def _starting(original: Function, hook: Hook) -> Function:
    def start(self: Any) -> None:
        if hook.on:
            try:
                served = context.current()
                if served is not None and type(self).__module__ != "multiprocessing.dummy":  # ThreadPool's workers
                    self.run = partial(_run, self, served.until_its_end() if self.daemon else served, self.run)
            except Exception:
                hook.off()
        original(self)

    return start


def _run(thread: Any, served: Served, run: Function) -> None:
    thread.__dict__.pop("run", None)  # it refers to the thread, and would keep what has ended in memory
    context.enter(served)
    run()


def _working_for_all(original: Function, hook: Hook) -> Function:
    """A process that is forked in a request has that request's context, as all that its memory has."""

    def work(*args: Any, **kwargs: Any) -> Any:
        context.enter(None)
        return original(*args, **kwargs)

    return work


def _submitting(original: Function, hook: Hook) -> Function:
    def submit(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        served = context.current()
        if served is None or not args:
            return original(self, *args, **kwargs)
        token = context.enter(None)  # not for the worker's thread, which this may start
        try:
            return original(self, partial(_work, served, args[0]), *args[1:], **kwargs)
        finally:
            context.leave(token)

    return submit


def _work(served: Served, function: Function, /, *args: Any, **kwargs: Any) -> Any:
    job = served.job()
    token = context.enter(job)
    try:
        return function(*args, **kwargs)
    finally:
        context.end(job)
        context.leave(token)
