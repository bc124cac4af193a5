"""VirtualService."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.resources import virtual_service as vs

ABOUT = "Where the calls to a host go: by path, header, weight and more, and what is done to them on the way."

_PORT = "The port that the caller called."
_SOURCE_LABELS = "Labels that the caller must have, all of them."
_SOURCE_NAMESPACE = "The namespace of the caller."
_GATEWAYS = "Where this match holds, in place of the resource's own gateways; `mesh` means all sidecars."
_SUBNETS = "Addresses that were called: IP addresses or CIDR ranges."

FIELDS: Mapping[type[Any], Mapping[str, str]] = {
    vs.VirtualService: {
        "hosts": "The hosts that are called: names of services, of ServiceEntries, or with a leading `*`.",
        "gateways": "Where the routes hold; `mesh`, the default, means all sidecars. There are no other gateways yet.",
        "http": "Routes of HTTP, HTTP/2 and gRPC calls. The first that matches is taken.",
        "tls": "Routes of TLS connections that are passed through, by the name that the caller asks for.",
        "tcp": "Routes of all other connections.",
        "exportTo": "The namespaces whose callers see this: `.` its own, `*` all, or names. Default: all.",
    },
    vs.HTTPRoute: {
        "name": "A name for people, shown where the route is explained.",
        "match": "When the route is taken: if one of these holds. Without any, always.",
        "route": "Where calls go, by weight.",
        "redirect": "Answers with a redirection.",
        "directResponse": "Answers at once, with a fixed status and body.",
        "delegate": "Hands over to the routes of another VirtualService, one without hosts.",
        "rewrite": "Changes path or host before the call is passed on.",
        "timeout": "How long a call may take, with its retries. Default: without end.",
        "retries": "When a failed call is made again.",
        "fault": "Delays or fails calls on purpose, for tests.",
        "mirror": "Sends a copy of each call there as well; its answer is thrown away.",
        "mirrors": "Several places that get a copy, each with its percentage.",
        "mirrorPercent": "Old form of mirrorPercentage, in whole percent.",
        "mirrorPercentage": "How many of the calls are mirrored. Default: all.",
        "corsPolicy": "Which pages of other origins may call from a browser.",
        "headers": "Changes to the headers of calls and answers.",
    },
    vs.HTTPMatchRequest: {
        "name": "A name for people; it is put behind that of the route.",
        "uri": "The path. Its query is no part of it.",
        "scheme": "http or https.",
        "method": "GET, POST and so on.",
        "authority": "The Host header, :authority in HTTP/2.",
        "headers": "Headers by their lower-case names. An empty match means that the header is there.",
        "port": _PORT,
        "sourceLabels": _SOURCE_LABELS,
        "gateways": _GATEWAYS,
        "queryParams": "Parameters of the query by name. An empty match means that the parameter is there.",
        "ignoreUriCase": "Takes upper and lower case of the path as the same, for exact and prefix.",
        "withoutHeaders": "Headers that must not be so. An empty match means that the header is not there.",
        "sourceNamespace": _SOURCE_NAMESPACE,
        "statPrefix": "The name under which Envoy counts the route's calls.",
    },
    vs.HTTPRouteDestination: {
        "destination": "Where to.",
        "weight": "Its share of the calls, of the sum of all weights. A single one gets all.",
        "headers": "Changes to the headers of what goes there and comes from there.",
    },
    vs.RouteDestination: {
        "destination": "Where to.",
        "weight": "Its share of the connections, of the sum of all weights. A single one gets all.",
    },
    vs.Headers: {"request": "Changes on the way to the service.", "response": "Changes on the way back."},
    vs.HeaderOperations: {
        "set": "Headers that get this value in place of any that they have.",
        "add": "Headers that get this value beside those that they have.",
        "remove": "Headers that are taken out.",
    },
    vs.HTTPRedirect: {
        "uri": "The path of the new address, in place of the one called.",
        "authority": "The host of the new address.",
        "port": "The port of the new address.",
        "derivePort": "Takes the port from the new scheme or from the call.",
        "scheme": "http or https.",
        "redirectCode": "301, 302, 303, 307 or 308. Default: 301.",
        "prefixRewrite": "In place of the part of the path that the prefix of the match was.",
    },
    vs.HTTPDirectResponse: {"status": "The status of the answer, 200 to 599.", "body": "Its body. Default: none."},
    vs.HTTPBody: {"string": "As text.", "bytes": "As base64."},
    vs.Delegate: {
        "name": "The name of the other VirtualService.",
        "namespace": "Its namespace. Default: that of this one.",
    },
    vs.HTTPRewrite: {
        "uri": "The new path, or the new prefix of it where the match is a prefix.",
        "authority": "The new Host header.",
        "uriRegexRewrite": "Changes what matches a regular expression in the path.",
    },
    vs.RegexRewrite: {
        "match": "What to look for, in RE2's syntax.",
        "rewrite": r"What to put there; \1 is what its first group matched.",
    },
    vs.HTTPRetry: {
        "attempts": "How often a call is made again, at most. 0: never.",
        "perTryTimeout": "How long each try may take. Default: the route's timeout.",
        "retryOn": "When: conditions of Envoy and status codes, with commas between them.",
        "retryRemoteLocalities": "Whether instances in other localities are tried.",
        "retryIgnorePreviousHosts": "Whether each try goes to an instance that was not tried. Default: true.",
        "backoff": "How long to wait before the first retry, at least; more before each further one.",
    },
    vs.CorsPolicy: {
        "allowOrigin": "Old form of allowOrigins: origins, or `*`.",
        "allowOrigins": "The origins that may call.",
        "allowMethods": "The methods that they may use.",
        "allowHeaders": "The headers that they may send.",
        "exposeHeaders": "The headers of the answer that the page may read.",
        "maxAge": "How long a browser may remember this.",
        "allowCredentials": "Whether cookies and passwords may be sent.",
        "unmatchedPreflights": "What happens to a preflight of another origin: FORWARD passes it on, IGNORE answers it.",
    },
    vs.HTTPFaultInjection: {"delay": "Makes calls wait.", "abort": "Answers calls with an error."},
    vs.Delay: {
        "percent": "Old form of percentage, in whole percent.",
        "fixedDelay": "How long, at least 1ms.",
        "exponentialDelay": "How long, on average.",
        "percentage": "How many of the calls.",
    },
    vs.Abort: {
        "httpStatus": "The status of the answer, 200 to 599.",
        "grpcStatus": "The gRPC status of the answer, such as UNAVAILABLE.",
        "http2Error": "The HTTP/2 error that the stream ends with.",
        "percentage": "How many of the calls.",
    },
    vs.HTTPMirrorPolicy: {"destination": "Where copies go.", "percentage": "How many of the calls. Default: all."},
    vs.L4MatchAttributes: {
        "destinationSubnets": _SUBNETS,
        "port": _PORT,
        "sourceSubnet": "The address of the caller: an IP address or a CIDR range.",
        "sourceLabels": _SOURCE_LABELS,
        "gateways": _GATEWAYS,
        "sourceNamespace": _SOURCE_NAMESPACE,
    },
    vs.TLSMatchAttributes: {
        "sniHosts": "Names that the caller asks for in its TLS handshake (SNI); each must be in the resource's hosts.",
        "destinationSubnets": _SUBNETS,
        "port": _PORT,
        "sourceLabels": _SOURCE_LABELS,
        "gateways": _GATEWAYS,
        "sourceNamespace": _SOURCE_NAMESPACE,
    },
    vs.TLSRoute: {"match": "When it is taken: if one of these holds.", "route": "Where connections go, by weight."},
    vs.TCPRoute: {
        "match": "When it is taken: if one of these holds. Without any, always.",
        "route": "Where connections go, by weight.",
    },
}
