"""MeshConfig."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.resources import mesh_config as mc

ABOUT = "What holds for the whole mesh, which has one of it. Also read from Istio's ConfigMap, where it is `data.mesh`."

_SERVICE = "The service that decides: HOST or NAMESPACE/HOST."
_TIMEOUT = "How long it may take."
_FAIL_OPEN = "Whether a call goes on if it can't be asked."
_CLEAR = "Whether the route is chosen again after it has changed headers."
_STATUS = "The status for a call when it can't be asked. Default: 403."
_BODY = "How much of the body it is sent."

FIELDS: Mapping[type[Any], Mapping[str, str]] = {
    mc.MeshConfig: {
        "outboundTrafficPolicy": "What becomes of calls to hosts that the mesh does not know.",
        "pathNormalization": "How paths are made uniform before they are matched.",
        "extensionProviders": "Services that policies can name, such as one that authorizes calls.",
        "trustDomain": "The first part of all identities.",
        "trustDomainAliases": "Other trust domains whose identities are taken as the mesh's own.",
        "rootNamespace": "The namespace whose resources hold for all. Default: istio-system.",
        "connectTimeout": "How long connecting to an instance may take. Default: 10s.",
        "protocolDetectionTimeout": "How long to wait for the first bytes of a connection whose protocol is not known.",
        "tcpKeepalive": "Whether and when silent connections are probed, unless a DestinationRule says otherwise.",
        "dnsRefreshRate": "How often names of ServiceEntries are looked up. Default: 60s.",
        "defaultServiceExportTo": "exportTo of ServiceEntries and services that have none.",
        "defaultVirtualServiceExportTo": "exportTo of VirtualServices that have none.",
        "defaultDestinationRuleExportTo": "exportTo of DestinationRules that have none.",
        "localityLbSetting": "Which localities are preferred, unless a DestinationRule says otherwise.",
        "defaultHttpRetryPolicy": "Retries of routes that have none of their own.",
        "defaultTrafficPolicy": "Limits and ejection, unless a DestinationRule says otherwise.",
        "proxyListenPort": "The port of the sidecars for outbound connections.",
        "proxyInboundListenPort": "The port of the sidecars for inbound connections.",
        "proxyHttpPort": "A port of the sidecars that is an HTTP proxy.",
        "hboneIdleTimeout": "How long a tunnel of ambient mode may be silent.",
        "ingressClass": "The class of Kubernetes' Ingresses.",
        "ingressService": "The service of the ingress gateway.",
        "ingressControllerMode": "Which of Kubernetes' Ingresses are heeded.",
        "ingressSelector": "The pods of the ingress gateway.",
        "enableTracing": "Whether calls are traced. Default: true.",
        "accessLogFile": "A file to which all calls are logged, `/dev/stdout` for the output of `tulle run`. Default: none.",
        "accessLogFormat": "A line of that log, or a JSON object of its fields, in Envoy's format. Default: Istio's.",
        "accessLogEncoding": "Whether its lines are text or JSON.",
        "enableEnvoyAccessLogService": "Whether the log is sent to a service.",
        "disableEnvoyListenerLog": "Whether listeners log nothing.",
        "defaultConfig": "How sidecars are started, of which `tracing` counts alone.",
        "inboundTrafficPolicy": "Where inbound connections go to.",
        "configSources": "Where configuration is read from.",
        "enableAutoMtls": "Whether sidecars use mutual TLS where they can: true, the default; false is refused.",
        "caCertificates": "Further roots that are trusted.",
        "zoneAwareLbSetting": "Keeps calls in the caller's zone.",
        "h2UpgradePolicy": "Whether HTTP/1.1 calls go on as HTTP/2.",
        "inboundClusterStatName": "What inbound clusters are called in the statistics.",
        "outboundClusterStatName": "What outbound clusters are called in the statistics.",
        "certificates": "Certificates that are made for others.",
        "serviceSettings": "Settings of single services.",
        "serviceScopeConfigs": "Which services are seen in other clusters.",
        "enablePrometheusMerge": "Whether the figures of program and proxy are given out as one.",
        "verifyCertificateAtClient": "Whether clients verify servers outside of the mesh by default.",
        "ca": "A certificate authority outside of the mesh.",
        "defaultProviders": "The providers that telemetry uses by default.",
        "discoverySelectors": "The namespaces that belong to the mesh.",
        "meshMTLS": "The TLS between sidecars.",
        "tlsDefaults": "The TLS to everything else.",
        "serviceEntryVisibility": "Which namespaces ServiceEntries may be seen in.",
    },
    mc.MeshOutboundTrafficPolicy: {
        "mode": "REGISTRY_ONLY: they are refused. ALLOW_ANY: they go there directly.",
        "tls": "TLS to such hosts.",
    },
    mc.ProxyPathNormalization: {
        "normalization": "NONE, BASE (RFC 3986), MERGE_SLASHES, DECODE_AND_MERGE_SLASHES; DEFAULT is BASE."
    },
    mc.DefaultTrafficPolicy: {
        "connectionPool": "Limits of connections and requests.",
        "outlierDetection": "When an instance that errs is left out for a while.",
    },
    mc.ExtensionProvider: {
        "name": "What policies call it.",
        "envoyExtAuthzHttp": "A service that authorizes calls, asked over HTTP.",
        "envoyExtAuthzGrpc": "A service that authorizes calls, asked over gRPC.",
        "zipkin": "Tracing with Zipkin.",
        "lightstep": "Tracing with Lightstep.",
        "datadog": "Tracing with Datadog.",
        "stackdriver": "Telemetry with Stackdriver.",
        "opencensus": "Tracing with OpenCensus.",
        "skywalking": "Tracing with SkyWalking.",
        "opentelemetry": "Tracing with OpenTelemetry.",
        "prometheus": "Figures for Prometheus.",
        "envoyFileAccessLog": "A log of calls in a file.",
        "envoyHttpAls": "A log of HTTP calls, sent to a service.",
        "envoyTcpAls": "A log of connections, sent to a service.",
        "envoyOtelAls": "A log of calls, sent as OpenTelemetry.",
        "sds": "Secrets from a service.",
    },
    mc.ExtAuthzHttpProvider: {
        "service": _SERVICE,
        "port": "Its port.",
        "timeout": _TIMEOUT,
        "pathPrefix": "What is put before the path of the call.",
        "failOpen": _FAIL_OPEN,
        "clearRouteCache": _CLEAR,
        "statusOnError": _STATUS,
        "includeHeadersInCheck": "Old form of includeRequestHeadersInCheck.",
        "includeRequestHeadersInCheck": "Headers of the call that it is sent.",
        "includeAdditionalHeadersInCheck": "Headers that it is sent beside.",
        "includeRequestBodyInCheck": _BODY,
        "headersToUpstreamOnAllow": "Headers of its answer that go on with the call.",
        "headersToDownstreamOnDeny": "Headers of its answer that the caller gets when it refuses.",
        "headersToDownstreamOnAllow": "Headers of its answer that the caller gets when it agrees.",
    },
    mc.ExtAuthzGrpcProvider: {
        "service": _SERVICE,
        "port": "Its port.",
        "timeout": _TIMEOUT,
        "failOpen": _FAIL_OPEN,
        "clearRouteCache": _CLEAR,
        "statusOnError": _STATUS,
        "includeRequestBodyInCheck": _BODY,
    },
    mc.RequestBodyInCheck: {
        "maxRequestBytes": "At most so many bytes.",
        "allowPartialMessage": "Sends the beginning of a body that is longer, in place of refusing the call.",
        "packAsBytes": "Sends it as bytes, not as text.",
    },
}
