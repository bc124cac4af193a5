"""What access rules have decided against callers of this program: read from the sidecar's log, and told in a line each.

Callers are told no reasons, so here is where to look. Somebody who keeps asking must not fill the log: what is too much is
counted, and the number told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

_AT_ONCE, _A_SECOND = 20, 1.0
_DENIED = "rbac_access_denied_matched_policy["
_NO_GOOD_TOKEN = "jwt_authn_access_denied{"  # noqa: S105
_BY_PROVIDER = {"ext_authz_denied": "its provider denies it", "ext_authz_error": "its provider can't be asked"}
_LONGEST = 400


class Decisions:
    """tell: is given one message after the other. clock: in seconds."""

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._left = float(_AT_ONCE)
        self._at = clock()
        self._untold = 0

    def decided(self, line: bytes) -> None:
        """One line of the log, as translate/access/decision_log.py has Envoy write it."""
        try:
            record = json.loads(line)
        except ValueError:  # cut off, as Envoy ended
            return
        for message in _messages(record):
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


def _messages(record: Mapping[str, object]) -> list[str]:
    what = _what(record)
    found = []
    details = str(record.get("details", ""))
    if details.startswith(_DENIED):
        # Envoy writes blanks as underscores here; no name of a policy has any.
        by = details[len(_DENIED) :].rpartition("]")[0].replace("_", " ")
        found.append(f"denied {what}: {'no ALLOW policy fits' if by == 'none' else by}")
    if details.startswith(_NO_GOOD_TOKEN):
        why = details[len(_NO_GOOD_TOKEN) :].rstrip("}").replace("_", " ")
        found.append(f"denied {what}: the token is not good: {why}")
    if details in _BY_PROVIDER:
        found.append(f"denied {what}: {record.get('asked')}: {_BY_PROVIDER[details]}")
    if record.get("would_deny_result") == "denied":
        found.append(f"dry run: would deny {what}: {record.get('would_deny')}")
    if record.get("would_not_allow_result") == "denied":
        found.append(f"dry run: would deny {what}: no ALLOW policy would fit")
    if record.get("audit_result") == "denied":
        found.append(f"audit: {what}: {record.get('audit')}")
    return found


def _what(record: Mapping[str, object]) -> str:
    """Who asked for what. The caller has written it, so nothing of it may end the line or command the terminal."""
    asked = " ".join(str(record[key]) for key in ("method", "host", "path") if key in record)
    wanted = asked or f"a connection to {record.get('to', 'somewhere')}"
    text = f"{record.get('caller', 'somebody without a certificate')} at {record.get('address')}, {wanted}"
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])
