"""Which services a changed file concerns: `tulle dev --watch`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from watchfiles import Change, awatch

from tulle.cli.development.plan import Plan, Service

# A change counts once nothing else has changed for so long: editors and `git checkout` write many files.
_QUIET_MS = 200
_AT_MOST_MS = 1600


async def changes(plan: Plan, data: Path, *, polling: bool = False) -> AsyncIterator[Mapping[str, str]]:
    """The services whose files have changed, each with one such file. Raises OSError if the kernel allows no more watches.

    A file that was read for the plan counts for "". data: the state folder, which changes all the time.
    """
    watched = {path for service in plan.services for path in service.watch} | set(plan.read)
    # A file's folder rather than the file: editors put a new one in its place.
    paths = {path if path.is_dir() else path.parent for path in watched}
    roots = [path for path in sorted(paths) if not any(parent in paths for parent in path.parents)]

    def counts(_: Change, path: str) -> bool:
        return bool(concerned(plan, data, [Path(path)]))

    watching = awatch(
        *roots,
        watch_filter=counts,
        step=_QUIET_MS,
        debounce=_AT_MOST_MS,
        force_polling=polling or None,
        ignore_permission_denied=True,
    )
    async for found in watching:
        yield concerned(plan, data, sorted(Path(path) for _, path in found))


def concerned(plan: Plan, data: Path, paths: Iterable[Path]) -> Mapping[str, str]:
    """The services that these files belong to, each with the first of them as it is shown."""
    found: dict[str, str] = {}
    for path in paths:
        if path.is_relative_to(data):
            continue
        if path in plan.read:
            found.setdefault("", path.name)
            continue
        for service in plan.services:
            if service.name not in found and (shown := _shown(service, path)):
                found[service.name] = shown
    return found


def _shown(service: Service, path: Path) -> str:
    """The path below what is watched; empty if it is not below that, or ignored."""
    for root in service.watch:
        if path.is_relative_to(root):
            below = path.relative_to(root)
            words = [*below.parts, str(below)]
            ignored = any(fnmatchcase(word, pattern.rstrip("/")) for word in words for pattern in service.ignore)
            if not ignored:
                return str(below) if below.parts else path.name
    return ""
