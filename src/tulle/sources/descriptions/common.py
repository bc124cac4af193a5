"""The messages of several kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tulle.model.resources.common import (
    Destination,
    LabelSelector,
    Percent,
    PortSelector,
    StringMatch,
    WorkloadSelector,
)

FIELDS: Mapping[type[Any], Mapping[str, str]] = {
    StringMatch: {
        "exact": "The text must be the same.",
        "prefix": "The text must begin so.",
        "regex": "All of the text must match this regular expression, in RE2's syntax.",
    },
    PortSelector: {"number": "The number of a service's port, 1 to 65535."},
    Destination: {
        "host": "The service: its name, with or without its namespace, or a host of a ServiceEntry.",
        "subset": "One of the subsets that a DestinationRule of the host names.",
        "port": "Which port of the service; may be left out if it has one.",
    },
    Percent: {"value": "0 to 100, in steps of 0.0001."},
    WorkloadSelector: {"matchLabels": "Labels that a workload must have, all of them."},
    LabelSelector: {"labels": "Labels that a workload must have, all of them."},
}
