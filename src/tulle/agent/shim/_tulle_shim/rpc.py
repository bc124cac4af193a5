"""gRPC, by its public interface alone: an interceptor in front of a server's own, and around what a plain channel calls.

Channels with credentials are left alone, as calls by TLS are.
"""

from __future__ import annotations

from functools import update_wrapper

from . import context
from .hooks import Hook, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

    from .context import Served
    from .hooks import Function

_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_METADATA = 2  # where it stands among the arguments of a call: request, timeout, metadata


def grpc(module: ModuleType) -> None:
    replace(module, "insecure_channel", _channel)
    replace(module, "server", _server(_interceptor(module)))


def grpc_aio(module: ModuleType) -> None:
    replace(module, "insecure_channel", _channel)
    replace(module, "server", _server(_interceptor_aio(module)))


def _channel(original: Function, hook: Hook) -> Function:
    def insecure_channel(target: Any, *args: Any, **kwargs: Any) -> Any:
        channel = original(target, *args, **kwargs)
        try:
            for kind in _KINDS:
                setattr(channel, kind, _calls_of(getattr(channel, kind), str(target), hook))
        except Exception:
            hook.off()
        return channel

    return insecure_channel


def _calls_of(make: Function, target: str, hook: Hook) -> Function:
    return lambda *args, **kwargs: _Call(make(*args, **kwargs), target, hook)


class _Call:
    """Something that can be called in one of the ways of grpc.UnaryUnaryMultiCallable and the like."""

    def __init__(self, call: Any, target: str, hook: Hook) -> None:
        self._call = call
        self._host = target.rpartition("/")[2]  # of `dns:///service-b:80`
        self._hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = self._with_context(args, kwargs)
        return self._call(*args, **kwargs)

    def with_call(self, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = self._with_context(args, kwargs)
        return self._call.with_call(*args, **kwargs)

    def future(self, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = self._with_context(args, kwargs)
        return self._call.future(*args, **kwargs)

    def _with_context(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self._hook.on:
            try:
                served = context.to_pass_on()
                if served is not None:
                    positional = len(args) > _METADATA
                    given = args[_METADATA] if positional else kwargs.get("metadata")
                    metadata = _more(given, served, self._host)
                    if positional:
                        return (*args[:_METADATA], metadata, *args[_METADATA + 1 :]), kwargs
                    return args, {**kwargs, "metadata": metadata}
            except Exception:
                self._hook.off()
        return args, kwargs


def _more(metadata: Any, served: Served, host: str) -> Any:
    """A tuple; where the program has given grpc.aio.Metadata, which its own interceptors may add to, another one of these."""
    pairs = tuple((key, value) for key, value in metadata or ())
    more = (*pairs, *context.added(served, {key.lower() for key, _ in pairs}, host))
    return type(metadata)(*more) if hasattr(metadata, "add") and hasattr(metadata, "get_all") else more


def _server(interceptor: Function) -> Function:
    def wrapped(original: Function, hook: Hook) -> Function:
        def server(*args: Any, **kwargs: Any) -> Any:
            """grpc.server(thread_pool, handlers, interceptors, …), all of them optional in grpc.aio."""
            position = 2
            if hook.on:
                try:
                    ours = interceptor(hook)
                    if len(args) > position:
                        args = (*args[:position], (ours, *(args[position] or ())), *args[position + 1 :])
                    else:
                        kwargs = {**kwargs, "interceptors": (ours, *(kwargs.get("interceptors") or ()))}
                except Exception:
                    hook.off()
            return original(*args, **kwargs)

        return server

    return wrapped


def _interceptor(module: Any) -> Function:
    class Interceptor(module.ServerInterceptor):  # type: ignore[misc]
        """Has what serves a call run within it: a pool's thread, which is none of ours."""

        def __init__(self, hook: Hook) -> None:
            self._hook = hook

        def intercept_service(self, continuation: Function, details: Any) -> Any:
            handler = continuation(details)
            if handler is None or not self._hook.on:
                return handler
            try:
                served = context.of_pairs(details.invocation_metadata or ())
                return handler if served is None else _within(module, handler, served)
            except Exception:
                self._hook.off()
                return handler

    return Interceptor


def _within(module: Any, handler: Any, served: Served) -> Any:
    kind = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
    behavior = getattr(handler, kind)
    if getattr(behavior, "experimental_non_blocking", False):  # it answers by a callback, from anywhere
        return handler
    # A generator serves piece by piece, and in between its thread may do something else.
    serve = _in_pieces(behavior, served) if handler.response_streaming else _at_once(behavior, served)
    # grpc looks at the behaviour's own attributes (`experimental_thread_pool`).
    return getattr(module, f"{kind}_rpc_method_handler")(
        update_wrapper(serve, behavior), handler.request_deserializer, handler.response_serializer
    )


def _at_once(behavior: Function, served: Served) -> Function:
    def serve(request: Any, rpc: Any) -> Any:
        token = context.enter(served)
        try:
            return behavior(request, rpc)
        finally:
            context.end(served)
            context.leave(token)

    return serve


def _in_pieces(behavior: Function, served: Served) -> Function:
    def serve(request: Any, rpc: Any) -> Iterator[Any]:
        token = context.enter(served)
        try:
            answers = behavior(request, rpc)  # which need not be iterable, only an iterator
        finally:
            context.leave(token)
        try:
            while True:
                token = context.enter(served)
                try:
                    answer = next(answers)
                except StopIteration:
                    return
                finally:
                    context.leave(token)
                yield answer
        finally:
            context.end(served)

    return serve


def _interceptor_aio(module: Any) -> Function:
    from asyncio import current_task  # grpc.aio has it loaded

    class Interceptor(module.ServerInterceptor):  # type: ignore[misc]
        """Each call has a task of its own, in which its interceptors run as well."""

        def __init__(self, hook: Hook) -> None:
            self._hook = hook

        async def intercept_service(self, continuation: Function, details: Any) -> Any:
            if self._hook.on:
                try:
                    served = context.of_pairs(details.invocation_metadata or ())
                    context.enter(served)
                    task = current_task()
                    if served is not None and task is not None:
                        task.add_done_callback(lambda _: context.end(served))
                except Exception:
                    self._hook.off()
            return await continuation(details)

    return Interceptor
