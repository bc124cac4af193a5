"""Inbound route configurations without a control plane: within the listener, or from files, so that they can be changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tulle.envoy_api.messages import message, pack, to_dict, type_url, unpack
from tulle.ir.types import Inbound
from tulle.translate.inbound_listener import inbound_listener
from tulle.translate.inbound_routes import inbound_routes

MANAGER = "envoy.filters.network.http_connection_manager"


def listening(inbound: Inbound, folder: Path | None = None) -> Any:
    """A sidecar's inbound listener. folder: its routes are those that `tell` has written there; each file takes one of the
    few watches that a user may have (inotify)."""
    listener = inbound_listener(inbound)
    routes = {made.name: made for made in _routes(inbound)}
    for filter_ in [filter_ for chain in listener.filter_chains for filter_ in chain.filters]:
        if filter_.name == MANAGER:
            manager = unpack(filter_.typed_config)
            if folder is None:
                manager.route_config.CopyFrom(routes[manager.rds.route_config_name])
            else:
                file = _file(folder, manager.rds.route_config_name)
                source = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
                config = message("envoy.config.core.v3.ConfigSource")
                manager.rds.config_source.CopyFrom(config(path_config_source=source, resource_api_version="V3"))
            filter_.typed_config.CopyFrom(pack(manager))
    return listener


def tell(folder: Path, inbound: Inbound) -> list[str]:
    """These are the routes from now on. The names of those that were others before."""
    (folder / "rds").mkdir(exist_ok=True)
    changed = []
    for routes in _routes(inbound):
        file = _file(folder, routes.name)
        text = json.dumps({"resources": [{"@type": type_url(routes), **to_dict(routes)}]}, sort_keys=True)
        if not file.exists() or file.read_text() != text:
            new = file.with_suffix(".new")
            new.write_text(text)
            new.rename(file)
            changed.append(routes.name)
    return changed


def _routes(inbound: Inbound) -> list[Any]:
    return [inbound_routes(inbound, port) for port in inbound.http_ports]


def _file(folder: Path, name: str) -> Path:
    return folder / "rds" / f"{name}.json"
