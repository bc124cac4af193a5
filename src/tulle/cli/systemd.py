"""`tulle run --systemd`: the unit file that has systemd run the same command.

For root, and for what needs root's rights, a system unit; else one of the user's own service manager, which can't do
more to confine a program than the kernel lets that user do. The hardening is what no capture mode and hardly any program
minds: no filter of system calls, no ban on generated code, no hidden devices.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from tulle.agent.config import AgentConfig
from tulle.agent.exits import AgentError
from tulle.agent.program import locate
from tulle.cli import unit_syntax

# What the command needs to find the same things as in the shell. Nothing else is taken over: there may be secrets in it.
_KEPT = ("PATH", "VIRTUAL_ENV", "PYTHONPATH", "TULLE_DATA", "TULLE_ENVOY")
# Beyond --drain and --grace: for telling the other sidecars, killing what does not end, and clearing up.
_STOP_MARGIN_SECONDS = 20
_WATCHDOG_SECONDS = 60
# Of root's rights, those that servers use (capabilities(7)). SYS_PTRACE: to see the ports of a program that has changed
# its user. Left out are kernel modules, the clock, raw devices, and all else that a service has no business with.
_SERVERS_RIGHTS = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID NET_BIND_SERVICE SYS_PTRACE"

_SHARED = ("/tmp", "/var/tmp")  # noqa: S108  compared with


@dataclass(frozen=True, slots=True)
class Place:
    """Where and as whom the command was typed. folder: absolute. python: that of tulle."""

    folder: Path
    environment: Mapping[str, str]
    user: str
    is_root: bool
    python: str = sys.executable


def unit(config: AgentConfig, options: Sequence[str], place: Place) -> str:
    """The whole file. options: those of the command, as they were given. Raises ValueError, with a text for the user."""
    is_system = place.is_root or config.capture == "redirect"
    name = f"tulle-{config.service}" if config.namespace == "default" else f"tulle-{config.namespace}-{config.service}"
    sections = {
        "Unit": _unit(config),
        "Service": [*_service(config, options, place, is_system), *_hardening(config, place, is_system)],
        "Install": [f"WantedBy={'multi-user' if is_system else 'default'}.target"],
    }
    bodies = ["\n".join([f"[{section}]", *lines]) for section, lines in sections.items()]
    return "\n\n".join(["\n".join(_instructions(name, is_system)), *bodies])


def given_options(ctx: click.Context) -> list[str]:
    """The options of the command as they were given, in a form that does not depend on folder or environment."""
    found: dict[str, list[str]] = {}
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if not isinstance(parameter, click.Option) or name not in ctx.params or name in found:
            continue
        if name != "data" and ctx.get_parameter_source(name) is ParameterSource.DEFAULT:
            continue
        option, value = parameter.opts[-1], ctx.params[name]
        if name in ("join_file", "join_jwt"):
            value = str(Path(value).absolute())
        if parameter.is_flag:
            found[name] = [option] if value == parameter.flag_value else []
        else:
            found[name] = [f"{option}={each}" for each in (value if parameter.multiple else [value])]
    return [option for options in found.values() for option in options]


def here() -> Place:
    import pwd

    user = os.geteuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # in a container, for one
        name = str(user)
    return Place(Path.cwd(), os.environ, name, user == 0)


def _instructions(name: str, is_system: bool) -> Iterator[str]:
    folder, systemctl = (
        ("/etc/systemd/system", "systemctl") if is_system else ("~/.config/systemd/user", "systemctl --user")
    )
    yield f"# Save this as {folder}/{name}.service, then:"
    yield f"#   {systemctl} daemon-reload && {systemctl} enable --now {name}"
    if not is_system:
        yield "#   loginctl enable-linger    # lets it run while you are not logged in"
    yield f"# How it is: {systemctl} status {name}; what it says: journalctl {'' if is_system else '--user '}-u {name}"
    yield "# Secrets have no place in here, as every user may read this. Give them in a file that only its owner can read:"
    yield "#   EnvironmentFile=/path/to/file"


def _unit(config: AgentConfig) -> Iterator[str]:
    yield f"Description={config.service}.{config.namespace}, in the mesh of tulle"
    # The first is not there where networks are the user's; the second is the name that the guide gives to `tulle up`.
    yield "After=network.target tulle.service"
    yield "StartLimitIntervalSec=0"


def _service(config: AgentConfig, options: Sequence[str], place: Place, is_system: bool) -> Iterator[str]:
    yield "Type=notify"
    yield "NotifyAccess=main"
    tulle = ["-P", "-m", "tulle", "run", *options, config.service]
    yield f"ExecStart={unit_syntax.command_line(sys.executable, [*tulle, '--', *_program(config, place.folder)])}"
    yield f"WorkingDirectory={unit_syntax.path(str(place.folder))}"
    kept = (*_KEPT, "HOME") if is_system and place.is_root else _KEPT  # systemd sets the home of every user but root
    for name in kept:
        if value := place.environment.get(name):
            yield f"Environment={unit_syntax.assignment(name, value)}"
    if is_system and not place.is_root:
        yield f"User={place.user}"
    yield "# The agent waits for its control plane as long as it takes; `systemctl status` shows what it waits for."
    yield "TimeoutStartSec=infinity"
    yield f"WatchdogSec={_WATCHDOG_SECONDS}"
    yield "Restart=on-failure"
    yield "RestartSec=5"
    yield "# The agent passes on how its program ended; these are SIGHUP, SIGINT and SIGTERM: it was asked to."
    yield "SuccessExitStatus=129 130 143"
    yield "# Only the agent is told to stop: it answers the calls in flight, then ends the program. What is left is killed."
    yield "KillMode=mixed"
    yield f"TimeoutStopSec={math.ceil(config.drain_seconds + config.grace_seconds) + _STOP_MARGIN_SECONDS}"


def _program(config: AgentConfig, folder: Path) -> Iterable[str]:
    """The program and its arguments, its file in full if it is there already."""
    try:
        file = locate(config.command[0])
    except AgentError:
        return config.command
    return (str(folder / file), *config.command[1:])


def _hardening(config: AgentConfig, place: Place, is_system: bool) -> Iterator[str]:
    yield "# No program of the unit gets more rights by sudo or the like."
    yield "NoNewPrivileges=yes"
    yield "LockPersonality=yes"
    yield "RestrictRealtime=yes"
    yield "RestrictSUIDSGID=yes"
    yield "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"
    yield "SystemCallArchitectures=native"
    if config.capture != "netns":
        yield "RestrictNamespaces=yes"
    if is_system:
        yield from _rights(config.capture, place)
        yield from _files(config, place)


def _rights(capture: str, place: Place) -> Iterator[str]:
    """Of the capture modes, and of servers if it is root who runs them."""
    mode = {"auto": "NET_ADMIN", "redirect": "NET_ADMIN", "netns": "NET_ADMIN SYS_ADMIN"}.get(capture, "")
    names = f"{_SERVERS_RIGHTS if place.is_root else ''} {mode}".split()
    yield f"CapabilityBoundingSet={' '.join(f'CAP_{name}' for name in names)}"
    if mode and not place.is_root:
        yield f"AmbientCapabilities={' '.join(f'CAP_{name}' for name in mode.split())}"
    if capture in ("auto", "redirect"):
        yield "# The program gets a control group of its own, below that of the unit."
        yield "Delegate=yes"
    else:
        yield "ProtectControlGroups=yes"


def _files(config: AgentConfig, place: Place) -> Iterator[str]:
    folders = [path for path in dict.fromkeys((config.data, str(place.folder))) if path != "/"]
    used = [*folders, place.python, *_program(config, place.folder), *place.environment.get("PATH", "").split(":")]
    is_private = not any(Path(text).is_relative_to(shared) for text in used for shared in _SHARED)
    yield "# Add here what else the program writes to; all but the API file systems is read-only for it."
    yield "ProtectSystem=strict"
    yield f"ReadWritePaths={unit_syntax.paths(folders if is_private else (*folders, *_SHARED))}"
    if is_private:
        yield "PrivateTmp=yes"
    yield "ProtectKernelTunables=yes"
    yield "ProtectKernelModules=yes"
    yield "ProtectKernelLogs=yes"
    yield "ProtectHostname=yes"
