"""Names that users write: of hosts, ports, labels and addresses. Whether they exist is not asked here.

Source: Istio, pkg/config/labels (RFC 1123, letters of either case) and pkg/config/validation/agent; Go's netip for addresses.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

from tulle.sources.at import At

_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_WILDCARD_LABEL = re.compile(rf"\*|(?:\*|\*-)?{_LABEL}")
_QUALIFIED = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_KEY = re.compile(rf"(?:({_LABEL}(?:\.{_LABEL})*)/)?({_QUALIFIED})")
_LABEL_VALUE = re.compile(rf"(?:{_QUALIFIED})?")
_HEADER = re.compile(r"[-_A-Za-z0-9]+")
_PREFIX_BITS = re.compile(r"0|[1-9][0-9]{0,2}")
_LONGEST_LABEL, _LONGEST_HOST, _LONGEST_PREFIX = 63, 255, 253
_LABEL_RULE = "letters, digits and hyphens, at most 63, beginning and ending with a letter or digit"

HTTP_PROTOCOLS = frozenset({"http", "http2", "http_proxy", "grpc", "grpc-web"})
TLS_PROTOCOLS = frozenset({"https", "tls"})
TCP_PROTOCOLS = frozenset({"tcp", "https", "tls", "mongo", "redis", "mysql"})
PROTOCOLS = HTTP_PROTOCOLS | TCP_PROTOCOLS | {"udp"}


def is_label(text: str) -> bool:
    return len(text) <= _LONGEST_LABEL and _DNS_LABEL.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """An IP address, without a port or a prefix length."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_subnet(text: str) -> bool:
    """An IP address, or one with a prefix length. Bits beyond the prefix may be set, as Istio allows it."""
    address, slash, bits = text.partition("/")
    if not slash:
        return is_address(address)
    if not is_address(address) or "%" in address or not _PREFIX_BITS.fullmatch(bits):
        return False
    return int(bits) <= ipaddress.ip_address(address).max_prefixlen


def host_fault(host: str, *, wildcard: bool = True) -> str | None:
    """What keeps `host` from being a DNS name; None if nothing does. wildcard: whether its first label may hold a `*`."""
    if not host:
        return "a host is needed: write a DNS name, such as `reviews.default.svc.cluster.local`"
    if len(host.encode()) > _LONGEST_HOST:
        return f"host `{host[:40]}…` has {len(host)} characters: a DNS name has {_LONGEST_HOST} at most"
    labels = host.split(".")
    if wildcard:
        first = labels.pop(0)
        if len(first) > _LONGEST_LABEL or not _WILDCARD_LABEL.fullmatch(first):
            return f"`{host}` is no DNS name: `{first}` must be {_LABEL_RULE}, or `*`"
        if not labels:
            return None
    return _labels_fault(host, labels)


def _labels_fault(host: str, labels: list[str]) -> str | None:
    last = labels[-1]
    if last.isascii() and last.isdigit() and int(last) < 2**63:
        return f"`{host}` is no DNS name: its last part can't be the number `{last}`"
    # A name may end with a dot: `istio.io.`
    for label in labels[:-1] if not last else labels:
        if not is_label(label):
            return f"`{host}` is no DNS name: `{label}` must be {_LABEL_RULE}"
    return None


def check_host(host: str, at: At, *, wildcard: bool = True) -> None:
    if fault := host_fault(host, wildcard=wildcard):
        at.error(fault)


def is_partial_wildcard(host: str) -> bool:
    """`*foo.com`: a wildcard that is not a whole label."""
    return "*" in host and host != "*" and not host.startswith("*.")


def check_namespaced_host(text: str, at: At) -> None:
    """`namespace/dnsName`, as Sidecar's egress names hosts. The namespace may be `*`, `.` or `~`."""
    namespace, slash, host = text.partition("/")
    if not slash:
        at.error(f"`{text}` must have the form namespace/dnsName: `./{text}` for this namespace, `*/{text}` for any")
        return
    if not namespace or not host:
        at.error(f"`{text}`: neither the namespace nor the name may be empty; `./*` is everything in this namespace")
        return
    if namespace not in ("*", ".", "~") and not is_label(namespace):
        at.error(f"`{text}`: the namespace `{namespace}` must be {_LABEL_RULE}, or `*`, `.` or `~`")
    if host != "*" and "." not in host:
        at.error(
            f"`{text}`: `{host}` is a short name; write it in full, `{host}.{_example(namespace)}.svc.cluster.local`"
        )
    check_host(host, at)
    if is_partial_wildcard(host):
        at.error(f"`{text}`: a `*` must stand for whole labels, as in `*.example.com`")


def _example(namespace: str) -> str:
    return namespace if is_label(namespace) else "default"


def check_port_name(name: str, at: At) -> None:
    if not is_label(name):
        at.error(f"the port's name `{name}` must be {_LABEL_RULE}" if name else "a port needs a name, such as `http`")


def check_protocol(protocol: str, at: At) -> None:
    """The empty one means: find out from the first bytes."""
    if protocol and protocol.lower() not in PROTOCOLS:
        at.error(
            f"`{protocol}` is no protocol that is known; use HTTP, HTTP2, GRPC, GRPC-Web, HTTPS, TLS, TCP, Mongo, Redis or MySQL"
        )


def check_labels(labels: Mapping[str, str], at: At) -> None:
    for key, value in labels.items():
        found = _LABEL_KEY.fullmatch(key)
        if not found or len(found[1] or "") > _LONGEST_PREFIX or len(found[2]) > _LONGEST_LABEL:
            at.key(key).error(
                f"the label's key `{key}` must be [DNS name/]name, the name letters, digits, `-`, `_` and `.`, at most 63"
            )
        if not _LABEL_VALUE.fullmatch(value):
            at.key(key).error(
                f"the label's value `{value}` must be letters, digits, `-`, `_` and `.`, with a letter or digit at its ends"
            )


def check_selector(labels: Mapping[str, str], at: At) -> None:
    """at: of the selector's labels."""
    for key, value in labels.items():
        if not key:
            at.error(f"a selector can't have an empty key (`={value}`): name the label")
        if "*" in key or "*" in value:
            at.key(key).error(f"a selector matches labels as they are written: `{key}={value}` can't hold a `*`")
    if not labels:
        at.warning("a selector without labels selects every workload of the namespace; name labels, or leave it out")


def check_header_name(name: str, at: At) -> None:
    if not _HEADER.fullmatch(name):
        at.error(f"`{name}` is no header's name: use letters, digits, `-` and `_`" if name else "a header needs a name")


def check_socket_path(address: str, at: At) -> None:
    """`unix:///path` or `unix://@abstract`."""
    path = address.removeprefix("unix://")
    if path.startswith("@"):
        return
    if not path:
        at.error("`unix://` names no socket: write `unix:///absolute/path`")
    elif not path.startswith("/"):
        at.error(f"`{address}` must be an absolute path, `unix:///{path}`, or an abstract socket, `unix://@name`")
    elif path.endswith("/"):
        at.error(f"`{address}` names a directory: write the path of the socket")
