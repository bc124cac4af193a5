"""gRPC relays of both kinds, called and calling in every way; prints what the last server got, as JSON.

Nothing in here knows of traces. Usage: calls.py
"""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc.aio

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
CONTEXT = (("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"), ("x-request-id", "r-1"), ("other", "x"))


def told(rpc):
    return json.dumps(sorted(list(pair) for pair in rpc.invocation_metadata() if pair[0] in dict(CONTEXT))).encode()


def service(behaviors):
    makers = {kind: getattr(grpc, kind + "_rpc_method_handler") for kind in KINDS}
    handlers = {kind: makers[kind](behavior) for kind, behavior in behaviors.items()}
    return grpc.method_handlers_generic_handler("any.Service", handlers)


def calls(channel, kind):
    return getattr(channel, kind)("/any.Service/" + kind)


class Once:
    """All that gRPC asks of answers: it never calls iter()."""

    def __init__(self, answer):
        self.answers = [answer]

    def __next__(self):
        if not self.answers:
            raise StopIteration
        return self.answers.pop()


def last_server():
    def unary(request, rpc):
        assert threading.current_thread().name.startswith("own")
        return told(rpc)

    def stream(request, rpc):
        return Once(told(rpc))

    unary.experimental_thread_pool = ThreadPoolExecutor(1, "own")

    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([service({kind: stream if kind.endswith("stream") else unary for kind in KINDS})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


def called(channel, kind, metadata):
    call = calls(channel, kind)
    asked = iter([b"?"]) if kind.startswith("stream") else b"?"
    answer = call(asked, metadata=metadata, timeout=30)
    return next(iter(answer)) if kind.endswith("stream") else answer


def relay(behind):
    channel = grpc.insecure_channel(behind)

    def unary(kind):
        def serve(request, rpc):
            if kind.startswith("unary"):
                return calls(channel, kind).future(b"?", 30, None).result()
            return calls(channel, kind).with_call(iter([b"?"]), 30)[0]

        return serve

    def stream(kind):
        def serve(request, rpc):
            yield called(channel, kind, None)

        return serve

    server = grpc.server(ThreadPoolExecutor(1), interceptors=[Before()])
    server.add_generic_rpc_handlers([service({k: (stream if k.endswith("stream") else unary)(k) for k in KINDS})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


class Before(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        return continuation(details)


async def called_aio(channel, kind, metadata):
    async def one():
        yield b"?"

    answer = calls(channel, kind)(one() if kind.startswith("stream") else b"?", metadata=metadata, timeout=30)
    if kind.endswith("stream"):
        async for each in answer:
            return each
    return await answer


async def relay_aio(behind):
    channel = grpc.aio.insecure_channel(behind)

    def unary(kind):
        async def serve(request, rpc):
            return await called_aio(channel, kind, grpc.aio.Metadata(("mine", "x")))

        return serve

    def stream(kind):
        async def serve(request, rpc):
            yield await called_aio(channel, kind, grpc.aio.Metadata(("mine", "x")))

        return serve

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([service({k: (stream if k.endswith("stream") else unary)(k) for k in KINDS})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"


def all_kinds(address):
    with grpc.insecure_channel(address) as channel:
        return [json.loads(called(channel, kind, metadata)) for kind in KINDS for metadata in (CONTEXT, None)]


async def main():
    last, behind = last_server()
    sync, sync_address = relay(behind)
    aio, aio_address = await relay_aio(behind)
    results = {
        "sync": await asyncio.to_thread(all_kinds, sync_address),
        "aio": await asyncio.to_thread(all_kinds, aio_address),
    }
    print(json.dumps(results))
    sync.stop(None)
    last.stop(None)
    await aio.stop(None)


asyncio.run(main())
