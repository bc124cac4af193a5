"""Names that several kinds write, but for those in `basics`: ports, protocols, selectors, `namespace/host`, sockets.

Source: Istio, pkg/config/validation and pkg/config/protocol.
"""

from __future__ import annotations

from collections.abc import Mapping

from tulle.sources.at import At
from tulle.sources.validation.basics import is_dns_label, wildcard_host_problem

HTTP_PROTOCOLS = frozenset({"http", "http2", "http_proxy", "grpc", "grpc-web"})
TLS_PROTOCOLS = frozenset({"https", "tls"})
TCP_PROTOCOLS = frozenset({"tcp", "https", "tls", "mongo", "redis", "mysql"})
_PROTOCOLS = HTTP_PROTOCOLS | TCP_PROTOCOLS | {"udp"}


def check_port_name(name: str, at: At) -> None:
    if not name:
        at.error("a port needs a name, such as `http`")
    elif not is_dns_label(name):
        at.error(f"`{name}` is no name of a port: use 1 to 63 letters, digits and hyphens, with no hyphen at its ends")


def check_protocol(protocol: str, at: At) -> None:
    """The empty one means: find out from the first bytes."""
    if protocol and protocol.lower() not in _PROTOCOLS:
        at.error(
            f"`{protocol}` is no protocol that is known: "
            "use HTTP, HTTP2, GRPC, GRPC-Web, HTTPS, TLS, TCP, Mongo, Redis or MySQL"
        )


def check_selector(labels: Mapping[str, str], at: At) -> None:
    """at: of the selector's labels."""
    for key, value in labels.items():
        if not key:
            at.error(f"has an empty key (`={value}`): name the label")
        elif "*" in key or "*" in value:
            at.key(key).error(f"`{key}={value}` can't hold a `*`, as labels are compared whole: write them out")
    if not labels:
        at.warning("selects every workload of the namespace, as it names no label: name one, or leave the selector out")


def is_partial_wildcard(host: str) -> bool:
    """`*foo.com`: a wildcard that is not a whole label."""
    return "*" in host and host != "*" and not host.startswith("*.")


def check_namespaced_host(text: str, at: At) -> None:
    if problem := namespaced_host_problem(text):
        at.error(problem)


def namespaced_host_problem(text: str) -> str | None:
    """Why this is no `namespace/dnsName`, as Sidecar's egress names hosts. The namespace may be `*`, `.` or `~`."""
    namespace, slash, host = text.partition("/")
    if not slash:
        return f"`{text}` must have the form namespace/dnsName: `./{text}` for this namespace, `*/{text}` for any"
    if not namespace or not host:
        return f"`{text}` must name both a namespace and a host, such as `./*` (all of this namespace)"
    if namespace not in ("*", ".", "~") and not is_dns_label(namespace):
        return f"`{text}`: `{namespace}` is no namespace; write its name, `.` (this one), `*` (any) or `~` (none)"
    if host != "*" and "." not in host:
        return f"`{text}`: `{host}` is a short name; write it in full, such as `{host}.default.svc.cluster.local`"
    if is_partial_wildcard(host):
        return f"`{text}`: a `*` must stand for whole labels, as in `*.example.com`"
    return wildcard_host_problem(host)


def check_socket_path(address: str, at: At) -> None:
    """`unix:///path` or `unix://@abstract`."""
    path = address.removeprefix("unix://")
    if path.startswith("@") and not path.endswith("/"):
        return
    if not path:
        at.error("`unix://` names no socket: write `unix:///absolute/path`")
    elif path.endswith("/"):
        at.error(f"`{address}` names a directory: write the path of the socket")
    elif not path.startswith("/"):
        at.error(f"`{address}` must be an absolute path, `unix:///{path}`, or an abstract socket, `unix://@name`")
