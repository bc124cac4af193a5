"""DestinationRule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.resources import destination_rule as dr

ABOUT = "How a service is called once it is chosen: subsets of its instances, load balancing, limits, ejection and TLS."

_BALANCER = "How an instance is chosen."
_POOL = "Limits of connections and requests."
_OUTLIERS = "When an instance that errs is left out for a while."
_TLS = "How connections to the instances are encrypted. Default: mutual TLS of the mesh."
_FROM = "The locality of the caller: region/zone/subzone, or a part of it with `*`."

FIELDS: Mapping[type[Any], Mapping[str, str]] = {
    dr.DestinationRule: {
        "host": "The service, by name, or with a leading `*`; or a host of a ServiceEntry.",
        "trafficPolicy": "What holds for all of its ports and subsets.",
        "subsets": "Groups of its instances, which routes can name.",
        "exportTo": "The namespaces whose callers see this: `.` its own, `*` all, or names. Default: all.",
        "workloadSelector": "The callers, in the same namespace, for which this holds. Default: all.",
    },
    dr.TrafficPolicy: {
        "loadBalancer": _BALANCER,
        "connectionPool": _POOL,
        "outlierDetection": _OUTLIERS,
        "tls": _TLS,
        "portLevelSettings": "What holds for single ports instead. Nothing is taken over from what stands around it.",
        "tunnel": "Leads connections through a proxy that takes CONNECT or POST.",
        "proxyProtocol": "Sends a PROXY header at the start of each connection.",
        "retryBudget": "How many retries may be under way, measured by the calls that are.",
    },
    dr.PortTrafficPolicy: {
        "port": "Which port.",
        "loadBalancer": _BALANCER,
        "connectionPool": _POOL,
        "outlierDetection": _OUTLIERS,
        "tls": _TLS,
    },
    dr.Subset: {
        "name": "What routes call it.",
        "labels": "Labels that an instance must have, all of them.",
        "trafficPolicy": "What holds for it instead of the policy of the host; what it leaves out is taken from there.",
    },
    dr.LoadBalancerSettings: {
        "simple": "LEAST_REQUEST (default), ROUND_ROBIN, RANDOM, or PASSTHROUGH to the address that was called.",
        "consistentHash": "The same key goes to the same instance, as long as that is there.",
        "localityLbSetting": "Which localities are preferred. In place of the mesh's.",
        "zoneAwareLbSetting": "Keeps calls in the caller's zone as far as its capacity goes.",
        "warmupDurationSecs": "Old form of warmup.duration.",
        "warmup": "A new instance gets less at first.",
    },
    dr.ConsistentHashLB: {
        "httpHeaderName": "The key is this header.",
        "httpCookie": "The key is this cookie.",
        "useSourceIp": "The key is the caller's address.",
        "httpQueryParameterName": "The key is this parameter of the query.",
        "ringHash": "Spreads by a ring (default).",
        "maglev": "Spreads by a table, which is faster and moves more when instances change.",
        "minimumRingSize": "Old form of ringHash.minimumRingSize.",
    },
    dr.HTTPCookie: {
        "name": "Its name.",
        "path": "The path for which it is set.",
        "ttl": "How long it lives; a caller without it is given one. 0s: as long as the browser's session.",
        "attributes": "Further attributes that it is given.",
    },
    dr.CookieAttribute: {"name": "Such as SameSite.", "value": "Such as Lax; some have none."},
    dr.RingHash: {"minimumRingSize": "Points on the ring, at least. More spread more evenly. Default: 1024."},
    dr.MagLev: {"tableSize": "Size of the table, a prime number up to 5000011. Default: 65537."},
    dr.LocalityLoadBalancerSetting: {
        "distribute": "Which share of a locality's calls goes to which localities.",
        "failover": "Which region takes over when a region has not enough healthy instances.",
        "failoverPriority": "Labels in the order in which instances that have the caller's value are preferred.",
        "enabled": "Whether localities count at all. Default: as the mesh has it.",
    },
    dr.Distribute: {"from": _FROM, "to": "Localities with their shares in percent, which make 100."},
    dr.Failover: {"from": "The region of the caller.", "to": "The region that takes over."},
    dr.ZoneAwareLoadBalancerSetting: {
        "enabled": "Whether it is on.",
        "failover": "Which region takes over.",
        "failoverPriority": "Labels by which instances are preferred.",
        "minClusterSize": "How many instances a service needs for it.",
    },
    dr.WarmupConfiguration: {
        "duration": "How long it takes until an instance gets its full share.",
        "minimumPercent": "The share that it gets at first. Default: 10.",
        "aggression": "How the share grows: 1 evenly, more than 1 faster at first.",
    },
    dr.ConnectionPoolSettings: {"tcp": "For all connections.", "http": "For HTTP alone."},
    dr.TCPSettings: {
        "maxConnections": "Connections to the service, at most. What is above waits or is refused.",
        "connectTimeout": "How long connecting may take. Default: 10s.",
        "tcpKeepalive": "Whether and when silent connections are probed.",
        "maxConnectionDuration": "How long a connection may live.",
        "idleTimeout": "How long a connection may be silent. Default: 1h.",
    },
    dr.TcpKeepalive: {
        "probes": "Probes without an answer after which the connection is dead. Default: the system's.",
        "time": "Silence before the first probe. Default: the system's.",
        "interval": "Time between probes. Default: the system's.",
    },
    dr.HTTPSettings: {
        "http1MaxPendingRequests": "Requests that may wait for a connection.",
        "http2MaxRequests": "Requests that may be under way, in any version of HTTP.",
        "maxRequestsPerConnection": "Requests after which a connection is closed. 1: no keep-alive. 0: no limit.",
        "maxRetries": "Retries that may be under way.",
        "idleTimeout": "How long a connection may have no request. Default: 1h.",
        "h2UpgradePolicy": "Whether HTTP/1.1 calls go on as HTTP/2. Default: as the mesh has it.",
        "useClientProtocol": "Speaks with the service what the caller speaks.",
        "maxConcurrentStreams": "Requests that may share an HTTP/2 connection.",
        "http2KeepAlive": "Pings HTTP/2 connections.",
    },
    dr.ConnectionKeepalive: {
        "interval": "Time between pings.",
        "timeout": "How long to wait for the answer before the connection is closed.",
    },
    dr.OutlierDetection: {
        "consecutiveErrors": "Old form of consecutiveGatewayErrors.",
        "splitExternalLocalOriginErrors": "Counts what fails before an answer, such as connecting, for itself.",
        "consecutiveLocalOriginFailures": "Failures before an answer, in a row, after which an instance is left out.",
        "consecutiveGatewayErrors": "Answers 502, 503 or 504 in a row after which it is left out. 0: off.",
        "consecutive5xxErrors": "Answers 5xx in a row after which it is left out. 0: off. Default: 5.",
        "interval": "Time between two looks at who is to be left out or comes back. Default: 10s.",
        "baseEjectionTime": "How long it is left out the first time; the n-th time n times as long. Default: 30s.",
        "maxEjectionPercent": "How many of the instances may be left out, in percent. Default: 10.",
        "minHealthPercent": "Nobody is left out while fewer than this percentage are healthy. Default: 0.",
        "outlierDetectionHttpErrorCodes": "Further status codes that count as errors.",
    },
    dr.ClientTLSSettings: {
        "mode": "DISABLE: plain text. SIMPLE: TLS. MUTUAL: TLS with an own certificate. ISTIO_MUTUAL: as the mesh does.",
        "clientCertificate": "File of the certificate chain, for MUTUAL.",
        "privateKey": "File of its key, for MUTUAL.",
        "caCertificates": "File of the authorities that may have signed the server's. Default: the system's.",
        "credentialName": "A secret that holds certificate, key and authorities.",
        "subjectAltNames": "Names of which the server's certificate must have one. Default: the host.",
        "sni": "The name that is asked for in the handshake. Default: the host.",
        "insecureSkipVerify": "Takes any certificate of the server.",
        "caCrl": "File of the certificates that were revoked.",
    },
    dr.TunnelSettings: {
        "protocol": "CONNECT (default) or POST.",
        "targetHost": "The host that the proxy shall connect to.",
        "targetPort": "Its port.",
    },
    dr.ProxyProtocol: {"version": "V1 is text (default), V2 is binary."},
    dr.RetryBudget: {
        "percent": "Retries in percent of the calls that are under way. Default: 20.",
        "minRetryConcurrency": "Retries that may always be under way. Default: 3.",
        "budgetInterval": "Over which time calls are counted; 0s: those under way at the moment.",
    },
}
