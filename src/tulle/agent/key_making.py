"""Has keys made by a short-lived child (`keys.py`), which is begun early and waited for late: it takes a while."""

from __future__ import annotations

import json
import subprocess
import sys

from tulle.agent.config import AgentConfig
from tulle.agent.exits import AgentError

_SECONDS = 20.0

Keys = dict[str, dict[str, str]]
"""`identity` and `proxy`, each with `key` and `csr` as PEM."""

KeyMaker = subprocess.Popen[bytes]


def begin(config: AgentConfig, proxy: str) -> KeyMaker:
    """Begins to make keys for the workload and its proxy."""
    arguments = (config.namespace, config.service_account, proxy)
    return subprocess.Popen(
        (sys.executable, "-P", "-m", "tulle.agent.keys", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # ctrl-C in a terminal is for the agent
    )


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
