"""ServiceEntry, WorkloadEntry and WorkloadGroup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.resources import service_entry as se
from tulle.model.resources import workload_entry as we

SERVICE_ENTRY = "A service that tulle does not run: hosts outside of the mesh, or processes that are brought into it."
WORKLOAD_ENTRY = "One process that no agent runs, as an instance of what selects its labels."
WORKLOAD_GROUP = "What the WorkloadEntries of a group have in common: labels, ports, identity."

FIELDS: Mapping[type[Any], Mapping[str, str]] = {
    se.ServiceEntry: {
        "hosts": "The names by which it is called; with a leading `*` all names that end so.",
        "addresses": "The addresses by which it is called: IP addresses or CIDR ranges.",
        "ports": "Its ports.",
        "location": "MESH_EXTERNAL (default): no mutual TLS. MESH_INTERNAL: part of the mesh.",
        "resolution": "How its instances are found: NONE the address or host called, STATIC the endpoints, DNS their names.",
        "endpoints": "Its instances.",
        "workloadSelector": "Its instances are the workloads with these labels.",
        "exportTo": "The namespaces whose callers see this: `.` its own, `*` all, or names. Default: all.",
        "subjectAltNames": "Names of which the server's certificate must have one.",
    },
    se.ServicePort: {
        "number": "The number by which it is called, 1 to 65535.",
        "protocol": "HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.",
        "name": "Its name, unlike those of the other ports.",
        "targetPort": "The number that the instances have it at. Default: the same.",
    },
    we.WorkloadEntry: {
        "address": "An IP address, the path of a Unix socket as unix:///…, or a name where DNS resolves it.",
        "ports": "The numbers of the service's ports here, by the name of the port. Default: the service's.",
        "labels": "Labels by which it is selected.",
        "network": "The network in which the address can be reached. tulle has one.",
        "locality": "Where it is: region/zone/subzone.",
        "weight": "Its share of the calls, against the other instances. Default: 1.",
        "serviceAccount": "The identity that its certificate has.",
    },
    we.WorkloadGroup: {
        "metadata": "Labels and annotations that each entry gets.",
        "template": "What each entry has unless it says otherwise.",
        "probe": "How its processes are asked whether they are ready.",
    },
    we.ObjectMeta: {"labels": "Labels of each entry.", "annotations": "Annotations of each entry."},
    we.ReadinessProbe: {
        "initialDelaySeconds": "Seconds before the first probe.",
        "timeoutSeconds": "Seconds within which the answer must come.",
        "periodSeconds": "Seconds between two probes.",
        "successThreshold": "Successes in a row that make it ready.",
        "failureThreshold": "Failures in a row that make it not ready.",
        "httpGet": "An HTTP request that must be answered with 2xx or 3xx.",
        "tcpSocket": "A port that must take connections.",
        "exec": "A command that must end with 0.",
        "grpc": "A gRPC health check.",
    },
    we.HTTPHealthCheckConfig: {
        "path": "The path.",
        "port": "The port.",
        "host": "The host that is called.",
        "scheme": "HTTP or HTTPS.",
        "httpHeaders": "Headers of the request.",
    },
    we.HTTPHeader: {"name": "Its name.", "value": "Its value."},
    we.TCPHealthCheckConfig: {"host": "The host that is called.", "port": "The port."},
    we.ExecHealthCheckConfig: {"command": "The command and its arguments."},
    we.GrpcHealthCheckConfig: {"port": "The port.", "service": "The service that is asked for."},
}
