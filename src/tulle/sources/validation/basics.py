"""What a single value must look like, whichever resource it stands in: hosts, ports, lengths of time, addresses, labels.

Each `check_...` notes at most one error at the place it is given. What values must be of a resource is the resource's own.
Source: istio/istio, pkg/config/validation/agent/validation.go and pkg/config/labels/instance.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import re2

from tulle.model.durations import nanoseconds
from tulle.model.ip import is_address
from tulle.sources.at import At

MESH_GATEWAY = "mesh"

_MILLISECOND = 10**6
_LONGEST_HOST = 255
_LONGEST_LABEL = 63
_LONGEST_PREFIX = 253
_LONGEST_REGEX = 1024

# Istio's labels of DNS may have capital letters; those of tulle's own services may not (model.names).
_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_WILDCARD_LABEL = re.compile(rf"\*|(?:\*-?)?{_LABEL}")
_HEADER_NAME = re.compile(r"[-_A-Za-z0-9]+")
_QUALIFIED = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_KEY = re.compile(rf"(?:({_LABEL}(?:\.{_LABEL})*)/)?({_QUALIFIED})")
_LABEL_VALUE = re.compile(rf"(?:{_QUALIFIED})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
# What RFC 3986 lets stand in an authority, section 3.2, but for `user@`, which HTTP forbids (RFC 9110, section 4.2.4).
_AUTHORITY = re.compile(r"[-A-Za-z0-9._~!$&'()*+,;=:%\[\]]*")
_PREFIX_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}")

# Envoy compiles users' patterns with RE2's own bounds of memory. Nothing is logged: the user is told instead.
_RE2 = re2.Options()
_RE2.log_errors = False
_RE2.max_mem = 8 << 20


def is_dns_label(text: str) -> bool:
    return len(text) <= _LONGEST_LABEL and _DNS_LABEL.fullmatch(text) is not None


def is_subnet(text: str) -> bool:
    """Whether it is one address, or a block of them in CIDR notation; bits beyond the prefix don't matter."""
    address, slash, length = text.partition("/")
    if not is_address(address):
        return False
    if not slash:
        return True
    if "%" in address or not _PREFIX_LENGTH.fullmatch(length):
        return False
    return int(length) <= (128 if ":" in address else 32)


def fqdn_problem(text: str) -> str | None:
    """Why this is no name of DNS; None if it is one. A final dot is allowed."""
    return _length_problem(text) or _labels_problem(text, text)


def wildcard_host_problem(text: str) -> str | None:
    """Why this is no host: a name of DNS, long or short, whose first label may be `*` or begin with it."""
    if problem := _length_problem(text):
        return problem
    first, dot, rest = text.partition(".")
    if len(first) > _LONGEST_LABEL or not _WILDCARD_LABEL.fullmatch(first):
        return f"{text!r} is no host: its part {first!r} {_LABEL_RULE}; a wildcard is allowed only at its beginning"
    return _labels_problem(text, rest) if dot else None


_LABEL_RULE = "must be 1 to 63 letters, digits and hyphens, with a letter or digit at both ends"


def _length_problem(text: str) -> str | None:
    if not text:
        return "is empty: name a host"
    if len(text.encode(errors="replace")) > _LONGEST_HOST:
        return f"is {len(text)} characters long: write a host of at most {_LONGEST_HOST}"
    return None


def _labels_problem(whole: str, text: str) -> str | None:
    labels = text.split(".")
    if _INTEGER.fullmatch(labels[-1]):
        return f"{whole!r} is no host: its last part {labels[-1]!r} must not be a number"
    if labels[-1] == "":
        labels.pop()
    for label in labels:
        if not is_dns_label(label):
            return f"{whole!r} is no host: its part {label!r} {_LABEL_RULE}"
    return None


def check_fqdn(text: str, at: At) -> None:
    if problem := fqdn_problem(text):
        at.error(problem)


def check_wildcard_host(text: str, at: At) -> None:
    if problem := wildcard_host_problem(text):
        at.error(problem)


def check_port(number: int, at: At) -> None:
    if not 1 <= number <= 65535:
        at.error(f"is {number}: use a port from 1 to 65535")


def check_duration(text: str, at: At) -> int | None:
    """The nanoseconds, if they are right: whole milliseconds, one at least."""
    found = nanoseconds(text)
    if found is None:
        at.error(f"{text!r} is no length of time: write it like 500ms, 1.5s or 1m")
    elif found < _MILLISECOND:
        at.error(f"is {text}: use at least 1ms")
    elif found % _MILLISECOND:
        at.error(f"is {text}: use whole milliseconds")
    else:
        return found
    return None


def check_subnet(text: str, at: At) -> None:
    if not is_subnet(text):
        at.error(f"{text!r} is no subnet: write it like 10.1.0.0/16, or as one address")
    else:
        check_no_zone(text, at)


def check_no_zone(address: str, at: At) -> None:
    """`fe80::1%eth0` (RFC 4007): Istio takes it, and an Envoy only where there is an interface of that name."""
    if "%" in address:
        at.unsupported(
            f"`{address}` names an interface, and means something else on each machine: "
            f"leave `%{address.partition('%')[2]}` out, or use an address that holds everywhere"
        )


def check_labels(labels: Mapping[str, str], at: At) -> None:
    for key, value in labels.items():
        match = _LABEL_KEY.fullmatch(key)
        if match is None or len(match[1] or "") > _LONGEST_PREFIX or len(match[2]) > _LONGEST_LABEL:
            at.key(key).error(
                f"{key!r} is no key of a label: use 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit "
                "at both ends; a name of DNS and '/' may stand before it"
            )
        elif not _LABEL_VALUE.fullmatch(value):
            at.key(key).error(
                f"{value!r} is no value of a label: use letters, digits, '-', '_' and '.', "
                "with a letter or digit at both ends"
            )


def check_header_name(name: str, at: At) -> None:
    if not _HEADER_NAME.fullmatch(name):
        at.error(f"{name!r} is no name of a header: use letters, digits, '-' and '_'")


def check_percentage(value: float, at: At) -> None:
    """Of Percent where 0 means never: Envoy counts in millionths, and less than one of them would mean never as well."""
    if not (value == 0.0 or 0.0001 <= value <= 100.0):
        at.error(f"is {value}: use 0, or a number from 0.0001 to 100")


def check_regex(pattern: str, at: At) -> None:
    """Of RE2, as Envoy reads it. Istio takes 1024 bytes, so that what is accepted also compiles in Envoy."""
    try:
        size = len(pattern.encode())
        if not size:
            at.error("is an empty regular expression: write a pattern, or leave the field out")
        elif size > _LONGEST_REGEX:
            at.error(f"is {size} bytes long: shorten the regular expression to {_LONGEST_REGEX}")
        else:
            re2.compile(pattern, _RE2)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        at.error(
            f"{pattern!r} is no regular expression of RE2: {reason}; write it as in https://github.com/google/re2/wiki/Syntax"
        )


def check_authority(text: str, at: At) -> None:
    """Of a request that is sent. Istio does not look. Envoy takes all but line breaks, and then the sidecar that is called ends
    the connection, with all other calls on it.
    """
    if not _AUTHORITY.fullmatch(text):
        at.unsupported(
            f"{text!r} can be no host of a request: use letters, digits, '-', '.' and ':', as in a.example.com:80"
        )


def check_one_line(text: str, at: At) -> None:
    """Envoy takes no line breaks in what becomes a header or a path; Istio does not look."""
    if any(character in text for character in "\0\r\n"):
        at.unsupported(f"{text!r} has a line break, which Envoy does not take: write it in one line")
