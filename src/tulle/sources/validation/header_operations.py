"""Headers that a rule sets, adds and removes. What may stand in their values is `header_values`'."""

from __future__ import annotations

from tulle.model.resources.virtual_service import HeaderOperations, Headers, HTTPRewrite
from tulle.sources.at import At
from tulle.sources.validation import header_values
from tulle.sources.validation.basics import check_authority
from tulle.sources.validation.header_names import check_changed_name, is_authority


def check(headers: Headers | None, at: At) -> None:
    if headers is None:
        return
    _check_operations(headers.request, at.field("request"), authority=True)
    _check_operations(headers.response, at.field("response"), authority=False)


def check_authority_once(rewrite: HTTPRewrite | None, headers: Headers | None, at: At) -> None:
    """The host that is called can be given in one place only."""
    have = rewrite.authority if rewrite else ""
    request = headers.request if headers else None
    for field, values in (("set", request.set), ("add", request.add)) if request else ():
        for name, value in values.items():
            if is_authority(name):
                if have:
                    at.field("headers").field("request").field(field).key(name).error(
                        f"sets the authority to `{value}`, which is set to `{have}` elsewhere: keep one"
                    )
                    return
                have = value


def _check_operations(operations: HeaderOperations | None, at: At, authority: bool) -> None:
    if operations is None:
        return
    for field, values in (("set", operations.set), ("add", operations.add)):
        for name, value in values.items():
            place = at.field(field).key(name)
            check_changed_name(name, place, authority=authority)
            header_values.check(value, place)
            if authority and is_authority(name):
                check_authority(value, place)
    for index, name in enumerate(operations.remove):
        check_changed_name(name, at.field("remove").item(index))
