"""Named, versioned, encoded resources: what an xDS server sends.

Encoded by hand, which protobuf's wire format makes easy: a message's encoding is the concatenation of its parts. So a
resource is encoded once, and what a change costs per session is joining a few byte strings.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from hashlib import blake2b

from msgspec import Struct

from tulle.envoy_api.wire import field, head

CDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
EDS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS = "type.googleapis.com/envoy.config.listener.v3.Listener"
RDS = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
VHDS = "type.googleapis.com/envoy.config.route.v3.VirtualHost"
SDS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
SHORT = {CDS: "cds", EDS: "eds", LDS: "lds", RDS: "rds", VHDS: "vhds", SDS: "sds"}

Key = tuple[str, str]  # type URL and name


class Resource(Struct, frozen=True, dict=True):
    """One resource of a type.

    version: what tells it from the same resource with another body or other aliases.
    body: the encoded google.protobuf.Any; empty for the answer "there is no such thing", which VHDS understands.
    aliases: the names, beside its own, that it answers when a client asks for them (VHDS). A reconnecting client asks
    for them again, and the version alone tells whether it has been answered.
    requires: what a client must hold before this, and as long as it holds this.
    """

    type_url: str
    name: str
    version: str = "0"
    body: bytes = b""
    aliases: tuple[str, ...] = ()
    requires: tuple[Key, ...] = ()

    @property
    def key(self) -> Key:
        return self.type_url, self.name

    @property
    def answers(self) -> tuple[str, ...]:
        """The names under which a client may wait for it."""
        return (self.name, *self.aliases)

    @cached_property
    def head(self) -> bytes:
        """What precedes `body` to make it an item of DeltaDiscoveryResponse.resources."""
        # envoy.service.discovery.v3.Resource: 1 version, 2 resource, 3 name, 4 aliases
        start = field(1, self.version.encode()) + field(3, self.name.encode())
        start += b"".join(field(4, alias.encode()) for alias in self.aliases)
        if self.body:
            start += head(2, len(self.body))
        return head(2, len(start) + len(self.body)) + start


def resource(
    type_url: str, name: str, message: bytes, aliases: tuple[str, ...] = (), requires: tuple[Key, ...] = ()
) -> Resource:
    """A resource from its encoded message, with a version that follows from it and from the aliases in any order."""
    # google.protobuf.Any: 1 type_url, 2 value
    body = field(1, type_url.encode()) + field(2, message)
    digest = blake2b(body, digest_size=8)
    for alias in sorted(aliases):
        digest.update(field(4, alias.encode()))
    return Resource(type_url, name, digest.hexdigest(), body, aliases, requires)


_TYPE_PREFIX = b"type.googleapis.com/"


def type_of(response: bytes) -> str:
    """The type URL of what `response` has encoded."""
    at = response.rfind(_TYPE_PREFIX)
    return response[at : response.index(b"*", at)].decode()  # "*": the tag of the nonce, which follows


def response(type_url: str, nonce: str, resources: Iterable[Resource] = (), removed: Iterable[str] = ()) -> bytes:
    """An encoded DeltaDiscoveryResponse."""
    # 2 resources, 4 type_url, 5 nonce, 6 removed_resources
    parts = [part for item in resources for part in (item.head, item.body)]
    parts += [field(6, name.encode()) for name in removed]
    return b"".join((*parts, field(4, type_url.encode()), field(5, nonce.encode())))
