"""Writes from 20 callers at once, and says on stdout what is acknowledged: `<key> <value>`. Ends by a signal only.

usage: write_until_killed.py FOLDER RUN
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tulle.store.contract import Delete, Put
from tulle.store.sqlite import open_store


async def main(folder: Path, run: str) -> None:
    async with open_store(folder) as store, asyncio.TaskGroup() as tasks:

        async def caller(name: str) -> None:
            n = 0
            while True:
                n += 1
                # Every transaction adds one key for good and moves another one on, so that a gap would show.
                moved = Put(f"moved/{name}/{n}", b"%d" % n)
                await store.transaction(
                    (), (Put(f"kept/{name}/{n}", b"%d" % n), moved, Delete(f"moved/{name}/{n - 1}"))
                )
                os.write(1, f"{name} {n}\n".encode())

        for number in range(20):
            tasks.create_task(caller(f"{run}-{number}"), name=f"caller {number}")


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
