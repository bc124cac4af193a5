"""Paths of an AuthorizationPolicy: `{*}` stands for one segment, `{**}` for any number of them.

Source: Istio, pkg/config/security (CheckValidPathTemplate); Envoy, extensions/path/match/uri_template.
"""

from __future__ import annotations

import re

from tulle.sources.at import At

_ONE, _ANY = "{*}", "{**}"
_LONGEST = 256  # UriTemplateMatchConfig, `path_template`; there `{*}` is `*`
_SEGMENT = re.compile(r"[-a-zA-Z0-9._~%!$&'()+,;:@=]+")


def check(path: str, at: At) -> None:
    if problem := _problem(path):
        at.error(f"`{path}`: {problem}")
    elif is_template(path) and (not path.startswith("/") or "//" in path):
        # Envoy 1.40 ends itself when it is given one of these.
        at.unsupported(f"`{path}`: Envoy's templates begin with one `/`, and have no empty segment")
    elif is_template(path) and len(path.replace(_ANY, "**").replace(_ONE, "*")) > _LONGEST:
        at.unsupported(f"`{path}`: Envoy's templates have up to {_LONGEST} characters")


def is_template(path: str) -> bool:
    return _ONE in path or _ANY in path


def _problem(path: str) -> str | None:
    is_last = False
    for segment in path.strip("/").split("/"):
        if segment in (_ONE, _ANY):
            if is_last:
                return "`{**}` must be the last of its templates: write `{*}` before it, and text alone behind it"
            is_last = segment == _ANY
        elif "{" in segment or "}" in segment:
            return "braces stand for whole segments alone, as `{*}` or `{**}`"
        elif is_template(path) and not _SEGMENT.fullmatch(segment):
            return f"beside templates, {segment!r} can't be a segment: a `*` there is `{{*}}`, a blank `%20`, none is empty"
    return None
