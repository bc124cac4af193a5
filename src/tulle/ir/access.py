"""Who may do what at one port of a workload: authorization policies with everything settled that does not depend on the
request. Translation and `tulle authz check` read the same.

Source: istio.io, Authorization Policy. Order: CUSTOM, then DENY, then ALLOW; AUDIT decides nothing.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Attribute(StrEnum):
    """What of a request or a connection a condition looks at. Those marked HTTP no plain TCP connection has."""

    PRINCIPAL = "principal"  # the caller's SPIFFE id without `spiffe://`
    NAMESPACE = "namespace"  # the caller's, as its certificate says
    SERVICE_ACCOUNT = "service_account"  # the caller's, `<namespace>/<account>`, whatever the trust domain
    TRUST_DOMAIN = "trust_domain"  # the caller's
    SOURCE_IP = "source_ip"  # of the connection
    REMOTE_IP = "remote_ip"  # of the first caller: the connection's, as no X-Forwarded-For is trusted (HTTP)
    REQUEST_PRINCIPAL = "request_principal"  # `<iss>/<sub>` of the token (HTTP)
    AUDIENCE = "audience"  # `aud` of the token (HTTP)
    PRESENTER = "presenter"  # `azp` of the token (HTTP)
    CLAIM = "claim"  # of the token, by its path (HTTP)
    HEADER = "header"  # by its name, lower case (HTTP)
    HOST = "host"  # of the request, in any case; a value without a port fits it with any port (HTTP)
    METHOD = "method"  # HTTP
    PATH = "path"  # normalised, without the query (HTTP)
    PORT = "port"  # of the workload; values that mean this port are known when the IR is made
    DESTINATION_IP = "destination_ip"
    SNI = "sni"

    @property
    def is_http(self) -> bool:
        return self in _HTTP


_HTTP = frozenset(
    {
        *(Attribute.REMOTE_IP, Attribute.REQUEST_PRINCIPAL, Attribute.AUDIENCE, Attribute.PRESENTER, Attribute.CLAIM),
        *(Attribute.HEADER, Attribute.HOST, Attribute.METHOD, Attribute.PATH),
    }
)


class Test(StrEnum):
    """How a value is compared."""

    EXACT = "exact"
    PREFIX = "prefix"  # `abc*`
    SUFFIX = "suffix"  # `*abc`
    PRESENT = "present"  # `*`: it is there, and not empty (a header may be)
    TEMPLATE = "template"  # of a path: `{*}` is one segment, `{**}` any number of them
    CIDR = "cidr"  # of an address


class Value(Struct, frozen=True, order=True):
    """text: without the `*` of PREFIX and SUFFIX; "" for PRESENT."""

    test: Test
    text: str = ""


class Condition(Struct, frozen=True):
    """Met if one of `values` fits (or there is none), and none of `but_not`.

    key: the name of a header, or a claim and the names within it. place: its field in the document, for explanations,
    `spec.rules[0].from[0].source.principals`, of the positive field (else the negative one).
    """

    attribute: Attribute
    values: tuple[Value, ...] = ()
    but_not: tuple[Value, ...] = ()
    key: tuple[str, ...] = ()
    place: str = ""


class Rule(Struct, frozen=True):
    """Met if all conditions of one of `sources` are, and all of one of `operations`, and all of `when`.

    An alternative without conditions is always met. No alternatives: as if there were such a one. place: `spec.rules[0]`.
    """

    sources: tuple[tuple[Condition, ...], ...] = ()
    operations: tuple[tuple[Condition, ...], ...] = ()
    when: tuple[Condition, ...] = ()
    place: str = ""


class Action(StrEnum):
    ALLOW = "ALLOW"
    DENY = "DENY"
    AUDIT = "AUDIT"
    CUSTOM = "CUSTOM"


class Policy(Struct, frozen=True):
    """A policy that is for this workload. No rules: it never fits (so an ALLOW without rules, being there, denies all).

    source: the document, as `str(Ref)`. dry_run: what it would do is counted, and it does nothing. provider: CUSTOM's.
    """

    source: str
    action: Action
    rules: tuple[Rule, ...] = ()
    dry_run: bool = False
    provider: str = ""


class Access(Struct, frozen=True):
    """policies: in order of namespace and name, any action. ports: the values of PORT that mean this port.

    tcp: whether the port carries bytes that nobody reads as HTTP, so that conditions on HTTP can't be met: a rule of an
    ALLOW with one never fits, one of another action is taken without them.
    """

    policies: tuple[Policy, ...] = ()
    ports: tuple[str, ...] = ()
    tcp: bool = False
