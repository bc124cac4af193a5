"""Shares of calls in whole percent: what is asked for, and the steps that lead there."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from tulle.model.names import is_label

Weights = dict[str, int]


def read(texts: tuple[str, ...]) -> tuple[Weights, list[str]]:
    """Of `VERSION=WEIGHT` each; and what is wrong with them, the sum left aside."""
    found: Weights = {}
    mistakes = []
    for text in texts:
        version, equals, number = text.rpartition("=")
        if not equals or not is_label(version) or not (number.isascii() and number.isdigit() and len(number) < 4):
            mistakes.append(f"{text!r}: write VERSION=WEIGHT, such as v1=90")
        elif version in found:
            mistakes.append(f"{version} is given twice")
        else:
            found[version] = int(number)
    return found, mistakes


def raised(now: Mapping[str, int], version: str, share: int) -> Weights:
    """One version gets the share; the others keep theirs in proportion."""
    others = {name: weight for name, weight in now.items() if name != version and weight}
    if not others and share < 100:
        raise ValueError(f"no other version gets calls now: say who gets the other {100 - share} percent")
    total = sum(others.values()) or 1
    left = whole({name: (100 - share) * weight / total for name, weight in others.items()}, 100 - share)
    return {**left, version: share}


def risen(now: Mapping[str, int], target: Mapping[str, int]) -> str:
    """The one version whose share grows. Raises ValueError, whose text is for the user."""
    found = [name for name, weight in target.items() if weight > now.get(name, 0)]
    if not found:
        raise ValueError("no version would get more than now: a gradual shift raises one")
    if len(found) > 1:
        raise ValueError(f"{' and '.join(found)} would get more than now: a gradual shift raises one at a time")
    return found[0]


def steps(now: Mapping[str, int], target: Mapping[str, int], step: int) -> list[Weights]:
    """From the weights of now to those that are wanted, by at most so many percent of the version that rises."""
    version = risen(now, target)
    first, last = now.get(version, 0), target[version]
    names = [*target, *(name for name in now if name not in target)]
    found = []
    for number in range(1, ceil((last - first) / step) + 1):
        share = min(last, first + number * step)
        done = (share - first) / (last - first)
        others = {
            name: now.get(name, 0) + (target.get(name, 0) - now.get(name, 0)) * done
            for name in names
            if name != version
        }
        divided = whole(others, 100 - share)
        found.append({name: share if name == version else divided[name] for name in names})
    return found


def whole(shares: Mapping[str, float], total: int = 100) -> Weights:
    """In proportion, as whole numbers with that sum: those with the largest rest are rounded up."""
    scale = total / (sum(shares.values()) or 1)
    exact = {name: share * scale for name, share in shares.items()}
    found = {name: int(share + 1e-9) for name, share in exact.items()}
    by_rest = sorted(exact, key=lambda name: found[name] - exact[name])
    for name in by_rest[: total - sum(found.values())]:
        found[name] += 1
    return found


def told(weights: Mapping[str, int]) -> str:
    """`v1=90 v2=10`."""
    return " ".join(f"{version}={weight}" for version, weight in weights.items())
