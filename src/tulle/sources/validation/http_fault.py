"""Faults that a rule makes up: delays and failures."""

from __future__ import annotations

from tulle.model.grpc_statuses import GRPC_STATUSES
from tulle.model.resources.virtual_service import Abort, Delay, HTTPFaultInjection
from tulle.sources.at import At
from tulle.sources.validation.amounts import check_one_of
from tulle.sources.validation.basics import check_duration, check_percentage


def check(fault: HTTPFaultInjection | None, at: At) -> None:
    if fault is None:
        return
    if fault.delay is None and fault.abort is None:
        at.error("makes no fault: give `delay`, `abort` or both")
    if fault.abort is not None:
        _check_abort(fault.abort, at.field("abort"))
    if fault.delay is not None:
        _check_delay(fault.delay, at.field("delay"))


def _check_abort(abort: Abort, at: At) -> None:
    if abort.percentage is not None:
        check_percentage(abort.percentage.value, at.field("percentage").field("value"))
    if not check_one_of(abort, at, http_status="httpStatus", grpc_status="grpcStatus", http2_error="http2Error"):
        at.warning("does not say how calls fail: give `httpStatus` or `grpcStatus`")
    if abort.http2_error is not None:
        at.field("http2Error").error("errors of HTTP/2 can't be made up: give `httpStatus` or `grpcStatus`")
    if abort.http_status is not None and not 200 <= abort.http_status <= 600:
        at.field("httpStatus").error(f"is {abort.http_status}: use a status from 200 to 599")
    elif abort.http_status == 600:
        at.field("httpStatus").unsupported("is 600, which Envoy can't answer: use a status from 200 to 599")
    if abort.grpc_status is not None and abort.grpc_status not in GRPC_STATUSES:
        at.field("grpcStatus").error(
            f"`{abort.grpc_status}` is no status of gRPC: use one of {', '.join(GRPC_STATUSES)}"
        )


def _check_delay(delay: Delay, at: At) -> None:
    if delay.percentage is not None:
        check_percentage(delay.percentage.value, at.field("percentage").field("value"))
    if delay.percent:
        at.field("percent").warning("is the old form: write `percentage: {value: …}`")
        if delay.percentage is None and not 0 <= delay.percent <= 100:
            at.field("percent").unsupported(f"is {delay.percent}: use `percentage`, from 0 to 100")
    check_one_of(delay, at, fixed_delay="fixedDelay", exponential_delay="exponentialDelay")
    if delay.fixed_delay is not None:
        check_duration(delay.fixed_delay, at.field("fixedDelay"))
    if delay.exponential_delay is not None:
        at.field("exponentialDelay").error("delays of random length can't be made up: give `fixedDelay`")
    elif delay.fixed_delay is None:
        at.warning("does not say how long calls are delayed: give `fixedDelay`")
