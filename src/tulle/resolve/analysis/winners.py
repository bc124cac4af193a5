"""Of several resources for one host: those that count for no caller at all, whatever its namespace.

For each caller one counts, as `rules` and `services` choose it: the nearest, there the oldest. A Sidecar may hide the one
that wins here from some callers; then another counts for these, and is seen to be in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from tulle.model.resources.resource import Ref, Resource
from tulle.model.resources.service_entry import ServiceEntry
from tulle.model.resources.virtual_service import VirtualService

_Rank = tuple[int, tuple[float, Ref]]  # how near, how old: the least wins


class Claim(Struct, frozen=True, eq=False):
    """For which callers a resource may count, and how near it is to them. everyone: None if not for all namespaces."""

    resource: Resource
    named: Mapping[str, int]
    everyone: int | None


def of_virtual_service(resource: Resource, defaults: Sequence[str]) -> Claim:
    """Private ones come first, then those that name the caller's namespace, then public ones."""
    spec, own = resource.spec, resource.ref.namespace
    to = (spec.export_to if isinstance(spec, VirtualService) else ()) or defaults or ("*",)
    if "*" in to:
        return Claim(resource, {}, 2)
    return Claim(resource, {own if space == "." else space: 0 if space == "." else 1 for space in to}, None)


def of_service_entry(resource: Resource, defaults: Sequence[str]) -> Claim:
    """The caller's own namespace's come first."""
    spec, own = resource.spec, resource.ref.namespace
    to = (spec.export_to if isinstance(spec, ServiceEntry) else ()) or defaults or ("*",)
    spaces = {own if space in (".", "*") else space for space in to}
    return Claim(resource, {space: 0 if space == own else 1 for space in spaces}, 1 if "*" in to else None)


def losers(claims: Iterable[Claim]) -> dict[Ref, Resource]:
    """Those that count for nobody, each with one that counts instead."""
    claims = [claim for claim in claims if claim.named or claim.everyone is not None]
    public = min(
        ((claim.everyone, claim.resource.age, claim) for claim in claims if claim.everyone is not None),
        key=lambda one: one[:2],
        default=None,
    )
    best: dict[str, tuple[_Rank, Claim]] = {}
    for claim in claims:
        for space, near in claim.named.items():
            rank = (near, claim.resource.age)
            if space not in best or rank < best[space][0]:
                best[space] = (rank, claim)

    def winner(space: str) -> Claim:
        rank, claim = best[space]
        return public[2] if public and (public[0], public[1]) < rank else claim

    found: dict[Ref, Resource] = {}
    for claim in claims:
        by_name = [winner(space) for space in claim.named]
        if any(one is claim for one in by_name) or (public and public[2] is claim):
            continue
        instead = by_name[0] if by_name else public[2] if public else claim
        found[claim.resource.ref] = instead.resource
    return found


def why(winner: Resource, loser: Resource) -> str:
    """`VirtualService default/reviews, older,`, to stand before what it does."""
    older = "older" if winner.age < loser.age else "nearer to its callers"
    return f"{winner.ref}, {older},"
