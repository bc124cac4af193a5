"""What is wrong with a document: values, all of them at once, in the user's words."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    """ERROR: Istio refuses it too. UNSUPPORTED: Istio takes it, tulle does not. WARNING: it does less than it says."""

    ERROR = "error"
    UNSUPPORTED = "unsupported"
    WARNING = "warning"


class Problem(Struct, frozen=True, order=True):
    """line: in the file, from 1; 0 if it is not known. path: of the field, `spec.http[0].route[1].weight`; "" for all of it."""

    line: int
    path: str
    message: str
    severity: Severity = Severity.ERROR
