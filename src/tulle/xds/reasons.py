"""Why an Envoy refuses a resource, before what it prints of it.

Of a message that breaks a rule of its .proto, Envoy prints all fields, and the rule last: `Error adding/updating
cluster(s) a: goo.gle/debugproto name: "a" … : Proto constraint validation failed (ClusterValidationError.RingHashLbConfig:
embedded message failed validation | caused by RingHashLbConfigValidationError.MinimumRingSize: value must be …)`.
Its text is a stranger's: it may have any form and length.
"""

from __future__ import annotations

import re

_BROKEN = "Proto constraint validation failed ("
_WITHIN = " | caused by "
_DUMP = re.compile(r"(?:goo\.gle/debug\w+\s|\n).*", re.DOTALL)
_LONGEST = 500


def reason_first(message: str) -> str:
    """The same; where its reason is not at its beginning, that stands in a line of its own before it."""
    reason = reason_of(message)
    return message if message.startswith(reason.removesuffix("…")) else f"{reason}\n{message}"


def reason_of(message: str) -> str:
    """One line."""
    _, broken, rule = message.rpartition(_BROKEN)
    if not broken:
        return _shortened(_DUMP.sub("", message.strip()).strip(" :"))
    # An Envoy may print the fields behind the rule as well.
    rule = rule.removesuffix(")") if rule.endswith(")") else rule.partition("): ")[0]
    return _shortened(rule.rpartition(_WITHIN)[2].replace("ValidationError.", ".", 1))


def _shortened(reason: str) -> str:
    line = reason.strip().partition("\n")[0]
    return f"{line[:_LONGEST]}…" if len(line) > _LONGEST else line
