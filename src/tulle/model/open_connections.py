"""TCP connections that last, as a sidecar's Envoy tells its agent of them: a line of JSON each.

`{"about": "open connection", "connection": 7, "moment": "TcpPeriodic", "tcp_sent_bytes_total": {"bytes": 12, ...tags}, ...}`,
with all bytes since the connection began. Source: Envoy, access logs: `%CONNECTION_ID%`, `%ACCESS_LOG_TYPE%`.
"""

from __future__ import annotations

from tulle.model.calls import ABOUT

OPEN_CONNECTION = "open connection"  # what ABOUT says
BEGINNING = f'{{"{ABOUT}":"{OPEN_CONNECTION}"'.encode()
CONNECTION = "connection"  # its number, of which an Envoy has none twice
MOMENT = "moment"
ENDED = "TcpConnectionEnd"  # what MOMENT says at the end
BYTES = "bytes"
