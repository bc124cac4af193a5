"""StringMatch: exact, prefix or regex, one at most. With none of them it asks only whether the thing is there."""

from __future__ import annotations

from tulle.model.resources.common import StringMatch
from tulle.sources.at import At
from tulle.sources.validation.amounts import check_one_of
from tulle.sources.validation.basics import check_regex


def check(match: StringMatch | None, at: At, *, empty_prefix: bool = False) -> None:
    """empty_prefix: whether "" may be a prefix, of anything. Only Envoy's match of paths takes it."""
    if match is None:
        return
    check_one_of(match, at, exact="exact", prefix="prefix", regex="regex")
    if match.prefix == "" and not empty_prefix:
        at.field("prefix").error("is empty: write what it begins with, or `{}` for any")
    if match.regex is not None:
        check_regex(match.regex, at.field("regex"))
