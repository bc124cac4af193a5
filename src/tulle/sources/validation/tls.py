"""`tls` of a traffic policy: how a sidecar speaks TLS to what it calls.

Source: Istio, pkg/config/validation/agent (ValidateTLS), and the reference of ClientTLSSettings.
"""

from __future__ import annotations

from tulle.model.resources.destination_rule import ClientTLSSettings, TLSMode
from tulle.sources.at import At

# Which fields the modes without certificates of the user's leave unread.
_UNREAD = {
    "client_certificate": "clientCertificate",
    "private_key": "privateKey",
    "ca_certificates": "caCertificates",
    "ca_crl": "caCrl",
    "subject_alt_names": "subjectAltNames",
    "sni": "sni",
}


def check(tls: ClientTLSSettings | None, at: At) -> None:
    if tls is None:
        return
    if tls.mode in (TLSMode.SIMPLE, TLSMode.MUTUAL):
        _check_unverified(tls, at)
        _check_certificates(tls, at)
        return
    for attribute, name in _UNREAD.items():
        if getattr(tls, attribute):
            at.field(name).warning(
                f"mode {tls.mode} does not read `{name}`: leave it out, or use mode SIMPLE or MUTUAL"
            )


def _check_unverified(tls: ClientTLSSettings, at: At) -> None:
    if not tls.insecure_skip_verify:
        return
    for given, name in ((tls.ca_certificates, "caCertificates"), (tls.subject_alt_names, "subjectAltNames")):
        if given:
            at.field(name).error(f"`insecureSkipVerify` verifies nothing: leave out `{name}`, or verify")
    # MUTUAL takes its client certificate from there, so only SIMPLE can't mean anything else than a CA.
    if tls.credential_name and tls.mode is TLSMode.SIMPLE:
        at.field("credentialName").error("`insecureSkipVerify` verifies nothing: leave out `credentialName`, or verify")


def _check_certificates(tls: ClientTLSSettings, at: At) -> None:
    if tls.credential_name:
        for attribute in ("client_certificate", "private_key", "ca_certificates", "ca_crl"):
            if getattr(tls, attribute):
                name = _UNREAD[attribute]
                at.field(name).error(
                    f"`credentialName` and files exclude each other: leave out `{name}` or the credential"
                )
        return
    if tls.mode is TLSMode.MUTUAL:
        if not tls.client_certificate:
            at.field("clientCertificate").error("mode MUTUAL needs `clientCertificate`, the path of a PEM file")
        if not tls.private_key:
            at.field("privateKey").error("mode MUTUAL needs `privateKey`, the path of a PEM file")
