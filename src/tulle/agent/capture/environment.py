"""What the program finds in its environment.

In the mode `proxy` its calls get into the mesh by the variables that name an HTTP proxy, and a shim for aiohttp. curl
reads only the lower-case `http_proxy` for http, others only the upper case; the names are those of each client's own
manual. In the other modes nothing is to be said, but that a bare name is looked up as it is before a search domain of the
machine's is tried on it (resolv.conf(5), RES_OPTIONS): the service comes first, and `db.example.org` stays what it was.
With --trace there is the shim that passes a trace's context on as well, whatever the mode (`tracing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tulle.agent.config import AgentConfig
from tulle.agent.ports import Ports
from tulle.agent.tracing import shim_parts, trace_environment
from tulle.model.addresses import LOOPBACK

_SHIM = str(Path(__file__).parents[1] / "shim")
_PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")
_NOT_PROXIED = ("localhost", LOOPBACK, "::1")


def program_environment(
    inherited: Mapping[str, str],
    config: AgentConfig,
    instance: str,
    ports: Ports,
    mode: str = "proxy",
    needed: Mapping[str, str] = MappingProxyType({}),
    spans: str = "",
) -> tuple[dict[str, str], list[str]]:
    """The program's environment, and what the user should know of variables that now have another value.

    needed: what the mode of capture asks for. spans: where the program may send its own; "" for nowhere.
    """
    changes: dict[str, str] = {}
    notes: list[str] = []
    if mode == "proxy":
        changes, notes = _as_a_proxy(inherited, ports)
    elif mode != "none":
        changes, notes = _looked_up_as_they_are({**inherited, **needed})
    parts: tuple[str, ...] = ("proxy",) if mode == "proxy" else ()
    if config.trace:
        parts += shim_parts(inherited, spans)
        changes |= trace_environment(inherited, config.service, config.namespace, spans)
    if parts or inherited.get("TULLE_SHIM"):  # that of an agent around this one
        changes["TULLE_SHIM"] = ",".join(parts)
    if parts:
        changes["PYTHONPATH"] = ":".join(filter(None, (_SHIM, inherited.get("PYTHONPATH"))))
    environment = {
        **inherited,
        **needed,
        **changes,
        "PORT": str(ports.program),
        "TULLE_SERVICE": config.service,
        "TULLE_NAMESPACE": config.namespace,
        "TULLE_INSTANCE": instance,
    }
    return environment, notes


def _looked_up_as_they_are(inherited: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    others = [option for option in inherited.get("RES_OPTIONS", "").split() if not option.startswith("ndots:")]
    notes = []
    if named := [name for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY") if inherited.get(name)]:
        notes.append(
            f"the program's environment has {', '.join(named)}: clients that heed it call services through that proxy, "
            "not through the mesh, unless no_proxy names them"
        )
    return {"RES_OPTIONS": " ".join([*others, "ndots:0"])}, notes


def _as_a_proxy(inherited: Mapping[str, str], ports: Ports) -> tuple[dict[str, str], list[str]]:
    proxy = f"http://{LOOPBACK}:{ports.outbound}"
    not_proxied, notes = _not_proxied(inherited)
    if replaced := [name for name in _PROXY_VARIABLES if inherited.get(name)]:
        # Not their values: a proxy's URL may have a password in it.
        notes.append(f"the program gets the sidecar in place of your own proxy in {', '.join(replaced)}")
    changes = {
        **dict.fromkeys(_PROXY_VARIABLES, proxy),
        "no_proxy": not_proxied,
        "NO_PROXY": not_proxied,
    }
    return changes, notes


def _not_proxied(inherited: Mapping[str, str]) -> tuple[str, list[str]]:
    theirs = [entry.strip() for name in ("no_proxy", "NO_PROXY") for entry in inherited.get(name, "").split(",")]
    hosts = dict.fromkeys([*_NOT_PROXIED, *filter(None, theirs)])
    if "*" in hosts:  # it would keep every call out of the mesh
        del hosts["*"]
        return ",".join(hosts), ["no_proxy=* is left out for the program: with it no call would reach the mesh"]
    return ",".join(hosts), []
