"""Istio keeps its MeshConfig as text in a ConfigMap: taken out of it, with the lines as they are in the file."""

from __future__ import annotations

from typing import Any

from tulle.model.resources.resource import APIS, MESH_CONFIG_NAME
from tulle.sources.limits import Refused
from tulle.sources.places import Place, inside, line_of
from tulle.sources.problems import Problem, Severity
from tulle.sources.yaml_values import yaml_values


def mesh_config(value: Any, place: Place) -> tuple[Any, Place, tuple[Problem, ...]] | None:
    """None if it is no ConfigMap of that kind. Its place is that of `data.mesh`."""
    if not isinstance(value, dict) or value.get("kind") != "ConfigMap" or value.get("apiVersion") != "v1":
        return None
    data, metadata = value.get("data"), value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or name.split("-")[0] != "istio" or not isinstance(data, dict):
        return None
    text = data.get("mesh")
    if not isinstance(text, str):
        return None
    line = line_of(inside(inside(place, "data"), "mesh"))
    problems: list[Problem] = []
    spec: Any = {}
    below: Place = line
    try:
        # As a rule it is a block that begins in the line below its name.
        for found, place_of_it, noted in yaml_values(text, line + 1 if "\n" in text else line):
            spec, below = found, place_of_it
            problems += noted.problems
    except Refused as refused:
        problems.append(Problem(refused.line, "spec", refused.message))
    problems += [
        Problem(line_of(inside(inside(place, "data"), key)), key, _OTHERS, Severity.UNSUPPORTED)
        for key in data
        if key not in ("mesh", "meshNetworks")
    ]
    envelope = {
        "apiVersion": str(APIS["MeshConfig"]),
        "kind": "MeshConfig",
        "metadata": {"name": MESH_CONFIG_NAME},
        "spec": spec,
    }
    return envelope, [line, {"spec": [line, below[1]] if isinstance(below, list) else line}], tuple(problems)


_OTHERS = "of Istio's ConfigMap tulle reads `mesh` alone: leave this out"
