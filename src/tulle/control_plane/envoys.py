"""Who may open an xDS stream, and what flows on it: the xDS server's owner over the hub."""

from __future__ import annotations

import time
from collections.abc import Callable

from tulle.control_plane.mesh import LiveMesh
from tulle.identity.svid import NotAnSvid, proved_id
from tulle.model.spiffe import proxy_of
from tulle.pipeline.view import View
from tulle.telemetry.own import Own
from tulle.xds.requests import Request
from tulle.xds.resources import SHORT, type_of
from tulle.xds.server import Refusal, StreamEnded, Subscriber


class Envoys:
    """A stream belongs to the proxy that its certificate proves; the node id may say nothing else.

    revoked: why a proxy is that, "" if it is not. gRPC reads no lists of revoked certificates, so it is looked at here.
    """

    def __init__(self, mesh: LiveMesh, revoked: Callable[[str], str], own: Own) -> None:
        self._mesh = mesh
        self._own = own
        self._revoked = revoked

    def connect(self, certificate: bytes, node: str, wake: Callable[[], None]) -> Subscriber | Refusal:
        try:
            identity = proved_id(certificate)
        except NotAnSvid as error:
            return Refusal(str(error))
        proxy = proxy_of(identity)
        if proxy is None:
            return Refusal(f"{identity} is no proxy's identity: only proxies are given configuration")
        if node != proxy:
            return Refusal(f"the certificate is proxy {proxy}'s, the node says that it is {node}")
        if why := self._revoked(proxy):
            return Refusal(why)
        return _Stream(self._mesh, self._mesh.connect(proxy, wake), self._revoked, self._own)


class _Stream:
    def __init__(self, mesh: LiveMesh, view: View, revoked: Callable[[str], str], own: Own) -> None:
        self._mesh, self._view, self._revoked, self._own = mesh, view, revoked, own

    def receive(self, request: Request) -> None:
        self._check()
        if request.error is not None:
            self._own.refused(SHORT.get(request.type_url, "other"))
        self._mesh.receive(self._view, request)

    def flush(self) -> list[bytes]:
        self._check()
        if self._view.superseded:
            raise StreamEnded(f"proxy {self._view.proxy_id} has opened newer streams")
        began = time.perf_counter()
        responses = self._view.flush()
        if responses:
            self._own.made_pushes(time.perf_counter() - began)
        for response in responses:
            self._own.pushed(SHORT.get(type_of(response), "other"), len(response))
        return responses

    def _check(self) -> None:
        if why := self._revoked(self._view.proxy_id):
            raise StreamEnded(why)

    def disconnect(self) -> None:
        self._mesh.disconnect(self._view)
