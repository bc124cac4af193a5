"""What the readers of YAML share: the fastest parser there is, what it says against a text, and what may have been meant.

What a plain word means differs: `cli/yaml_lines.py` follows YAML 1.2, `sources/scalars.py` Kubernetes.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from yaml import SafeLoader as Fastest
else:
    Fastest = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

__all__ = ["Fastest", "fault", "nearest"]

_MOST_NAMES = 24  # told in a message


def fault(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """The line, from 1, and the reason why a text is no YAML."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        reason = " ".join(filter(None, [error.context, error.problem]))
        # Where a text ends too early, the mark stands below its last line.
        return (min(mark.line, text.rstrip("\n").count("\n")) + 1 if mark else 1), f"this is no YAML: {reason}"
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, f"this is no YAML: the character {_shown(error.character)} is not allowed"
    return 1, f"this is no YAML: {error}"


def nearest(name: str, known: Collection[str]) -> str:
    """What may have been meant, as the end of a message."""
    near = get_close_matches(name, known, 1) if len(name) < 200 else []
    if near:
        return f"did you mean {near[0]}?"
    names = sorted(known)
    return f"there are: {', '.join(names[:_MOST_NAMES])}{', …' if len(names) > _MOST_NAMES else ''}"


def _shown(character: str | int) -> str:
    return repr(chr(character) if isinstance(character, int) else character)
