"""What access rules have decided against callers of this program: read from the sidecar's log, told in a line each, and counted.

Callers are told no reasons, so here is where to look. Somebody who keeps asking must not fill the log: what is too much is
only counted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping

from tulle.agent.decision_counts import Counts, Kind
from tulle.model.decisions import What

_AT_ONCE, _A_SECOND = 20, 1.0
_DENIED = "rbac_access_denied_matched_policy["
_NO_GOOD_TOKEN = "jwt_authn_access_denied{"  # noqa: S105
_BY_PROVIDER = {"ext_authz_denied": "its provider denies it", "ext_authz_error": "its provider can't be asked"}
_LONGEST = 400
_POLICY = "AuthorizationPolicy "
_SPIFFE = "spiffe://"


class Decisions:
    """tell: is given one message after the other. clock: in seconds. counts: of all of them."""

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self.counts = Counts(clock)
        self._clock = clock
        self._left = float(_AT_ONCE)
        self._at = clock()
        self._untold = 0

    def decided(self, line: bytes) -> None:
        """One line of the log, as translate/access/decision_log.py has Envoy write it."""
        try:
            record = json.loads(line)
        except ValueError:  # cut off, as Envoy ended
            self.counts.lose()
            return
        caller = str(record.get("caller", "")).removeprefix(_SPIFFE)
        for what, by, message in _found(record):
            self.counts.add(Kind(what, *_rule(by), caller))
            self._tell_some(message)

    def _tell_some(self, message: str) -> None:
        now = self._clock()
        self._left = min(_AT_ONCE, self._left + (now - self._at) * _A_SECOND)
        self._at = now
        if self._left < 1:
            self._untold += 1
            return
        self._left -= 1
        more = f" ({self._untold} more like it were not told)" if self._untold else ""
        self._untold = 0
        self._tell(f"{message}{more}")


def _found(record: Mapping[str, object]) -> Iterator[tuple[What, str, str]]:
    """What was decided, by which rule ("" if none fits), and the message."""
    what = _what(record)
    details = str(record.get("details", ""))
    if details.startswith(_DENIED):
        # Envoy writes blanks as underscores here; no name of a policy has any.
        by = details[len(_DENIED) :].rpartition("]")[0].replace("_", " ")
        by = "" if by == "none" else by
        yield What.DENIED, by, f"denied {what}: {by or 'no ALLOW policy fits'}"
    if details.startswith(_NO_GOOD_TOKEN):
        why = details[len(_NO_GOOD_TOKEN) :].rstrip("}").replace("_", " ")
        yield What.TOKEN_REFUSED, "", f"denied {what}: the token is not good: {why}"
    if details in _BY_PROVIDER:
        by = str(record.get("asked", ""))
        yield What.PROVIDER_DENIED, by, f"denied {what}: {by}: {_BY_PROVIDER[details]}"
    if record.get("would_deny_result") == "denied":
        by = str(record.get("would_deny", ""))
        yield What.WOULD_DENY, by, f"dry run: would deny {what}: {by}"
    if record.get("would_not_allow_result") == "denied":
        yield What.WOULD_DENY, "", f"dry run: would deny {what}: no ALLOW policy would fit"
    if record.get("audit_result") == "denied":
        by = str(record.get("audit", ""))
        yield What.AUDITED, by, f"audit: {what}: {by}"


def _rule(by: str) -> tuple[str, str]:
    """Its document, and its place there. What is no policy's has no place."""
    source, _, place = by.rpartition(" ") if by.startswith(_POLICY) else (by, "", "")
    return source, place


def _what(record: Mapping[str, object]) -> str:
    """Who asked for what. The caller has written it, so nothing of it may end the line or command the terminal."""
    asked = " ".join(str(record[key]) for key in ("method", "host", "path") if key in record)
    wanted = asked or f"a connection to {record.get('to', 'somewhere')}"
    text = f"{record.get('caller', 'somebody without a certificate')} at {record.get('address')}, {wanted}"
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])
