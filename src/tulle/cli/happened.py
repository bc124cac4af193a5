"""What has happened to a request, in lines: the steps of its trace, and what sidecars have told of those that failed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import click

from tulle.api.call_views import CalledView
from tulle.api.trace_views import SpanView, TraceView
from tulle.cli import calls
from tulle.cli.printing import printable
from tulle.cli.steps import Step, cause, of_programs, path, shown, steps, why_failed
from tulle.cli.waterfall import duration, result
from tulle.model.response_flags import meaning

_DETAILS = {
    "via_upstream": "the program answered",
    "route_not_found": "no route of the sidecar fits it",
    "direct_response": "the sidecar's own configuration answers it",
    "cluster_not_found": "its route leads to something that does not exist",
    "no_healthy_upstream": "nobody who serves it was healthy",
    "upstream_response_timeout": "the answer did not come in time",
    "upstream_per_try_timeout": "no try was answered in time",
    "max_duration_timeout": "it took longer than a request may",
    "downstream_remote_disconnect": "the caller hung up before it was answered",
    "overflow": "it was over a limit",
}
_DEEPEST = 12


def happened(told: Sequence[CalledView], trace: TraceView | None) -> Iterator[str]:
    """told: of the request or of the whole trace, in order of time."""
    spans = trace.spans if trace else []
    taken = steps(spans)
    of_steps = _sorted_in(told, taken)
    for call in told:
        if not any(call in found for found in of_steps):
            yield calls.line(call)
            yield from _details(call)
    if trace is None:
        return
    begin = min(span.start for span in spans)
    lasted = max(span.start + span.duration_ms / 1000 for span in spans) - begin
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(begin))
    calls_made = f"{len(taken)} call{'' if len(taken) == 1 else 's'}"
    yield f"trace {click.style(trace.id, bold=True)}   {when}   {calls_made}, {duration(lasted * 1000)}"
    for step, found in zip(taken, of_steps, strict=True):
        indent = "  " * min(step.depth, _DEEPEST)
        yield indent + _line(step)
        for line in _tries(step):
            yield f"{indent}  {line}"
        for call in filter(_says_more, found):
            for line in _details(call):
                yield indent + line
    if not taken:
        yield "  no sidecar has told of a call in it; all of it: tulle trace show " + trace.id[:12]
    for service, text in of_programs(spans):
        yield printable(f"in the program of {service}: {text}")
    if failed := cause(taken, spans):
        reason, flags = why_failed(failed)
        view = shown(failed)
        where = printable(f"{view.source} -> {view.destination}: {view.result or 'no answer'}; {reason}")
        yield f"{click.style('it failed first at', fg='red')} {where}"
        explained = {flag for call in told for flag in call.flags.split(",")}
        for flag in flags.split(","):
            if flag and flag not in explained:
                yield printable(f"  flag      {flag}: {meaning(flag)}")


def _line(step: Step) -> str:
    """`shop/web -> shop/api  POST /charge  503 UF  38 ms  mTLS  by api-3fa2c1, 30 ms of it there`."""
    view = shown(step)
    ends = f"{view.source.removeprefix('default/')} -> {view.destination.removeprefix('default/')}"
    status = click.style(view.result or "no answer", fg="red" if view.failed else _colour(view.result))
    words = [
        printable(ends),
        printable(f"{view.method} {path(view.url)}"),
        status,
        duration(view.duration_ms),
        "mTLS" if view.identity else "plain",
    ]
    if view.instances:
        there = f", {duration(view.there_ms)} of it there" if view.there_ms is not None else ""
        words.append(printable(f"by {view.instances[-1] or 'an unknown instance'}{there}"))
    else:
        words.append("came to no sidecar that told of it")
    return "  ".join(words)


def _tries(step: Step) -> Iterator[str]:
    tries = max(shown(step).tries, len(step.into))
    if tries > 1:
        yield f"{tries} tries"
        for span in step.into:
            yield printable(f"  at {span.instance or 'an unknown instance'}: {_ended(span)}")
        if missing := tries - len(step.into):
            yield f"  {missing} came to no sidecar that told of it"


def _ended(span: SpanView) -> str:
    return f"{result(span) or 'no answer'}, {duration(span.duration_ms)}"


def _colour(text: str) -> str:
    return "yellow" if text.startswith("4") else "green"


def _sorted_in(told: Sequence[CalledView], taken: Sequence[Step]) -> list[list[CalledView]]:
    """For each step what a sidecar told of it: by whom, by the request's id, and, if that is not enough, by the time."""
    found: list[list[CalledView]] = [[] for _ in taken]
    for call in told:
        fitting = [
            (abs(span.start - call.time), number)
            for number, step in enumerate(taken)
            for span in ([step.out] if call.side == "source" else step.into)
            if span is not None
            and span.instance == call.proxy
            and span.attributes.get("guid:x-request-id", "") == call.request_id
        ]
        if fitting:
            found[min(fitting)[1]].append(call)
    return found


def _says_more(call: CalledView) -> bool:
    """Than its step."""
    return call.side == "source" or bool(call.flags or call.failure) or not call.details.startswith("via_upstream")


def _details(call: CalledView) -> Iterator[str]:
    at = "the caller's sidecar" if call.side == "source" else "the server's sidecar"
    yield printable(f"  seen by   {at}, {call.proxy}; Host {call.host}, {call.protocol}")
    if call.route:
        yield printable(f"  route     {call.route}")
    if call.cluster:
        attempts = f", {call.attempts} tries" if call.attempts > 1 else ""
        yield printable(f"  cluster   {call.cluster}, at {call.upstream or 'nobody'}{attempts}")
    if call.identity:
        yield printable(f"  identity  of the other side: {call.identity}")
    for flag in filter(None, call.flags.split(",")):
        yield printable(f"  flag      {flag}: {meaning(flag)}")
    reason = call.details
    words = next((words for key, words in _DETAILS.items() if reason.startswith(key)), "")
    yield printable(f"  because   {words or reason}" + (f" ({reason})" if words else ""))
    if call.failure:
        yield printable(f"  TLS       {call.failure}")
