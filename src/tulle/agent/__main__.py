"""The agent's process: `python -P -m tulle.agent CONFIG -- COMMAND...`, which `tulle run` becomes."""

from __future__ import annotations

import os
import signal
import sys
import traceback

from tulle.agent import config, key_making
from tulle.agent.console import Console
from tulle.agent.exits import AGENT_FAILED, AgentError, of_signal
from tulle.agent.joining import taken
from tulle.agent.limits import raise_open_files
from tulle.agent.service_manager import service_manager


def main() -> int:
    """Runs the workload; the exit code."""
    settings = config.from_argv(sys.argv[1:])
    proxy = f"{settings.service}-{os.urandom(3).hex()}"
    console = Console(settings.log_format, proxy, log_file=settings.log_file)
    manager = service_manager(os.environ)
    console.status = manager.status
    open_files = raise_open_files()
    join = taken(settings.join)
    maker = key_making.begin(settings, proxy)
    try:
        # Imported only now: that takes as long as half of the keys, and begins together with them.
        import asyncio

        from tulle.agent.descendants import become_subreaper
        from tulle.agent.supervisor import supervise

        become_subreaper()
        return asyncio.run(supervise(settings, proxy, maker, console, manager, open_files, join))
    except KeyboardInterrupt:  # before signals are handled
        return of_signal(signal.SIGINT)
    except Exception as error:
        foreseen = _agent_error(error)
        if foreseen is None:
            traceback.print_exc()
            return AGENT_FAILED
        console.error(str(foreseen))
        return foreseen.code
    finally:
        maker.kill()
        manager.close()


def _agent_error(error: Exception) -> AgentError | None:
    if isinstance(error, ExceptionGroup):
        return next(filter(None, map(_agent_error, error.exceptions)), None)
    return error if isinstance(error, AgentError) else None


if __name__ == "__main__":
    sys.exit(main())
