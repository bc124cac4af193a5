"""What a request is changed to before it goes on: its path and its authority."""

from __future__ import annotations

from tulle.model.resources.virtual_service import HTTPRewrite, RegexRewrite
from tulle.sources.at import At
from tulle.sources.validation.basics import check_authority, check_one_line, check_regex


def check(rewrite: HTTPRewrite | None, at: At) -> None:
    if rewrite is None:
        return
    if rewrite.uri and rewrite.uri_regex_rewrite is not None:
        at.field("uriRegexRewrite").error("`uri` is given as well, and both say what the path becomes: keep one")
    if not (rewrite.uri or rewrite.authority) and rewrite.uri_regex_rewrite is None:
        at.error("changes nothing: give `uri`, `uriRegexRewrite` or `authority`")
    check_one_line(rewrite.uri, at.field("uri"))
    check_authority(rewrite.authority, at.field("authority"))
    if rewrite.uri_regex_rewrite is not None:
        _check_regex_rewrite(rewrite.uri_regex_rewrite, at.field("uriRegexRewrite"))


def _check_regex_rewrite(rewrite: RegexRewrite, at: At) -> None:
    if not (rewrite.match and rewrite.rewrite):
        at.error("needs both `match`, what is looked for, and `rewrite`, what is put in its place: give both")
    else:
        check_regex(rewrite.match, at.field("match"))
        check_one_line(rewrite.rewrite, at.field("rewrite"))
