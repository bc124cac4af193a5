"""A process whose files may not grow: it writes traces until they don't fit, and says what became of it."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from pathlib import Path

from tulle.envoy_api.messages import message
from tulle.telemetry.traces import keeper
from tulle.telemetry.traces.keeper import Full, Traces
from tulle.telemetry.traces.otlp import REQUEST


async def main() -> None:
    keeper._AGAIN_SECONDS = 0.0
    traces = Traces(Path(sys.argv[1]))
    keeping = asyncio.create_task(traces.keep())
    number = 0
    while not traces.counts().lost:
        number += 1
        span = {"trace_id": number.to_bytes(16, "big"), "span_id": b"s" * 8, "name": "x" * 250}
        request = message(REQUEST)(resource_spans=[{"scope_spans": [{"spans": [span]}]}])
        try:
            traces.take(request.SerializeToString())
            await asyncio.sleep(0)
        except Full:  # they come faster than this machine writes
            await asyncio.sleep(0.01)
    print("lost some, alive")
    keeping.cancel()
    await asyncio.wait([keeping])


signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
asyncio.run(main())
