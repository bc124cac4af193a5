"""What `tulle dev` is to run, checked and in order. Where it was written, a tulle.yaml or a Procfile, no longer counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

DEFAULT_IGNORE = (
    *(".git", ".hg", ".svn", "__pycache__", ".venv", "venv", "node_modules", ".tox", ".nox", ".idea", ".vscode"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", "*.py[cod]", "*~", ".#*", "*.sw?", "*.tmp"),
    *("*.log", "*.pid", "*.db", "*.db-*", "*.sqlite", "*.sqlite-*", "*.sqlite3", "*.sqlite3-*", ".DS_Store", "4913"),
)


class Service(Struct, frozen=True):
    """One service, all of whose values are checked.

    environment: what is added to that of `tulle dev`. options: those of `tulle run`.
    must_listen: whether it has said that it does, by a port or a health path; else it may be one that only calls.
    watch: what `--watch` looks at; ignore: patterns of names and paths that do not count.
    depends_on: started when all of these are healthy. trace: whether it passes a trace's context on.
    """

    name: str
    namespace: str
    command: tuple[str, ...]
    folder: Path
    environment: dict[str, str]
    options: tuple[str, ...]
    replicas: int
    restart: str | None
    must_listen: bool
    watch: tuple[Path, ...]
    ignore: tuple[str, ...]
    depends_on: tuple[str, ...]
    trace: bool = True


class Plan(Struct, frozen=True):
    """services: each after those that it depends on. read: the files that were read; a change of them needs a new start."""

    file: Path
    services: tuple[Service, ...]
    read: tuple[Path, ...]

    def only(self, names: Collection[str]) -> Plan:
        """The named services and what they depend on; all of them if none is named."""
        if not names:
            return self
        by_name = {service.name: service for service in self.services}
        wanted: set[str] = set()
        waiting = list(names)
        while waiting:
            if (name := waiting.pop()) not in wanted:
                wanted.add(name)
                waiting += by_name[name].depends_on
        services = tuple(service for service in self.services if service.name in wanted)
        return Plan(self.file, services, self.read)


def in_order(services: Sequence[Service]) -> tuple[Service, ...]:
    """Each after those that it depends on, else as they were. There must be no cycle."""
    ordered: dict[str, Service] = {}
    waiting = list(services)
    while waiting:
        ready = next(service for service in waiting if all(name in ordered for name in service.depends_on))
        ordered[ready.name] = ready
        waiting.remove(ready)
    return tuple(ordered.values())


def cycles(depends_on: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Circles of dependence, each once, beginning with the first of its names: `a` needs `b`, which needs `a`."""
    found: list[tuple[str, ...]] = []
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        if name in way:
            found.append(tuple(way[way.index(name) :]))
        elif name not in done:
            for needed in depends_on.get(name, ()):
                visit(needed, [*way, name])
            done.add(name)

    for name in depends_on:
        visit(name, [])
    return found
