"""grpcio, as generated stubs use it: unary calls and streams, from threads and from asyncio."""

import asyncio

import grpc

from trying import run, same

TARGET = "echo:50051"
MESSAGES = [b"one", b"two", b"three"]


def unary():
    with grpc.insecure_channel(TARGET) as channel:
        same(channel.unary_unary("/any.Service/Unary")(b"hello", timeout=30), b"hello")


def streaming():
    with grpc.insecure_channel(TARGET) as channel:
        answers = channel.stream_stream("/any.Service/Stream")(iter(MESSAGES), timeout=30)
        same(list(answers), MESSAGES)


def aio_unary():
    async def main():
        async with grpc.aio.insecure_channel(TARGET) as channel:
            same(await channel.unary_unary("/any.Service/Unary")(b"hello", timeout=30), b"hello")

    asyncio.run(main())


def aio_streaming():
    async def main():
        async with grpc.aio.insecure_channel(TARGET) as channel:
            call = channel.stream_stream("/any.Service/Stream")(timeout=30)
            for message in MESSAGES:
                await call.write(message)
                same(await call.read(), message)
            await call.done_writing()

    asyncio.run(main())


run(
    {
        "grpcio": unary,
        "grpcio, streaming": streaming,
        "grpcio, `grpc.aio`": aio_unary,
        "grpcio, `grpc.aio`, streaming": aio_streaming,
    }
)
