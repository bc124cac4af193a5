"""Where tulle keeps its state and how the control plane is set up: read once into a frozen value.

Only the standard library is imported: every command and every agent reads this file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LogFormat = Literal["text", "json"]
OFF: Literal["off"] = "off"

# What lies in the data folder.
API_SOCKET = "api.sock"
SECRET = "secret"  # noqa: S105  (the name of the file, not what is in it)
AUTHORITY = "ca"

# Where commands look for a user's token.
API_TOKEN = "TULLE_API"  # noqa: S105  (the name of the variable)
AUDIT_LOG = "audit.log"

MIN_CERT_TTL = 5.0
DEFAULT_AGENT_PORT = 7443


@dataclass(frozen=True)
class JwtIssuer:
    """Whose JWTs let agents on other machines enrol.

    keys: where the issuer's JWK set is, a URL or a file; "": where its discovery document says. ca: a file with the roots that
    an https issuer may be of; "": the system's. mapping: subject -> namespace, service, service account.
    """

    issuer: str
    audience: str
    keys: str = ""
    ca: str = ""
    mapping: tuple[tuple[str, tuple[str, str, str]], ...] = ()


@dataclass(frozen=True)
class CaFiles:
    """A certificate authority that is brought along, in PEM files; chain: None if nothing is between `cert` and `root`."""

    cert: Path
    key: Path
    root: Path
    chain: Path | None = None


@dataclass(frozen=True)
class Settings:
    """How one control plane runs. Durations are in seconds.

    xds_port: None for the one used last, or a free one at the first start.
    web_port: of the dashboard, as xds_port; OFF for no dashboard.
    cert_ttl: how long an issued certificate lives, at least MIN_CERT_TTL.
    lease: how long an agent may be silent before its instances are taken out.
    ca: the certificate authority that is brought along; None for the one that there is, or a new one at the first start.
    listen: address and port of the API's door for agents on other machines; the xDS door is then on that address as well.
    jwt: an issuer whose tokens these may enrol by.
    jwks_allow: hosts and networks from which keys of token issuers may be fetched, beyond public addresses.
    jwks_refresh: after how long they are fetched again.
    trace_sampling: percent of the traces that begin in the mesh of which spans are told, where no document says it.
    trace_b3: whether sidecars heed B3 headers.
    trace_forward: the URL of an OTLP endpoint to which spans go as well; "" for none. otlp: where OTLP is taken by gRPC.
    """

    data: Path
    xds_port: int | None = None
    web_port: int | Literal["off"] | None = None
    log_format: LogFormat = "text"
    cert_ttl: float = 3600.0
    lease: float = 4.0
    ca: CaFiles | None = None
    listen: tuple[str, int] | None = None
    jwt: JwtIssuer | None = None
    jwks_allow: tuple[str, ...] = ()
    jwks_refresh: float = 1200.0
    trace_sampling: float = 1.0
    trace_b3: bool = False
    trace_forward: str = ""
    otlp: tuple[str, int] | None = None


def data_folder(option: str | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The state folder: `option`, else TULLE_DATA, else `tulle` in XDG_STATE_HOME, else ~/.local/state/tulle.

    An empty value counts as not given, and so does a relative XDG_STATE_HOME (XDG Base Directory Specification: "paths
    must be absolute").
    """
    given = option or environ.get("TULLE_DATA")
    if given:
        return Path(given).expanduser().absolute()
    state = environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state.startswith("/") else Path.home() / ".local" / "state") / "tulle"
