"""`ingress` of a Sidecar, which tulle does not do. What Istio would refuse is an error all the same.

Source: Istio, pkg/config/validation (ValidateSidecar, validateTLSOptions).
"""

from __future__ import annotations

from tulle.model.ip import is_address
from tulle.model.resources.sidecar import IstioIngressListener, ServerTLSMode, ServerTLSSettings, SidecarPort
from tulle.sources.at import At
from tulle.sources.validation import connection_pool
from tulle.sources.validation.basics import check_port
from tulle.sources.validation.names import HTTP_PROTOCOLS, check_port_name, check_protocol, check_socket_path

_OWN_ADDRESSES = ("", "127.0.0.1", "0.0.0.0", "::1", "::")  # noqa: S104
_MUTUAL = (ServerTLSMode.MUTUAL, ServerTLSMode.OPTIONAL_MUTUAL)


def check(listeners: tuple[IstioIngressListener, ...], at: At) -> None:
    ports: set[int] = set()
    for index, listener in enumerate(listeners):
        place = at.item(index)
        if listener.port is None:
            place.field("port").error("is needed: `port: {number: 8080, protocol: HTTP, name: http}`")
        else:
            _check_port(listener.port, place.field("port"))
            if listener.port.number in ports:
                place.field("port").error(f"port {listener.port.number} has a listener above: keep one")
            ports.add(listener.port.number)
        if listener.bind and not is_address(listener.bind):
            place.field("bind").error(f"`{listener.bind}` must be an IP address")
        if listener.default_endpoint:
            _check_endpoint(listener.default_endpoint, place.field("defaultEndpoint"))
        if listener.tls is not None:
            _check_tls(listener.tls, place.field("tls"))
        _check_pool(listener, place.field("connectionPool"))


def _check_port(port: SidecarPort, at: At) -> None:
    if port.name:
        check_port_name(port.name, at.field("name"))
    check_protocol(port.protocol, at.field("protocol"))
    check_port(port.number, at.field("number"))
    if port.target_port:
        at.field("targetPort").error("has no meaning here: use `defaultEndpoint`")


def _check_pool(listener: IstioIngressListener, at: At) -> None:
    connection_pool.check(listener.connection_pool, at)
    if listener.connection_pool is None or listener.connection_pool.http is None or listener.port is None:
        return
    if listener.port.protocol.lower() not in HTTP_PROTOCOLS:
        at.field("http").warning("is not read, as the port's protocol is not HTTP: give `tcp`, or say `protocol: HTTP`")


def _check_endpoint(endpoint: str, at: At) -> None:
    if endpoint.startswith("unix://"):
        check_socket_path(endpoint, at)
        return
    host, colon, port = endpoint.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host.replace(":", "?")
    if not colon or host not in _OWN_ADDRESSES or not (port.isascii() and port.isdigit()):
        at.error(f"`{endpoint}` must be 127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, [::]:<port> or unix:///path")
    else:
        check_port(int(port), at)


def _check_tls(tls: ServerTLSSettings, at: At) -> None:
    for name, given in (
        ("subjectAltNames", tls.subject_alt_names),
        ("httpsRedirect", tls.https_redirect),
        ("credentialName", tls.credential_name),
        ("credentialNames", tls.credential_names),
        ("tlsCertificates", tls.tls_certificates),
    ):
        if given:
            at.field(name).error("is for gateways, not for a sidecar: leave it out")
    if tls.mode in (ServerTLSMode.ISTIO_MUTUAL, ServerTLSMode.AUTO_PASSTHROUGH):
        at.field("mode").error(f"{tls.mode} is not for a sidecar's ingress: use SIMPLE or MUTUAL")
    if tls.credential_name or tls.mode not in (ServerTLSMode.SIMPLE, *_MUTUAL):
        return
    if not tls.server_certificate:
        at.field("serverCertificate").error(f"mode {tls.mode} needs `serverCertificate`, the path of a PEM file")
    if not tls.private_key:
        at.field("privateKey").error(f"mode {tls.mode} needs `privateKey`, the path of a PEM file")
    if tls.mode in _MUTUAL and not tls.ca_certificates:
        at.field("caCertificates").error(f"mode {tls.mode} needs `caCertificates`, the path of a PEM file")
    if tls.ca_crl and tls.mode is ServerTLSMode.SIMPLE:
        at.field("caCrl").error("mode SIMPLE asks for no client certificates, so none are revoked: leave it out")
