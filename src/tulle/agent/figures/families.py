"""Istio's standard metrics: their names, kinds and buckets.

Source: Istio, "Istio Standard Metrics"; the buckets are those of Envoy's default (Envoy, `histogram_bucket_settings`).
"""

from __future__ import annotations

from typing import NamedTuple

BOUNDS = (
    *("0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000"),
    *("60000", "300000", "600000", "1800000", "3600000", "+Inf"),
)


class Family(NamedTuple):
    """One metric. label: what a report calls it. help: for /metrics.

    The values of a histogram's series are its sum and then its buckets, each with those before it.
    """

    name: str
    label: str
    help: str
    is_histogram: bool = False
    is_tcp: bool = False
    part: int | None = None  # of its series' tag `messages`: the number that each one counted stands for

    @property
    def size(self) -> int:
        return 1 + len(BOUNDS) if self.is_histogram else 1


REQUESTS = Family("istio_requests_total", "requests", "Requests that were answered, or failed.")
DURATION = Family(
    "istio_request_duration_milliseconds", "duration", "How long requests took, in milliseconds.", is_histogram=True
)
FAMILIES = (
    REQUESTS,
    DURATION,
    Family("istio_request_bytes", "request_bytes", "Sizes of request bodies, in bytes.", is_histogram=True),
    Family("istio_response_bytes", "response_bytes", "Sizes of response bodies, in bytes.", is_histogram=True),
    Family("istio_request_messages_total", "request_messages", "Messages of gRPC that were sent by clients.", part=0),
    Family("istio_response_messages_total", "response_messages", "Messages of gRPC that were sent by servers.", part=1),
    Family("istio_tcp_connections_opened_total", "opened", "TCP connections that were opened.", is_tcp=True),
    Family("istio_tcp_connections_closed_total", "closed", "TCP connections that were closed.", is_tcp=True),
    Family("istio_tcp_sent_bytes_total", "sent", "Bytes that servers sent over TCP connections.", is_tcp=True),
    Family("istio_tcp_received_bytes_total", "received", "Bytes that clients sent over TCP connections.", is_tcp=True),
)
BY_NAME = {family.name: family for family in FAMILIES}
