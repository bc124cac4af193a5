"""Requests as they come over the wire: from whoever has a certificate, so nothing in them is trusted."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from tulle.envoy_api.messages import message
from tulle.xds.reasons import reason_first
from tulle.xds.requests import Request

# What a client may ask for on one stream; about what a message of 16 MiB holds.
MOST_NAMES = 100_000


class MalformedRequest(Exception):
    """What was sent is no request that any client sends."""


def decode(data: bytes) -> Request:
    """A DeltaDiscoveryRequest. Raises MalformedRequest.

    The node's description, which is most of a first request (61 kB), is left behind.
    """
    try:
        request = message("envoy.service.discovery.v3.DeltaDiscoveryRequest").FromString(data)
    except DecodeError as error:
        raise MalformedRequest(f"not a DeltaDiscoveryRequest: {error}") from error
    if not request.type_url:
        raise MalformedRequest("a request without a type_url")
    names = (request.resource_names_subscribe, request.resource_names_unsubscribe, request.initial_resource_versions)
    if max(map(len, names)) > MOST_NAMES:
        raise MalformedRequest(f"a request with more than {MOST_NAMES} names")
    return Request(
        type_url=request.type_url,
        subscribe=tuple(request.resource_names_subscribe),
        unsubscribe=tuple(request.resource_names_unsubscribe),
        held=dict(request.initial_resource_versions),
        nonce=request.response_nonce,
        error=reason_first(request.error_detail.message) if request.HasField("error_detail") else None,
        node=request.node.id,
    )
