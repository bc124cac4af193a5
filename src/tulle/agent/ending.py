"""How a workload ends: by itself, or in good order when it is asked to.

In good order no call is lost: nobody is given new calls for it any more, those on their way arrive, those in flight
are answered, and only then the program is told.
"""

from __future__ import annotations

import asyncio
import signal

from tulle.agent.exits import AgentError
from tulle.agent.health import DRAINING, UNHEALTHY
from tulle.agent.race import unless
from tulle.agent.restarts import Restarts, epitaph
from tulle.agent.workload import Workload

_PROPAGATION_SECONDS = 2.0
_CRASH_PROPAGATION_SECONDS = 1.0
_MARGIN_SECONDS = 0.1  # for calls that were on their way when the last sidecar learned of it
_IDLE_POLLS = 2
_POLL_SECONDS = 0.05
_KILL_SECONDS = 5.0


async def after_end(workload: Workload, restarts: Restarts) -> Restarts | None:
    """The program has ended by itself: starts it again as the policy says, or takes the instance out.

    What to remember until its next end; None when it stays ended, or is asked to while it would be started again.
    """
    code, lifetime = await workload.program.ended(), workload.program.lifetime
    again = restarts.after(code, lifetime)
    workload.console.info(epitaph(code, lifetime, again[0] if again else None))
    if workload.program.left_processes:
        workload.console.warning("it left processes behind, which are ended now; let it stay in the foreground")
    while again:
        pause, restarts = again
        await workload.program.clear()
        workload.ports.hold_programs()
        if not await unless(asyncio.sleep(pause, result=True), workload.signals.stop()):
            break
        workload.ports.release_programs()
        try:
            await workload.program.restart()
            return restarts
        except (
            AgentError
        ) as error:  # it can't be executed now, as in the middle of a deployment: it has failed once more
            if not (again := restarts.after(error.code, 0)):
                raise
            workload.console.warning(f"{error}; trying again in {again[0]:g} s")
    # Its Envoy still answers for it.
    workload.health.leave(UNHEALTHY)
    await workload.session.propagated(UNHEALTHY, _CRASH_PROPAGATION_SECONDS)
    return None


async def drain(workload: Workload) -> None:
    """Ends the program after its last call. Each further signal cuts the present wait short."""
    program, signals = workload.program, workload.signals
    workload.health.leave(DRAINING)
    workload.manager.stopping()
    workload.console.info(f"{signal.Signals(signals.first).name}: ending after the calls in flight; once more to hurry")
    await unless(_last_call(workload), signals.stop(), program.ended())
    await _end_program(workload, signals.first)


async def give_up(workload: Workload) -> None:
    """Ends the program because of a mistake, for which nobody should wait: without the calls in flight."""
    workload.health.leave(UNHEALTHY)
    workload.manager.stopping()
    await workload.session.propagated(UNHEALTHY, _CRASH_PROPAGATION_SECONDS)
    await _end_program(workload, signal.SIGTERM)


async def _end_program(workload: Workload, number: int) -> None:
    program, signals = workload.program, workload.signals
    program.signal(number)
    if not await unless(_all_gone(workload), signals.stop()):
        program.signal(signal.SIGKILL)
        try:
            async with asyncio.timeout(_KILL_SECONDS):
                await program.ended()
        except TimeoutError:
            raise AgentError("the program can't be killed; it waits for a device, or is another user's") from None


async def _last_call(workload: Workload) -> None:
    """Waits until no call to the program is in flight, and none can come."""
    seconds = workload.config.drain_seconds
    if not await workload.session.propagated(DRAINING, _PROPAGATION_SECONDS):
        workload.console.warning("can't tell whether all sidecars know that this instance ends; ending it all the same")
    await asyncio.sleep(_MARGIN_SECONDS)
    active: int | None = 0
    try:
        async with asyncio.timeout(seconds):
            idle = 0
            while idle < _IDLE_POLLS:
                active = await workload.envoy.active_requests()
                idle = 0 if active else idle + 1
                await workload.envoy.look_at_calls()
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        workload.console.warning(f"after {seconds:g} s {active} requests are still in flight; ending the program now")


async def _all_gone(workload: Workload) -> bool:
    """Waits for the end of the program and of what it started."""
    grace = workload.config.grace_seconds
    try:
        async with asyncio.timeout(grace):
            await workload.program.ended()
            await workload.program.gone()
        return True
    except TimeoutError:
        workload.console.warning(f"the program takes longer than {grace:g} s to end; killing it")
        return False
