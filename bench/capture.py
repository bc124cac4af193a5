"""What capture costs in each mode, beside a client without: connections, look-ups, calls, CPU, start and memory.

All clients run the whole time, and each round measures all of them once, in another order; what is said of a mode is
the median over the rounds, and "over" is its distance from the uncaptured client in the same round. That client calls
the program itself: without a mesh, there is no Envoy on its way.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

from bench import captured
from bench.captured import NONE, Bench, Client
from bench.figure import Figure
from bench.meshes import Mesh
from bench.processes import cpu_seconds, memory
from bench.start import seconds_to_program

_TULLES = ("agent", "reaper")
_STORM = {"processes": 4, "threads": 8}


def run(quick: bool) -> list[Figure]:
    rounds, storms, starts, settle = (2, 1, 1, 1.0) if quick else (25, 5, 10, 10.0)
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        bench = captured.bench(Path(folder), stack)
        for client in captured.shuffled_rounds(bench.clients, rounds):
            _measure(client)
        for client in captured.shuffled_rounds(bench.clients, storms):
            _storm(client, 20 if quick else 100)
        for client in captured.shuffled_rounds([c for c in bench.clients if c.mode != NONE], starts):
            client.values["start"].append(_start(bench, client))
        _rest(bench.clients, settle)
        return list(_figures(bench.clients))


def _measure(client: Client) -> None:
    """One round."""
    asked, values, service, outside = client.asked, client.values, client.service, client.outside
    for what, place in (("connect", service), ("connect_outside", outside)):
        values[what].append(median(asked.ask("connects", address=place.address, port=place.port, times=100)))
    for what, place in (("dns", service), ("dns_outside", outside)):
        if place.name:
            values[what].append(median(asked.ask("lookups", name=place.name, times=50)))
    where = {"address": service.address, "port": service.port, "target": service.target}
    values["request"].append(median(asked.ask("requests", **where, times=200)))
    times = 200
    before = _cpu(client)
    values["call"].append(median(asked.ask("calls", **where, times=times)))
    used = {part: (seconds - before[part]) / times * 1e6 for part, seconds in _cpu(client).items()}
    values["cpu"].append(sum(used.values()))
    values["cpu_tulle"].append(sum(used.get(part, 0) for part in _TULLES))
    for part, microseconds in used.items():
        values[f"cpu of {part}"].append(microseconds)


def _rest(clients: list[Client], seconds: float) -> None:
    """Nobody calls; what is used all the same."""
    before = [_cpu(client) for client in clients]
    time.sleep(seconds)
    for client, then in zip(clients, before, strict=True):
        now = _cpu(client)
        client.values["idle"].append(sum(now[part] - then[part] for part in _TULLES if part in now) / seconds * 1e3)


def _cpu(client: Client) -> dict[str, float]:
    return {part: cpu_seconds(pid) for part, pid in client.parts.items()}


def _storm(client: Client, each: int) -> None:
    """Connections only, and then calls, by name where the mode has names: a program with many processes and threads."""
    place = client.service
    for what, address, target in (
        ("connects_at_once", place.address, ""),
        ("calls_at_once", place.name or place.address, place.target),
    ):
        done = client.asked.ask("storm", address=address, port=place.port, target=target, each=each, **_STORM)
        number = _STORM["processes"] * _STORM["threads"] * each
        client.values[what].append(number / done["seconds"])
        client.values["stormed"].append(number)
        client.failures += done["failures"]


def _start(bench: Bench, client: Client) -> float:
    with ExitStack() as one:
        mesh = Mesh(bench.mesh.folder, one, bench.around)
        says = bench.mesh.folder / f"started-{client.mode}-{len(client.values['start'])}"
        return seconds_to_program(mesh, says, ("--capture", client.mode))


def _figures(clients: list[Client]) -> Iterator[Figure]:
    bare, *others = clients
    print(f"capture: load average {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    for name, what in (
        ("connect", "connect, to a service"),
        ("connect_outside", "connect, to an address outside of the mesh"),
        ("dns", "look-up of a service"),
        ("dns_outside", "look-up of a name outside of the mesh"),
        ("request", "call of a service over an open connection"),
        ("call", "call of a service over a connection of its own"),
    ):
        base = bare.values["dns_outside" if name == "dns" else name]
        if base:
            yield Figure(f"{name}_{NONE}", f"{what}, {NONE}", median(base), "µs", note=_spread(base))
        for client in others:
            yield from _over(f"{name}_{client.mode}", f"{what}, {client.mode}", client.values[name], base)
    for client in clients:
        yield from _cpu_figures(client, bare)
        yield from _storm_figures(client)
    for client in others:
        start = client.values["start"]
        what = f"`tulle run` to program started, {client.mode}"
        yield Figure(f"start_{client.mode}", what, median(start), "s", reach=1, note=_spread(start, 2))
        yield _memory(client)
        what = f"CPU of agent and reaper per second when nobody calls, {client.mode}"
        yield Figure(f"idle_{client.mode}", what, client.values["idle"][-1], "ms")


def _over(name: str, what: str, values: list[float], base: list[float]) -> Iterator[Figure]:
    if not values:
        return
    note = _spread(values)
    if base:
        over = [value - other for value, other in zip(values, base, strict=True)]
        note = f"{median(over):+,.0f} over {NONE} ({_quartiles(over)}); {note}"
    yield Figure(name, what, median(values), "µs", note=note)


def _cpu_figures(client: Client, bare: Client) -> Iterator[Figure]:
    parts = ", ".join(f"{part} {median(client.values[f'cpu of {part}']):.0f}" for part in client.parts)
    what = f"CPU of a call over a connection of its own, {client.mode}"
    over = [value - other for value, other in zip(client.values["cpu"], bare.values["cpu"], strict=True)]
    note = parts if client is bare else f"{parts}; {median(over):+.0f} over {NONE} ({_quartiles(over)})"
    yield Figure(f"cpu_{client.mode}", what, median(client.values["cpu"]), "µs", note=note)
    if client is not bare:
        tulles = client.values["cpu_tulle"]
        what = f"of it tulle's own, {client.mode}"
        yield Figure(f"cpu_tulle_{client.mode}", what, median(tulles), "µs", note=_spread(tulles))


def _storm_figures(client: Client) -> Iterator[Figure]:
    at_once = f"{_STORM['processes']} processes × {_STORM['threads']} threads"
    one_by_one = [1e6 / value for value in client.values["connect"]]
    yield Figure(
        f"connects_{client.mode}",
        f"connects/s, one thread, {client.mode}",
        median(one_by_one),
        "/s",
        note="while in connect(2)",
    )
    for name, what in (("connects_at_once", "connects/s"), ("calls_at_once", "calls/s on connections of their own")):
        by_name = " with a look-up each" if name == "calls_at_once" and client.service.name else ""
        rates = client.values[name]
        yield Figure(
            f"{name}_{client.mode}",
            f"{what}{by_name}, {at_once}, {client.mode}",
            median(rates),
            "/s",
            note=_spread(rates),
        )
    number = f"of {sum(client.values['stormed']):,.0f} connections"
    told = "; ".join([number, *sorted(set(client.failures))[:3]])
    what = f"failed of those at once, {client.mode}"
    yield Figure(f"failed_{client.mode}", what, len(client.failures), "", reach=1, note=told)


def _memory(client: Client) -> Figure:
    """Of the agent and all that it has started, but Envoy and the program."""
    parts = {"agent": client.parts["agent"], **captured.helpers(client.parts["agent"])}
    sizes = {part: memory(pid) for part, pid in parts.items()}
    told = ", ".join(f"{part} {size.rss:.1f} (PSS {size.pss:.1f})" for part, size in sizes.items())
    rss, pss = sum(size.rss for size in sizes.values()), sum(size.pss for size in sizes.values())
    note = f"{told}; PSS {pss:.1f}; after {sum(client.values['stormed']):,.0f} connections at once"
    return Figure(f"memory_{client.mode}", f"agent RSS with helpers, {client.mode}", rss, "MB", reach=40, note=note)


def _spread(values: list[float], digits: int = 0) -> str:
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f} in {len(values)} rounds"


def _quartiles(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.0f}"
    low, _, high = quantiles(values, n=4)
    return f"quartiles {low:+,.0f} and {high:+,.0f}"
