"""What the API asks and answers about who may do what: `tulle authz`."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tulle.api.views import DecisionView


class CallView(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A call that somebody might make.

    caller: a service, a SPIFFE id, or `-` for one without mutual TLS. service: that is called. namespace: of names that say
    none. port: 0 for 80, or the only one. host: "" for the service's name. headers: name and value, in order.
    claims: of a token that is taken for good; None without one. source_ip: "" for the caller's own.
    """

    caller: str
    service: str
    namespace: str = "default"
    port: int = 0
    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: list[tuple[str, str]] = []
    claims: dict[str, Any] | None = None
    source_ip: str = ""


class PlaceView(Struct, frozen=True):
    """A part of a document: `AuthorizationPolicy default/viewers`, its field, and where it was written."""

    source: str
    path: str = ""
    file: str = ""
    line: int = 0


class ComparisonView(Struct, frozen=True):
    """attribute: `method`, `header x-role`. wanted, unwanted: values. seen: what the call shows, null: nothing."""

    attribute: str
    wanted: list[str]
    unwanted: list[str]
    seen: str | None
    met: bool
    place: PlaceView


class RuleView(Struct, frozen=True):
    """One of each of `sources` and `operations`, if there are any, must be met as a whole, and all of `when`.

    text: in words. unfit: why it can't be met at all.
    """

    place: PlaceView
    text: str
    met: bool = False
    sources: list[list[ComparisonView]] = []
    operations: list[list[ComparisonView]] = []
    when: list[ComparisonView] = []
    unfit: str = ""


class PolicyView(Struct, frozen=True):
    """dry_run: it does nothing but count. provider: whom a CUSTOM one asks."""

    place: PlaceView
    action: str
    rules: list[RuleView]
    dry_run: bool = False
    provider: str = ""


class AnswerView(Struct, frozen=True):
    """What happens to the call at these proxies, which judge alike.

    reason: in words. by: the rule that decided, null where none did. status: with which it is refused, 0 if the
    connection is. asks: providers of CUSTOM policies that may still refuse. would_deny: the rule, or the reason, by which the
    dry runs would deny what is allowed. pending: of the proxies, those that have not acknowledged all that they should hold.
    """

    proxies: list[str]
    allowed: bool
    reason: str
    status: int
    mutual_tls: str
    by: PlaceView | None = None
    asks: list[str] = []
    would_deny: PlaceView | None = None
    notes: list[str] = []
    policies: list[PolicyView] = []
    pending: list[str] = []


class CheckView(Struct, frozen=True):
    """principal: the caller's, "" without mutual TLS. allowed: at all instances."""

    principal: str
    service: str
    port: int
    allowed: bool
    answers: list[AnswerView]


class GuardView(Struct, frozen=True):
    """What holds at one port of these proxies. policies: in the order in which they count. otherwise: what no policy fits.

    decisions: at all ports of them, the most frequent first. others: those that are not told apart, as there are too many kinds.
    lost: those of which nothing else is known.
    """

    proxies: list[str]
    port: int
    protocol: str
    mutual_tls: str
    peer_authentications: list[PlaceView]
    policies: list[PolicyView]
    otherwise: str
    issuers: list[str] = []
    pending: list[str] = []
    decisions: list[DecisionView] = []
    others: int = 0
    lost: int = 0


class GuardsView(Struct, frozen=True):
    service: str
    guards: list[GuardView]
