"""Who asks something of the control plane, and what that one may do. How it was found out is attestation's matter."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """ADMIN may do all, VIEWER may look (nothing secret is to be seen), AGENT may enrol and keep its own session."""

    ADMIN = "admin"
    VIEWER = "viewer"
    AGENT = "agent"


class Grant(Struct, frozen=True):
    """What an enrolment may become. An empty text is any; the local secret grants that.

    source: how it was attested, for the audit log: `local`, `token <id>`, `jwt <iss> <sub>`, `renewal`.
    """

    source: str
    namespace: str = ""
    service: str = ""
    service_account: str = ""


class Caller(Struct, frozen=True):
    """name: for the audit log, `local uid 1000`, `token <id>`, `certificate spiffe://...`.

    proxy: whose certificate an agent on another machine has proved by TLS; "" if none: then it has the local secret.
    """

    role: Role
    name: str
    proxy: str = ""
