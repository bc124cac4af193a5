"""An aiohttp server: /ws echoes a websocket's messages, /slow sends three parts, each when the file `next` has been made."""

import asyncio
import os
import sys
from pathlib import Path

from aiohttp import web

NEXT = Path(sys.argv[1])


async def ws(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(f"echo {message.data}")
    return socket


async def slow(request):
    response = web.StreamResponse()
    await response.prepare(request)
    for part in range(3):
        await response.write(b"part %d\n" % part)
        while part < 2 and not NEXT.exists():
            await asyncio.sleep(0.02)
        NEXT.unlink(missing_ok=True)
    return response


app = web.Application()
app.add_routes([web.get("/ws", ws), web.get("/slow", slow)])
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
