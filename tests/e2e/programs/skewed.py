"""A control plane whose clock goes wrong: `skewed.py SECONDS DATA ADDRESS PORT`, as `tulle up --listen` on such a machine."""

import asyncio
import signal
import sys
import time
from pathlib import Path

from tulle.config import Settings
from tulle.control_plane import logs
from tulle.control_plane.running import running

seconds, data, address, port = sys.argv[1:]
logs.set_up("text")


async def main():
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    settings = Settings(data=Path(data), listen=(address, int(port)))
    async with running(settings, clock=lambda: time.time() + float(seconds)):
        await stopped.wait()


asyncio.run(main())
