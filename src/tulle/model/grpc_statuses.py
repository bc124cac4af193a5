"""The names of gRPC's statuses, in the order of their numbers from 0. Source: gRPC, doc/statuscodes.md."""

GRPC_STATUSES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)

# By their numbers: the server's failures, all else is an answer. Source: OpenTelemetry, "Semantic conventions for gRPC".
FAILED = ("2", "4", "12", "13", "14", "15")
