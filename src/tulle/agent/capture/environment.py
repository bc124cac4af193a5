"""How the program's calls get into the mesh: by the variables that name an HTTP proxy, and a shim for aiohttp.

curl reads only the lower-case `http_proxy` for http, others only the upper case; the names are those of each client's
own manual.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tulle.agent.config import AgentConfig
from tulle.agent.ports import LOOPBACK, Ports

_SHIM = str(Path(__file__).parents[1] / "shim")
_PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")
_NOT_PROXIED = ("localhost", LOOPBACK, "::1")


def program_environment(
    inherited: Mapping[str, str], config: AgentConfig, instance: str, ports: Ports
) -> tuple[dict[str, str], list[str]]:
    """The program's environment, and what the user should know of variables that now have another value."""
    proxy = f"http://{LOOPBACK}:{ports.outbound}"
    not_proxied, notes = _not_proxied(inherited)
    if replaced := [name for name in _PROXY_VARIABLES if inherited.get(name)]:
        # Not their values: a proxy's URL may have a password in it.
        notes.append(f"the program gets the sidecar in place of your own proxy in {', '.join(replaced)}")
    environment = {
        **inherited,
        **dict.fromkeys(_PROXY_VARIABLES, proxy),
        "no_proxy": not_proxied,
        "NO_PROXY": not_proxied,
        "PYTHONPATH": ":".join(filter(None, (_SHIM, inherited.get("PYTHONPATH")))),
        "PORT": str(ports.program),
        "TULLE_SERVICE": config.service,
        "TULLE_NAMESPACE": config.namespace,
        "TULLE_INSTANCE": instance,
    }
    return environment, notes


def _not_proxied(inherited: Mapping[str, str]) -> tuple[str, list[str]]:
    theirs = [entry.strip() for name in ("no_proxy", "NO_PROXY") for entry in inherited.get(name, "").split(",")]
    hosts = dict.fromkeys([*_NOT_PROXIED, *filter(None, theirs)])
    if "*" in hosts:  # it would keep every call out of the mesh
        del hosts["*"]
        return ",".join(hosts), ["no_proxy=* is left out for the program: with it no call would reach the mesh"]
    return ",".join(hosts), []
