"""On a disk of 20 MB: spans without end beside a store whose every write must succeed. Exits 0 if all was well."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from tulle.envoy_api.messages import message
from tulle.store.sqlite import open_store
from tulle.telemetry.traces import keeper
from tulle.telemetry.traces.keeper import FILE, Full, Traces
from tulle.telemetry.traces.otlp import REQUEST
from tulle.telemetry.traces.room import missing

keeper._AGAIN_SECONDS = 0.0
keeper._LOOK_EVERY = 0.05


class Told(logging.Handler):
    texts: ClassVar[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def export(number: int) -> bytes:
    spans = [
        {"trace_id": (100 * number + one).to_bytes(16, "big"), "span_id": b"s" * 8, "name": "GET x"}
        for one in range(1, 21)
    ]
    for span in spans:
        span["attributes"] = [{"key": "text", "value": {"string_value": "x" * 2000}}]
    request = message(REQUEST)(resource_spans=[{"scope_spans": [{"spans": spans}]}])
    return bytes(request.SerializeToString())


async def main(folder: Path) -> None:
    logging.getLogger().addHandler(Told())
    async with open_store(folder) as store:
        traces = Traces(folder)
        keeping = asyncio.create_task(traces.keep())
        number = 0

        async def flood(seconds: float) -> None:
            nonlocal number
            loop = asyncio.get_running_loop()
            until = loop.time() + seconds
            while loop.time() < until:
                number += 1
                with suppress(Full):
                    traces.take(export(number))
                await store.put(f"registrations/{number % 50}", bytes(2000))
                await asyncio.sleep(0)

        while not traces.counts().crowded_out:
            await flood(0.05)
        await flood(0.3)
        assert await traces.ask(lambda search: search.size()[0]) > 0
        assert traces.counts().trouble == "" and traces.counts().lost == 0, traces.counts()

        with (folder / "ballast").open("wb", buffering=0) as ballast:  # others want what traces have
            while not traces.counts().trouble:
                if missing(folder) < 4_000_000 and ballast.tell() < 9_000_000:
                    ballast.write(bytes(500_000))
                await flood(0.02)
        assert not [*folder.glob(f"{FILE}*")]
        lost = traces.counts().lost
        while traces.counts().lost == lost:
            await flood(0.02)

        (folder / "ballast").unlink()
        taken = traces.counts().taken
        while traces.counts().taken == taken:
            await flood(0.02)
        assert await traces.ask(lambda search: search.size()[0]) > 0
        keeping.cancel()
        await asyncio.wait([keeping])
    print(*Told.texts, sep="\n")


asyncio.run(main(Path(sys.argv[1])))
