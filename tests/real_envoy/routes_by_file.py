"""Inbound route configurations from a file, in place of the control plane: they can be changed while Envoy runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tulle.envoy_api.messages import message, pack, to_dict, type_url, unpack
from tulle.ir.types import Inbound
from tulle.translate.inbound_listener import inbound_listener
from tulle.translate.inbound_routes import inbound_routes

_MANAGER = "envoy.filters.network.http_connection_manager"


def listening(folder: Path, inbound: Inbound) -> Any:
    """A sidecar's inbound listener whose routes are those that `tell` has written into the folder."""
    listener = inbound_listener(inbound)
    for chain in listener.filter_chains:
        for filter_ in chain.filters:
            if filter_.name == _MANAGER:
                manager = unpack(filter_.typed_config)
                file = _file(folder, manager.rds.route_config_name)
                source = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
                config = message("envoy.config.core.v3.ConfigSource")(
                    path_config_source=source, resource_api_version="V3"
                )
                manager.rds.config_source.CopyFrom(config)
                filter_.typed_config.CopyFrom(pack(manager))
    return listener


def tell(folder: Path, sidecars: Iterable[Inbound]) -> list[str]:
    """These are the routes from now on. The names of those that were others before."""
    (folder / "rds").mkdir(exist_ok=True)
    changed = []
    for sidecar in sidecars:
        for port in sidecar.http_ports:
            routes = inbound_routes(sidecar, port)
            file = _file(folder, routes.name)
            text = json.dumps({"resources": [{"@type": type_url(routes), **to_dict(routes)}]}, sort_keys=True)
            if not file.exists() or file.read_text() != text:
                new = file.with_suffix(".new")
                new.write_text(text)
                new.rename(file)
                changed.append(routes.name)
    return changed


def _file(folder: Path, name: str) -> Path:
    return folder / "rds" / f"{name}.json"
