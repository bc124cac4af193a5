"""WorkloadEntry, an endpoint of a ServiceEntry, and WorkloadGroup.

Source: Istio, pkg/config/validation (validateWorkloadEntry, ValidateWorkloadGroup) and the rules of their CRDs.
"""

from __future__ import annotations

from collections.abc import Collection

from tulle.model.ip import is_address
from tulle.model.resources.workload_entry import WorkloadEntry, WorkloadGroup
from tulle.sources.at import At
from tulle.sources.validation import readiness_probe
from tulle.sources.validation.amounts import check_count, check_size
from tulle.sources.validation.basics import check_labels, check_no_zone, check_port, fqdn_problem
from tulle.sources.validation.names import check_port_name, check_socket_path

_MOST_PORTS, _MOST_LABELS = 128, 256
# Envoy adds those of a place up in 32 bits (LocalityLbEndpoints, `lb_endpoints`).
_MOST_WEIGHT = 1_000_000
_LONGEST_ADDRESS, _LONGEST_PLACE, _LONGEST_ACCOUNT = 256, 2048, 253
_TLS_MODE = "security.istio.io/tlsMode"
_LONGEST_PORT_NAME = 62  # of the CRD, which asks for less than 63


def check_entry(spec: WorkloadEntry, at: At) -> None:
    _check_address(spec, at, names=True, sockets=True)
    _check_rest(spec, at)


def check_endpoint(spec: WorkloadEntry, at: At, ports: Collection[str], *, static: bool) -> None:
    """Of a ServiceEntry. ports: the names of its ports. static: whether it is resolved by STATIC, else by DNS."""
    _check_address(spec, at, names=not static, sockets=static)
    _check_rest(spec, at)
    for name in spec.ports:
        if name not in ports:
            at.field("ports").key(name).error(f"the entry has no port `{name}`: use the names of its `ports`")
    if static and spec.address.startswith("unix://") and len(ports) != 1:
        at.field("address").error(f"a socket serves one port, and the entry has {len(ports)}: give it exactly one")


def check_group(spec: WorkloadGroup, at: At) -> None:
    if spec.template is None:
        at.field("template").error("is needed: the fields that the group's workloads share; `{}` for none")
    else:
        template = at.field("template")
        if spec.template.address:
            template.field("address").warning("each workload of a group has an address of its own: leave it out")
        _check_socket(spec.template, template)
        _check_rest(spec.template, template)
    if spec.metadata is not None:
        metadata = at.field("metadata")
        check_labels(spec.metadata.labels, metadata.field("labels"))
        check_count(spec.metadata.labels, metadata.field("labels"), _MOST_LABELS)
        check_count(spec.metadata.annotations, metadata.field("annotations"), _MOST_LABELS)
    readiness_probe.check(spec.probe, at.field("probe"))


def _check_address(entry: WorkloadEntry, at: At, *, names: bool, sockets: bool) -> None:
    address, place = entry.address, at.field("address")
    if not address:
        if not entry.network:
            place.error("is needed: an IP address, a DNS name, or `unix:///path/of/a/socket`")
            return
        place.warning(f"nothing says where in network `{entry.network}` it is")
        place.unsupported("tulle has no gateways between networks: give an address")
    elif address.startswith("unix://") and sockets:
        _check_socket(entry, at)
    elif not is_address(address):
        if not names:
            place.error(f"`{address}` must be an IP address with `resolution: STATIC`; names need `resolution: DNS`")
        elif problem := fqdn_problem(address):
            place.error(f"{problem}; or write an IP address")
    else:
        check_no_zone(address, place)
    check_size(address, place, _LONGEST_ADDRESS)


def _check_socket(entry: WorkloadEntry, at: At) -> None:
    if entry.address.startswith("unix://"):
        check_socket_path(entry.address, at.field("address"))
        if entry.ports:
            at.field("ports").error(f"`{entry.address}` is a socket, which has no ports: leave `ports` out")


def _check_rest(entry: WorkloadEntry, at: At) -> None:
    if entry.weight > _MOST_WEIGHT:
        at.field("weight").unsupported(f"is {entry.weight}: use {_MOST_WEIGHT} at most, as all of a place are added up")
    ports = at.field("ports")
    for name, number in entry.ports.items():
        check_port_name(name, ports.key(name))
        if len(name) == _LONGEST_PORT_NAME + 1:
            ports.key(name).error(f"the port's name `{name}` has {len(name)} characters: {_LONGEST_PORT_NAME} at most")
        check_port(number, ports.key(name))
    check_count(entry.ports, ports, _MOST_PORTS)
    check_labels(entry.labels, at.field("labels"))
    check_count(entry.labels, at.field("labels"), _MOST_LABELS)
    if entry.labels.get(_TLS_MODE) == "istio":
        at.field("labels").key(_TLS_MODE).unsupported("only instances of `tulle run` have a sidecar: leave it out")
    if entry.service_account:
        at.field("serviceAccount").warning("no sidecar is there to prove it: calls go in plain text")
    if entry.network and entry.address:
        at.field("network").unsupported("tulle has no gateways between networks: leave it out")
    check_size(entry.network, at.field("network"), _LONGEST_PLACE)
    check_size(entry.locality, at.field("locality"), _LONGEST_PLACE)
    check_size(entry.service_account, at.field("serviceAccount"), _LONGEST_ACCOUNT)
