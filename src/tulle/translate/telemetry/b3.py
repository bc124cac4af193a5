"""B3 headers, heeded where no `traceparent` came: one is made of them before Envoy, which reads nothing else, begins its span.

`b3: TRACE-SPAN[-STATE][-PARENT]` if it is there, else `x-b3-traceid`, `x-b3-spanid`, `x-b3-sampled`, `x-b3-flags`. They stay as
they are for the program. What is not well formed counts as if it had not come, and so does what has no ids (`b3: 0`), without
which there is no `traceparent`. Ids in upper case, which B3 does not allow, are not well formed.

In `%CEL(...)%` Envoy has no macros, joins no strings, and cuts them by `re.extract` alone; the regular expressions of `matches`
must be small (a program of 100), so lengths are looked at by themselves. An expression that fails makes no header.
Sources: github.com/openzipkin/b3-propagation; W3C Trace Context, section 3.2; Envoy, `early_header_mutation_extensions`.
"""

from __future__ import annotations

from typing import Any

from tulle.ir.telemetry import Telemetry

_NOUGHT = "0" * 16
_ALL = 1 << 32
# What an extraction puts for its group, as CEL writes it; and what becomes that when it is itself put out by an extraction.
_GROUP, _OUTER_GROUP = r"\\1", r"\\\\1"


def heeded_b3(telemetry: Telemetry) -> list[dict[str, Any]]:
    """Early header mutations of a connection manager, if these calls' spans are told and B3 is heeded.

    Not where the trace's context must not be passed on, as a `traceparent` that is made here goes on like one that came.
    """
    of = telemetry.tracing
    if of is None or not (of.b3 and of.reports and of.propagates):
        return []
    header = {"key": "traceparent", "value": f"%CEL({_traceparent(of.sampling)})%"}
    return [{"append": {"header": header, "append_action": "ADD_IF_ABSENT"}}]


def _traceparent(sampling: float) -> str:
    """The expression, "" for none. Most calls have no B3 and pay for no more than a look at the headers' names."""
    single, ids = _has("b3"), f"{_has('x-b3-traceid')} && {_has('x-b3-spanid')}"
    return f'{_has("traceparent")} ? "" : {single} ? {_of_one(sampling)} : {ids} ? {_of_several(sampling)} : ""'


def _of_one(sampling: float) -> str:
    b3 = _value("b3")
    trace, span = _extract(b3, "^([^-]+)-.*$"), _extract(b3, "^[^-]+-([^-]+).*$")
    form = _matches(b3, "^[0-9a-f]+-[0-9a-f]+(-[01d])?(-[0-9a-f]{16})?$")
    good = f"{form} && {_are_ids(trace, span)}"
    kept = f"{_matches(b3, '-[1d](-|$)')} || (!{_matches(b3, '-0(-|$)')} && {_deferred(trace, sampling)})"
    return f'({good} ? {_extract(b3, "^([^-]+-[^-]+).*$", _made(trace, kept, _GROUP))} : "")'


def _of_several(sampling: float) -> str:
    trace, span, sampled = map(_value, ("x-b3-traceid", "x-b3-spanid", "x-b3-sampled"))
    debug = f'({_has("x-b3-flags")} && {_value("x-b3-flags")} == "1")'
    undecided = f"!({_has('x-b3-sampled')})"
    state = f'({debug} || {undecided} || {sampled} in ["0", "1", "false", "true"])'
    form = " && ".join(_matches(one, "^[0-9a-f]+$") for one in (trace, span))
    kept = f'{debug} || ({undecided} ? {_deferred(trace, sampling)} : {sampled} in ["1", "true"])'
    made = _extract(span, "^(.*)$", _made(trace, kept, f"{_OUTER_GROUP}-{_GROUP}"))
    return f'({form} && {_are_ids(trace, span)} && {state} ? {_extract(trace, "^(.*)$", made)} : "")'


def _are_ids(trace: str, span: str) -> str:
    """Whether they are as long as ids are, and not nought, which W3C Trace Context forbids."""
    long = f"size({trace}) in [16, 32] && size({span}) == 16"
    return f'{long} && !({trace} in ["{_NOUGHT}", "{_NOUGHT * 2}"]) && {span} != "{_NOUGHT}"'


def _made(trace: str, kept: str, ids: str) -> str:
    """`traceparent` with these ids. Texts can't be joined, so all four are written out."""
    padded, whole = (f'({kept} ? "00-{more}{ids}-01" : "00-{more}{ids}-00")' for more in (_NOUGHT, ""))
    return f"(size({trace}) == 16 ? {padded} : {whole})"


def _deferred(trace: str, sampling: float) -> str:
    """Nobody has decided: as of new traces a share is kept, by the trace's id, so that every sidecar decides the same.

    By its last 32 bits: those before are nought, or a time, where tracers make such ids.
    """
    kept = round(min(max(sampling, 0.0), 100.0) * _ALL / 100)
    if kept in (0, _ALL):
        return "true" if kept else "false"
    return f'{_extract(trace, "^.*(.{8})$")} < "{kept:08x}"'


def _has(name: str) -> str:
    return f'"{name}" in request.headers'


def _value(name: str) -> str:
    return f'request.headers["{name}"]'


def _matches(text: str, regex: str) -> str:
    return f'{text}.matches("{regex}")'


def _extract(text: str, regex: str, becomes: str = f'"{_GROUP}"') -> str:
    return f're.extract({text}, "{regex}", {becomes})'
