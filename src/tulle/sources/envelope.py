"""What stands around a spec: apiVersion, kind and metadata, as Kubernetes has them.

What Kubernetes itself writes into metadata, and `status`, are not the user's: they are taken and left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tulle.model.resources.resource import APIS, MESH_CONFIG_NAME, SPECS, Ref
from tulle.sources.at import At
from tulle.sources.other_kinds import is_known
from tulle.sources.yaml_text import nearest

_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
_OWN = ("name", "namespace", "labels", "annotations")
_KUBERNETES = (
    *("clusterName", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers"),
    *("generateName", "generation", "initializers", "managedFields", "ownerReferences", "resourceVersion"),
    *("selfLink", "uid"),
)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_ANNOTATIONS = 256 * 1024  # bytes of all together


def kind_of(value: Any, at: At) -> str | None:
    """The kind, if tulle has it and the document is of it; what is wrong else is noted. at: the document."""
    if not isinstance(value, dict):
        at.error("a document is a mapping, with apiVersion, kind, metadata and spec")
        return None
    kind, api = value.get("kind"), value.get("apiVersion")
    if not isinstance(kind, str) or not kind:
        at.field("kind").error(f"say what this is; {nearest('', SPECS)}")
        return None
    if not isinstance(api, str) or not api:
        wanted = APIS.get(kind, APIS["VirtualService"])
        at.field("apiVersion").error(f"it is missing: write {wanted}")
        return kind if kind in SPECS else None
    group, _, version = api.rpartition("/")
    if kind in SPECS:
        if group != APIS[kind].group:
            at.field("apiVersion").error(f"the kind {kind} is of {APIS[kind]}, not of {api}")
        elif version not in APIS[kind].versions:
            at.field("apiVersion").error(
                f"there is no version {version} of it; there are: {', '.join(APIS[kind].versions)}"
            )
        return kind
    if is_known(group, kind):
        at.field("kind").unsupported(f"tulle has no {kind} of {api}: leave the document out")
    else:
        at.field("kind").error(f"there is no such kind; {nearest(kind, SPECS)}")
    return None


def envelope(value: Mapping[str, Any], kind: str, namespace: str, at: At) -> tuple[Ref, dict[str, str], dict[str, str]]:
    """Who a document is, its labels and its annotations. namespace: of one that names none.

    A name that is missing or wrong is "".
    """
    for name in value:
        if name not in _FIELDS:
            at.field(name).error(f"there is no such field; {nearest(name, _FIELDS)}")
    metadata = value.get("metadata")
    place = at.field("metadata")
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict):
        place.error("write a mapping, with a name")
        metadata = {}
    for name in metadata:
        if name not in _OWN and name not in _KUBERNETES:
            place.field(name).error(f"there is no such field; {nearest(name, _OWN)}")
    ref = _mesh_wide(metadata, place) if kind == "MeshConfig" else _ref(kind, metadata, namespace, place)
    return ref, _labels(metadata.get("labels"), place), _annotations(metadata.get("annotations"), place)


def _mesh_wide(metadata: Mapping[str, Any], at: At) -> Ref:
    """It is of no namespace."""
    if metadata.get("name") not in (None, MESH_CONFIG_NAME):
        at.field("name").error(f"the mesh has one MeshConfig, with the name {MESH_CONFIG_NAME}")
    if metadata.get("namespace") not in (None, ""):
        at.field("namespace").error("MeshConfig is for the whole mesh: leave the namespace out")
    return Ref("MeshConfig", "", MESH_CONFIG_NAME)


def _ref(kind: str, metadata: Mapping[str, Any], namespace: str, at: At) -> Ref:
    name, given = metadata.get("name"), metadata.get("namespace")
    if name is None or name == "":
        at.field("name").error("give it a name")
        name = ""
    elif not isinstance(name, str):
        at.field("name").error(f"write a text{_quoted(name)}")
        name = ""
    elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        at.field("name").error("a name has up to 253 lower-case letters, digits, `-` and `.`, none of these at an end")
        name = ""
    if given is None or given == "":
        return Ref(kind, namespace, name)
    if not isinstance(given, str):
        at.field("namespace").error(f"write a text{_quoted(given)}")
    elif not _LABEL.fullmatch(given):
        at.field("namespace").error("a namespace has up to 63 lower-case letters, digits and `-`, that not at an end")
    else:
        return Ref(kind, given, name)
    return Ref(kind, namespace, "")


def _labels(value: object, metadata: At) -> dict[str, str]:
    found = _texts(value, metadata.field("labels"))
    for key, text in found.items():
        if text and not _WORD.fullmatch(text):
            metadata.field("labels").key(key).error("a label has up to 63 letters, digits, `-`, `_` and `.`")
    return found


def _annotations(value: object, metadata: At) -> dict[str, str]:
    found = _texts(value, metadata.field("annotations"))
    if sum(len(key) + len(text) for key, text in found.items()) > _ANNOTATIONS:
        metadata.field("annotations").error(f"they have more than {_ANNOTATIONS // 1024} KiB together")
    return found


def _texts(value: object, at: At) -> dict[str, str]:
    """Kubernetes: metav1.ValidateLabels, ValidateAnnotations."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        at.error("write a mapping, NAME: VALUE")
        return {}
    found = {}
    for key, text in value.items():
        prefix, slash, word = key.rpartition("/")
        if not _WORD.fullmatch(word) or (slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix.lower()))):
            at.key(key).error(
                "a name here has up to 63 letters, digits, `-`, `_` and `.`, after example.com/ if you like"
            )
        elif not isinstance(text, str):
            at.key(key).error(f"write a text{_quoted(text)}")
        else:
            found[key] = text
    return found


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return f': "{str(value).lower()}" in quotes'
    return f': "{value}" in quotes' if isinstance(value, int | float) else ""
