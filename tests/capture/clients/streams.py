"""Streams of HTTP: websockets and server-sent events."""

import asyncio

import aiohttp
import httpx

from trying import run, same


def with_a_websocket():
    async def main():
        async with aiohttp.ClientSession() as session, session.ws_connect("http://streams/ws") as websocket:
            for text in ("one", "two"):
                await websocket.send_str(text)
                same(await websocket.receive_str(timeout=30), f"echo {text}")

    asyncio.run(main())


def with_events():
    """Each event is sent only when the one before has been seen."""
    with httpx.Client(timeout=30) as client, client.stream("GET", "http://streams/events") as response:
        same(response.headers["content-type"], "text/event-stream")
        key = response.headers["x-key"]
        seen = []
        for line in response.iter_lines():
            if line.startswith("data: "):
                seen.append(line.removeprefix("data: "))
                same(httpx.post("http://streams/seen", params={"key": key}, timeout=30).status_code, 200)
        same(seen, ["event 0", "event 1", "event 2"])


run({"a websocket (aiohttp)": with_a_websocket, "server-sent events (httpx)": with_events})
