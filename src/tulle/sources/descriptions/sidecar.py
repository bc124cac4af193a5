"""Sidecar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.resources import sidecar

ABOUT = "Which services the sidecars of a namespace, or some of them, can call, and what becomes of all other calls."

_PORT = "Its port."
_BIND = "The address that it listens at."
_CAPTURE = "How connections come to it."

FIELDS: Mapping[type[Any], Mapping[str, str]] = {
    sidecar.Sidecar: {
        "workloadSelector": "The workloads for which this holds. Default: all of the namespace.",
        "ingress": "The ports that the sidecar takes calls at. Default: those of the program.",
        "egress": "What can be called. Default: as the root namespace has it, else everything.",
        "inboundConnectionPool": "Limits of what comes to the program.",
        "outboundTrafficPolicy": "What becomes of calls to hosts that the mesh does not know.",
    },
    sidecar.IstioEgressListener: {
        "port": _PORT,
        "bind": _BIND,
        "captureMode": _CAPTURE,
        "hosts": "NAMESPACE/HOST, each with `*` for all, `.` for the own namespace, `~` for none.",
    },
    sidecar.IstioIngressListener: {
        "port": _PORT,
        "bind": _BIND,
        "captureMode": _CAPTURE,
        "defaultEndpoint": "Where its calls go: 127.0.0.1:PORT, 0.0.0.0:PORT or a Unix socket.",
        "tls": "TLS of the listener.",
        "connectionPool": "Limits of what comes to it.",
    },
    sidecar.OutboundTrafficPolicy: {
        "mode": "REGISTRY_ONLY: they are refused. ALLOW_ANY: they go there directly.",
        "egressProxy": "They go through this service.",
    },
    sidecar.SidecarPort: {
        "number": "The number, 1 to 65535.",
        "protocol": "HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.",
        "name": "Its name.",
        "targetPort": "Another number for the program's port.",
    },
    sidecar.ServerTLSSettings: {
        "httpsRedirect": "Answers plain HTTP with a redirection.",
        "mode": "What the server asks of its clients.",
        "serverCertificate": "File of the certificate chain.",
        "privateKey": "File of its key.",
        "caCertificates": "File of the authorities that may have signed a client's.",
        "caCrl": "File of the certificates that were revoked.",
        "credentialName": "A secret that holds certificate and key.",
        "credentialNames": "Several of them.",
        "caCertCredentialName": "A secret that holds the authorities.",
        "tlsCertificates": "Several certificates.",
        "subjectAltNames": "Names of which a client's certificate must have one.",
        "verifyCertificateSpki": "Hashes of keys that a client may have.",
        "verifyCertificateHash": "Hashes of certificates that a client may have.",
        "minProtocolVersion": "The oldest TLS that is taken.",
        "maxProtocolVersion": "The newest TLS that is taken.",
        "cipherSuites": "The ciphers that are taken.",
        "insecureSkipVerify": "Takes any certificate of a client.",
    },
    sidecar.TLSCertificate: {
        "serverCertificate": "File of the certificate chain.",
        "privateKey": "File of its key.",
        "caCertificates": "File of the authorities.",
    },
}
