"""Holds a key by heartbeats every 0.2 s under a lease of 1 s, and says so; also says if the key is deleted.

usage: beat.py FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tulle.store.sqlite import open_store


async def main(folder: Path) -> None:
    async with open_store(folder) as store, asyncio.TaskGroup() as tasks:
        lease = await store.grant(1)
        await store.put("a", b"", lease)

        async def tell() -> None:
            async for events in store.watch("a", (await store.range("")).revision):
                print("gone" if events[-1].value is None else "changed", flush=True)

        tasks.create_task(tell(), name="tell")
        while True:
            print("alive" if await store.keep_alive(lease) else "expired", flush=True)
            await asyncio.sleep(0.2)


asyncio.run(main(Path(sys.argv[1])))
