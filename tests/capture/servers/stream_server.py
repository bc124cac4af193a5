"""An aiohttp server: /ws echoes a websocket's messages; /events sends three, each when the last one has been seen."""

import asyncio
import os
import uuid

from aiohttp import web

SEEN = {}


async def ws(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(f"echo {message.data}")
    return socket


async def events(request):
    key = str(uuid.uuid4())
    SEEN[key] = asyncio.Queue()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Key": key})
    await response.prepare(request)
    for number in range(3):
        await response.write(f"data: event {number}\n\n".encode())
        await SEEN[key].get()
    return response


async def seen(request):
    SEEN[request.query["key"]].put_nowait(None)
    return web.Response()


app = web.Application()
app.add_routes([web.get("/ws", ws), web.get("/events", events), web.post("/seen", seen)])
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
