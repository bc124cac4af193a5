"""What Envoy's resources are called. The shapes are Istio's where it has one, so that its tools and habits fit."""

from __future__ import annotations

from tulle.ir.routes import BackendRef
from tulle.ir.types import Backend, Endpoints
from tulle.model.names import Destination, destination_from

PASSTHROUGH = "passthrough"
# To the agent's door for spans.
AGENT = "agent"
# To wherever a captured connection was going, outside the mesh.
WAY_OUT = "way-out"
# Where a route leads whose destination does not exist: there is no such cluster, and Envoy answers 503 (RouteAction).
NOWHERE = "nowhere"
# A route's metadata of tulle's: which document made it (`source`), and which of its destinations do not exist (`missing`),
# and what figures call it (`route`): the document and the route's name or place, `VirtualService default/reviews spec.http[1]`.
METADATA = "tulle"
# All connections to programs that carry TCP, in Envoy's stats.
INBOUND_TCP_STATS = "inbound_tcp"
# On a response of a serving sidecar: its program never saw the request, so any call may be tried elsewhere.
NOT_SERVED_HEADER = "x-tulle-not-served"
# On a request: the caller wants to see who answered it. On the response then: the SPIFFE id that the serving sidecar proved.
EXPLAIN_HEADER = "x-tulle-explain"
PEER_HEADER = "x-tulle-peer"
# Of a cluster for what the sidecar tells of calls; agent/figures/collectors.py knows it by that.
TELEMETRY = "telemetry"
# In a virtual host's metadata: its host and port, for calls that come to no cluster: `service-b.default.svc.cluster.local:80`.
TO = "to"
# In a route's metadata: what to add to the sidecar's own answers.
HINT = "hint"
# What a calling sidecar offers as ALPN: this call comes from the mesh. It is matched, never negotiated.
MESH_ALPN = "tulle"
# The same of a connection that turned out not to be HTTP, to a port of which nobody said what it carries.
DETECTED_TCP_ALPN = "tulle-tcp"
# Methods that are safe by definition (RFC 9110, section 9.2.1), as a regular expression.
SAFE_METHODS = "GET|HEAD|OPTIONS"


def backend(of: BackendRef | Backend | Endpoints) -> str:
    """`outbound|80|v1|service-b.default.svc.cluster.local`: a cluster, and its load assignment.

    With `|tcp` after it: what turned out not to be HTTP. With `|telemetry-5000ms`: not for calls of the program, but for what
    the sidecar itself tells of calls.
    """
    end = "|tcp" if of.detected else ""
    if of.telemetry_timeout:
        end = f"|{TELEMETRY}-{-(-of.telemetry_timeout // 1_000_000)}ms"
    return f"outbound|{of.destination.port}|{of.subset}|{of.destination.service.host}{end}"


def looked_up(of: Backend) -> str:
    """`found|outbound|80||api.example.com`: the secret of `look_ups`, by which a cluster says that DNS has answered it."""
    return f"found|{backend(of)}"


def destination_of_backend(name: str) -> Destination | None:
    """The inverse of `backend` for calls of programs; None for the name of anything else."""
    parts = name.split("|")
    if parts[0] != "outbound" or (len(parts) != 4 and parts[4:] != ["tcp"]):
        return None
    return destination_from(f"{parts[3]}:{parts[1]}")


def inbound_cluster(workload: str, port: int) -> str:
    """`inbound|80|service-b-3fa2c1`: the program itself."""
    return f"inbound|{port}|{workload}"


def inbound_once_cluster(workload: str, port: int) -> str:
    """`inbound|80|service-b-3fa2c1|once`: the program itself, by a connection of the call's own."""
    return f"{inbound_cluster(workload, port)}|once"


def inbound_tcp_cluster(workload: str, port: int) -> str:
    """`inbound|9000|service-b-3fa2c1|tcp`: the program itself, for what turned out not to be HTTP."""
    return f"{inbound_cluster(workload, port)}|tcp"


def inbound_listener(workload: str) -> str:
    """`inbound.service-b-3fa2c1`."""
    return f"inbound.{workload}"


def virtual_host(route_config: str, destination: Destination) -> str:
    """`outbound.service-a-1b2c3d/service-b.default.svc.cluster.local:80`; the prefix is VHDS's rule."""
    return f"{route_config}/{destination}"


def tcp_listener(route_config: str, destination: Destination) -> str:
    """`outbound.service-a-1b2c3d/db.default.svc.cluster.local:5432`: as the virtual host of an HTTP port."""
    return virtual_host(route_config, destination)


def tunnels(route_config: str) -> str:
    """`outbound.service-a-1b2c3d.tunnels`: the inner listener of tunnels, and the cluster that leads to it."""
    return f"{route_config}.tunnels"


def initial_virtual_host(route_config: str) -> str:
    """A virtual host that serves nothing. Envoy's start blocks for 15 s if its first VHDS answer is empty."""
    return f"{route_config}/_init"


def sni(destination: Destination) -> str:
    """`outbound_.80_._.service-b.default.svc.cluster.local`: tells the serving sidecar which port is meant."""
    # Within a name Envoy takes no wildcard (FilterChainMatch, `server_names`).
    host = destination.service.host.replace("*", "_any")
    return f"outbound_.{destination.port}_._.{host}"
