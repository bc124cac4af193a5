"""`outlierDetection`: of a DestinationRule and the mesh. Source: Istio, pkg/config/validation (validateOutlierDetection)."""

from __future__ import annotations

from tulle.model.resources.destination_rule import OutlierDetection
from tulle.sources.at import At
from tulle.sources.validation.amounts import check_percent, check_time


def check(outlier: OutlierDetection | None, at: At) -> None:
    if outlier is None:
        return
    check_time(outlier.interval, at.field("interval"))
    check_time(outlier.base_ejection_time, at.field("baseEjectionTime"))
    check_percent(outlier.max_ejection_percent, at.field("maxEjectionPercent"))
    check_percent(outlier.min_health_percent, at.field("minHealthPercent"))
    if outlier.consecutive_errors:
        at.field("consecutiveErrors").warning("is deprecated: use `consecutiveGatewayErrors` or `consecutive5xxErrors`")
    if outlier.consecutive_local_origin_failures and not outlier.split_external_local_origin_errors:
        at.field("consecutiveLocalOriginFailures").error(
            "failures of this side are told apart only with `splitExternalLocalOriginErrors: true`: add that"
        )
    for index, code in enumerate(outlier.outlier_detection_http_error_codes):
        if not 100 <= code <= 599:
            at.field("outlierDetectionHttpErrorCodes").item(index).error(f"{code} is no HTTP status: use 100 to 599")
