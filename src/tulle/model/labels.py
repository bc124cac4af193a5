"""What labels and versions look like.

Source: Kubernetes, "Labels and Selectors": a key is [prefix/]name; name and value have at most 63 characters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

WORD = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{WORD}")
_VALUE = re.compile(rf"({WORD})?")
_RULE = "use at most 63 letters, digits, dots, hyphens and underscores, with a letter or digit at both ends"


def label_problems(version: str, labels: Sequence[tuple[str, str]]) -> Iterator[str]:
    """All that is wrong with what an instance says of itself, in the user's words."""
    if _VALUE.fullmatch(version) is None:
        yield f"version {version!r} is not valid: {_RULE}"
    for key, value in labels:
        if _KEY.fullmatch(key) is None:
            yield f"label {key!r} is not valid: {_RULE}; a DNS name and a slash may come before it"
        if _VALUE.fullmatch(value) is None:
            yield f"the value {value!r} of label {key} is not valid: {_RULE}"
    for key, times in Counter(key for key, _ in labels).items():
        if times > 1:
            yield f"label {key} is given {times} times"
