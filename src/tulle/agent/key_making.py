"""Has keys made by a short-lived child (`keys.py`), which is begun early and waited for late: it takes a while."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

from tulle.agent.config import AgentConfig
from tulle.agent.exits import AgentError

_SECONDS = 20.0

Keys = dict[str, dict[str, str]]
"""`identity` and `proxy`, each with `key` and `csr` as PEM; `proof`, with `key` and `signature`, as keys.py makes it."""

KeyMaker = subprocess.Popen[bytes]


def begin(config: AgentConfig, proxy: str, current: str = "") -> KeyMaker:
    """Begins to make keys for the workload and its proxy. current: the proxy's key so far, PEM; it signs the proof."""
    arguments = (config.namespace, config.service_account, proxy)
    maker = subprocess.Popen(
        (sys.executable, "-P", "-m", "tulle.agent.keys", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # ctrl-C in a terminal is for the agent
    )
    assert maker.stdin
    with suppress(BrokenPipeError), maker.stdin:  # why the child has ended, its stderr says
        maker.stdin.write(current.encode())  # far less than a pipe holds
    maker.stdin = None
    return maker


async def finish(maker: KeyMaker) -> Keys:
    """Waits for the keys. Raises AgentError."""
    import asyncio  # only now: `begin` is to begin early

    try:
        output, errors = await asyncio.to_thread(maker.communicate, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise AgentError(f"making keys takes longer than {_SECONDS:g} s") from None
    finally:
        maker.kill()
    if maker.returncode:
        raise AgentError(f"can't make keys: {errors.decode(errors='replace').strip()}")
    keys: Keys = json.loads(output)
    return keys
