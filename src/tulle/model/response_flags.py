"""Envoy's response flags in words: what happened, and what to do.

Source: Envoy, access logging, `%RESPONSE_FLAGS%` and `%RESPONSE_FLAGS_LONG%` (source/common/stream_info/utility.h).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Flag(NamedTuple):
    """long: Envoy's long name. meaning: what happened. advice: what to look at."""

    long: str
    meaning: str
    advice: str


FLAGS: Mapping[str, Flag] = {
    "LH": Flag("FailedLocalHealthCheck", "the sidecar itself failed a health check", "look at its health"),
    "UH": Flag("NoHealthyUpstream", "nobody who serves it was healthy", "look at its instances: tulle services"),
    "UT": Flag(
        "UpstreamRequestTimeout", "the answer did not come in time", "look at the route's timeout, and at what is slow"
    ),
    "LR": Flag("LocalReset", "the sidecar ended it", "look at the details"),
    "UR": Flag("UpstreamRemoteReset", "the server's side ended it before an answer", "look at the server's log"),
    "UF": Flag(
        "UpstreamConnectionFailure",
        "the server could not be connected to",
        "look whether it runs and listens, and at TLS",
    ),
    "UC": Flag(
        "UpstreamConnectionTermination",
        "the server closed the connection",
        "look at the server's log and idle time limits",
    ),
    "UO": Flag(
        "UpstreamOverflow",
        "a limit of the DestinationRule was reached (circuit breaking)",
        "raise connectionPool, or add instances",
    ),
    "NR": Flag(
        "NoRouteFound", "no route fits the request", "compare it with the VirtualService: tulle explain request"
    ),
    "DI": Flag("DelayInjected", "a fault delayed it", "look at the VirtualService's fault"),
    "FI": Flag("FaultInjected", "a fault answered it", "look at the VirtualService's fault"),
    "RL": Flag("RateLimited", "it was one too many for a rate limit", "ask less often, or raise the limit"),
    "UAEX": Flag(
        "UnauthorizedExternalService",
        "the service that decides about access denied it",
        "look at the CUSTOM policy: tulle authz check",
    ),
    "RLSE": Flag("RateLimitServiceError", "the rate limit service could not be asked", "look at that service"),
    "DC": Flag(
        "DownstreamConnectionTermination",
        "the caller hung up before it was answered",
        "look at the caller's own time limit",
    ),
    "URX": Flag("UpstreamRetryLimitExceeded", "all tries failed", "look at why: flags and details of the last one"),
    "SI": Flag("StreamIdleTimeout", "nothing was sent or received for too long", "look at what is slow"),
    "IH": Flag("InvalidEnvoyRequestHeaders", "a header was not valid", "look at the request's headers"),
    "DPE": Flag("DownstreamProtocolError", "the caller broke the rules of HTTP", "look at the client"),
    "UMSDR": Flag("UpstreamMaxStreamDurationReached", "it took longer than a request may", "look at its time limit"),
    "RFCF": Flag("ResponseFromCacheFilter", "a cache answered it", ""),
    "NFCF": Flag("NoFilterConfigFound", "a filter's configuration did not come", "look at tulle proxies"),
    "DT": Flag("DurationTimeout", "the connection lasted longer than it may", "look at its time limit"),
    "UPE": Flag(
        "UpstreamProtocolError", "the server broke the rules of HTTP", "look whether its port speaks what it says"
    ),
    "NC": Flag(
        "NoClusterFound", "its destination does not exist", "look at the route's destination: tulle explain request"
    ),
    "OM": Flag("OverloadManagerTerminated", "the sidecar was out of resources", "look at its memory and connections"),
    "DF": Flag("DnsResolutionFailed", "DNS does not know the host", "look at the host's name"),
    "DO": Flag("DropOverload", "the sidecar dropped it on purpose", "look at the load"),
    "DR": Flag("DownstreamRemoteReset", "the caller cancelled it", "look at the caller's own time limit"),
    "UDO": Flag("UnconditionalDropOverload", "the sidecar dropped it on purpose", "look at the load"),
}
_BY_LONG = {flag.long: flag for flag in FLAGS.values()}


def meaning(name: str) -> str:
    """In a sentence, by either of its names."""
    found = FLAGS.get(name) or _BY_LONG.get(name)
    if found is None:
        return "a flag of Envoy's that is not known here"
    return f"{found.meaning}; {found.advice}" if found.advice else found.meaning
