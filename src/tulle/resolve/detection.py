"""For how long the first bytes of a connection are waited for, where they tell what it carries."""

from __future__ import annotations

from tulle.model.durations import nanoseconds
from tulle.model.resources.mesh_config import MeshConfig

# Long enough for a client that has something to say, short for one that waits for the server.
OUTBOUND = 200_000_000
# From a client on another machine, whose silence may be the network's.
INBOUND = 1_000_000_000


def detection_time(config: MeshConfig, default: int) -> int:
    """In nanoseconds (MeshConfig, `protocolDetectionTimeout`)."""
    said = config.protocol_detection_timeout
    return (nanoseconds(said) if said else None) or default
