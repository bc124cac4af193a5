"""`python -m tulle.workload_api FOLDER`: gives the credentials in a proxy's folder out at FOLDER/workload.sock.

Started by the agent, which it outlives by nothing: it ends with its stdin.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

from watchfiles import awatch

from tulle.workload_api.agent import Agent
from tulle.workload_api.credentials import FOLDER, Credentials, read
from tulle.workload_api.news import Newest
from tulle.workload_api.server import server

SOCKET = "workload.sock"


async def _main(folder: Path) -> None:
    os.umask(0o177)  # the socket's file is its owner's alone from its first moment
    os.chdir(folder)  # whose path may be longer than that of a socket can be
    agent, credentials = Agent(), Newest[Credentials]()
    with suppress(OSError, ValueError):
        credentials.put(read(folder))
    serving = server(credentials, agent)
    Path(SOCKET).unlink(missing_ok=True)
    serving.add_insecure_port(f"unix:{SOCKET}")
    await serving.start()
    following = asyncio.create_task(_follow(folder, credentials), name="credentials")
    agent.ready()
    try:
        await agent.listen()
    finally:
        following.cancel()
        await serving.stop(grace=None)


async def _follow(folder: Path, credentials: Newest[Credentials]) -> None:
    async for _ in awatch(folder / FOLDER, debounce=50, step=10):
        with suppress(OSError, ValueError, KeyError):  # the certificate is there a moment before its key
            credentials.put(read(folder))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]).absolute()))
