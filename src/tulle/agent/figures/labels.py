"""What a series of Envoy's means: its tags, which vary from call to call, with all that does not, as Istio's labels.

Source: Istio, "Istio Standard Metrics", labels. What is not known is `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tulle.agent.figures.exposition import MESSAGES
from tulle.model.domain import MESH_DOMAIN
from tulle.model.peer_text import LATEST, NOBODY, UNKNOWN_TEXT, read

CLUSTER = (
    "tulle"  # all machines of a mesh are one to whoever asks Istio's labels `source_cluster` and `destination_cluster`
)
INNER = ("route", "port")  # what only reports have
OVERRIDE = "x_"  # with what tags begin that hold labels which a Telemetry defines, as translate/telemetry/metrics.py writes them
WITHOUT = "without"  # the tag that names those which it takes away

_SIDES = ("workload", "workload_namespace", "app", "version", "canonical_service", "canonical_revision")
_PASSTHROUGH = ("passthrough", "way-out")  # clusters, as translate/names.py calls them
_BLOCKED = "502"  # what is answered to calls out of the mesh when nothing else may be called (REGISTRY_ONLY)
_NONE = ("", "-")
# gRPC's codes by the names that Envoy prints (Envoy, access logs, %GRPC_STATUS%).
_GRPC = (
    *(
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
    ),
    *("ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable"),
    *("DataLoss", "Unauthenticated"),
)
_GRPC_CODES = {name.lower(): str(code) for code, name in enumerate(_GRPC)}

Labels = tuple[tuple[str, str], ...]


class Own(NamedTuple):
    """This instance. peer: six fields, as in model/peer_text.py. principal: its SPIFFE id."""

    peer: tuple[str, ...]
    principal: str


class Service(NamedTuple):
    """What was called. port: "" if that is not known."""

    host: str = UNKNOWN_TEXT
    name: str = UNKNOWN_TEXT
    namespace: str = UNKNOWN_TEXT
    port: str = ""


def enriched(tags: Mapping[str, str], own: Own, *, is_tcp: bool) -> Labels | None:
    """All labels of a series, in Istio's names, and those of INNER; None if the tags say nothing of who tells.

    No two of one name; in a fixed order, so that equal ones are equal.
    """
    reporter = tags.get("reporter", "")
    if reporter not in ("source", "destination"):
        return None
    is_source = reporter == "source"
    # Of a certificate's names one is the peer's.
    peer = next(filter(None, map(read, tags.get("peer", "").split(","))), None)
    peer_id = _known(tags.get("peer_id", ""))
    is_proved = bool(peer_id) or ("peer_id" not in tags and peer is not None)
    service = _of_cluster(tags) if is_source else _of_port(tags.get("port", ""))
    principals = (own.principal, peer_id) if is_source else (peer_id, own.principal)
    sides = [(own.peer, CLUSTER), (peer or NOBODY, CLUSTER if peer else UNKNOWN_TEXT)]
    labels = {"reporter": reporter}
    for side, (fields, cluster), principal in zip(
        ("source", "destination"), sides if is_source else reversed(sides), principals, strict=True
    ):
        labels |= {f"{side}_{name}": value for name, value in zip(_SIDES, fields, strict=True)}
        labels[f"{side}_principal"] = (principal if is_proved else "") or UNKNOWN_TEXT
        labels[f"{side}_cluster"] = cluster
    labels |= {
        "destination_service": service.host,
        "destination_service_name": service.name,
        "destination_service_namespace": service.namespace,
        "response_flags": tags.get("response_flags") or "-",
        "connection_security_policy": UNKNOWN_TEXT if is_source else "mutual_tls" if is_proved else "none",
        **({"request_protocol": "tcp"} if is_tcp else _http(tags)),
    }
    labels |= {tag.removeprefix(OVERRIDE): value for tag, value in tags.items() if tag.startswith(OVERRIDE)}
    for label in tags.get(WITHOUT, "").split(","):
        labels.pop(label, None)
    inner = {"route": _known(tags.get("route", "")), "port": service.port}
    return tuple(labels.items()) + tuple((name, value) for name, value in inner.items() if value)


def is_canary(tags: Mapping[str, str]) -> bool:
    """Whether the agent itself has tried the way into the mesh (agent/way.py), which its sidecar answers."""
    none = all(tags.get(name, "") in _NONE for name in ("cluster", "route", "peer", "peer_id"))
    return none and tags.get("reporter") == "source" and tags.get("response_code") == "200"


def shown(labels: Labels) -> Labels:
    """Those of /metrics."""
    return tuple(each for each in labels if each[0] not in INNER)


def _http(tags: Mapping[str, str]) -> dict[str, str]:
    if MESSAGES in tags:  # those of gRPC, which say nothing of how a request ended, in Istio neither
        return {"request_protocol": "grpc"}
    status = _known(tags.get("grpc_status", ""))
    return {
        "request_protocol": "grpc" if status else "http",
        "response_code": tags.get("response_code") or "0",
        "grpc_response_status": _GRPC_CODES.get(status.lower(), status),
    }


def _known(text: str) -> str:
    return "" if text in _NONE else text


def _of_cluster(tags: Mapping[str, str]) -> Service:
    """`outbound|80|v1|service-b.default.svc.cluster.local`, as translate/names.py writes them, or one of a few others.

    Of calls that the sidecar answers itself, as `_of_port`; without the port if there is no such one.
    """
    cluster = tags.get("cluster", "")
    if cluster in _PASSTHROUGH:
        return Service(name="PassthroughCluster")
    parts = cluster.split("|")
    if parts[0] == "outbound" and len(parts) in (4, 5):
        return _service(parts[3], parts[1])
    if ":" in cluster:
        return _of_port(cluster)
    # Nothing was chosen; a rule that answers so itself would have a name.
    if cluster in _NONE and tags.get("response_code") == _BLOCKED and tags.get("route", "") in _NONE:
        return Service(name="BlackHoleCluster")
    return Service()


def _of_port(text: str) -> Service:
    """`service-b.default.svc.cluster.local:80`."""
    host, _, port = text.rpartition(":")
    return _service(host, port) if host else Service()


def _service(host: str, port: str) -> Service:
    """Of a declared host, which means the same in all namespaces, the name is the host."""
    name, *rest = host.removesuffix(f".svc.{MESH_DOMAIN}").split(".")
    if host.endswith(f".svc.{MESH_DOMAIN}") and len(rest) == 1:
        return Service(host, name, rest[0], port)
    return Service(host, host, UNKNOWN_TEXT, port)


def _names() -> Iterable[str]:
    yield "reporter"
    for side in ("source", "destination"):
        yield from (f"{side}_{name}" for name in (*_SIDES, "principal", "cluster"))
    yield from ("destination_service", "destination_service_name", "destination_service_namespace", "response_flags")
    yield from ("connection_security_policy", "request_protocol")


TCP_LABELS = tuple(_names())
HTTP_LABELS = (*TCP_LABELS, "response_code", "grpc_response_status")
UNKNOWN = Own((*NOBODY[:-1], LATEST), UNKNOWN_TEXT)
