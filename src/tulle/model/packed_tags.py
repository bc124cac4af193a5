"""Tags of one of Envoy's series, all in one text: `reporter=source;cluster=outbound|80||b.default...;response_code=200`.

To Envoy a tag costs each request several allocations, however short it is; a text that is made of several operators costs one.
"""

from __future__ import annotations

from collections.abc import Mapping

TAG = "call"  # what the tag is called that has the others in it
LAST = "route"  # the only one in whose value may be anything


def packed(tags: Mapping[str, str]) -> str:
    """In the order of tags, but LAST comes last, so that no value is taken for another tag."""
    return ";".join(f"{name}={value}" for name, value in sorted(tags.items(), key=lambda each: each[0] == LAST))


def unpacked(tags: Mapping[str, str]) -> dict[str, str]:
    """A series' tags, with those in place of TAG that are in it."""
    found = {name: value for name, value in tags.items() if name != TAG}
    before, is_there, last = f";{tags.get(TAG, '')}".partition(f";{LAST}=")
    for part in before.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            found.setdefault(name, value)
    if is_there:
        found[LAST] = last
    return found
