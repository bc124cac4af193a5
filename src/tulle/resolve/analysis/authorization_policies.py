"""AuthorizationPolicies: callers that do not exist, tokens that nobody checks, ports that are not there, HTTP where there is TCP.

What a rule comes to at a port is made in `access`; here is told what surprises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import structs

from tulle.model.resources.authorization_policy import (
    AuthorizationAction,
    AuthorizationPolicy,
    Operation,
    Rule,
    Source,
    dry_run,
)
from tulle.resolve.access import authorizer
from tulle.resolve.access.selected import selected
from tulle.resolve.analysis.findings import NOT_FOUND, Findings
from tulle.resolve.analysis.known import Known
from tulle.resolve.analysis.policed import Policed
from tulle.resolve.analysis.whom import check_whom
from tulle.resolve.callers import Caller, caller_of

# Lists of a source or conditions, by what they name; those with `not` follow from these.
_CALLERS = {
    "principals": "principals",
    "namespaces": "namespaces",
    "serviceAccounts": "serviceAccounts",
    "trustDomains": "trustDomains",
    "source.principal": "principals",
    "source.namespace": "namespaces",
    "source.serviceAccount": "serviceAccounts",
}
_ONE = {
    "principals": "identity",
    "namespaces": "namespace",
    "serviceAccounts": "service account",
    "trustDomains": "trust domain",
}
_OF_TOKENS = ("requestPrincipals", "request.auth.")
_OF_HTTP = (*_OF_TOKENS, "request.", "remote.ip", "remoteIpBlocks", "hosts", "methods", "paths")
_PORTS = ("ports", "destination.port")

_Asked = tuple[str, str, Sequence[str], bool]  # path, name (without `not`), values, whether they are to fit


def of_authorization_policy(at: Findings, known: Known) -> None:
    spec = at.resource.spec
    if not isinstance(spec, AuthorizationPolicy):
        return
    policed = check_whom(at, known, spec)
    if spec.action is AuthorizationAction.CUSTOM and spec.provider is not None:
        _check_provider(at, known, policed, spec.provider.name)
    dead = 0
    for index, rule in enumerate(spec.rules):
        path = f"spec.rules[{index}]"
        dead += not _check_rule(at, known, policed, path, rule)
        _check_protocols(at, policed, path, rule, spec.action)
    if spec.rules and dead == len(spec.rules):
        if spec.action is AuthorizationAction.ALLOW:
            at.warning("spec.rules", "none of its rules fits any caller, so it allows nobody and keeps others out")
        else:
            reason = "none of its rules fits any caller"
            at.warning("spec.rules", reason, not_in_force=reason)


def _check_provider(at: Findings, known: Known, policed: Policed, name: str) -> None:
    there = [one.name for one in known.declared.config.extension_providers]
    path = "spec.provider.name"
    if name not in there:
        named = f"; there are: {', '.join(there[:20])}" if there else ""
        at.error(path, f"MeshConfig has no extension provider {name}{named}", NOT_FOUND)
        return
    caller = next(map(caller_of, policed.workloads), Caller(at.resource.ref.namespace))
    if problem := authorizer.provider(known.mesh, caller, name).problem:
        at.error(path, f"{problem}: until then all that its rules fit is denied", NOT_FOUND)
    for workload in policed.workloads[:1]:
        names = {
            spec.provider.name
            for one, spec in selected(known.declared, workload, AuthorizationPolicy)
            if spec.action is AuthorizationAction.CUSTOM and spec.provider and not dry_run(one.annotations)
        }
        if len(names) > 1:
            several = ", ".join(sorted(names))
            at.error(
                path, f"policies of {workload.service} name several providers ({several}): all that they fit is denied"
            )


def _check_rule(at: Findings, known: Known, policed: Policed, path: str, rule: Rule) -> bool:
    """Whether it can fit anybody."""
    sources, operations, when = _asked(path, rule)
    alive = [_check_source(at, known, asked) for asked in sources]
    met = _check_source(at, known, when)
    for asked in (*operations, when):
        _check_ports(at, policed, asked)
    return met and (any(alive) or not alive)


def _check_source(at: Findings, known: Known, asked: Sequence[_Asked]) -> bool:
    """Whether its conditions can all be met by somebody."""
    namespace, met = at.resource.ref.namespace, True
    for path, name, values, is_to_fit in asked:
        what = _CALLERS.get(name)
        if what is None:
            continue
        for index, value in enumerate(values):
            if known.identities.has(what, value, namespace):
                continue
            hint = _hint(known, what, value, namespace)
            message = f"no certificate of the mesh has the {_ONE[what]} {value}{hint}"
            if is_to_fit:
                at.warning(f"{path}[{index}]", f"{message}: it fits nobody", NOT_FOUND)
            else:
                at.info(f"{path}[{index}]", message, NOT_FOUND)
        met = met and (not is_to_fit or not values or known.identities.any_of(what, values, namespace))
    return met


def _hint(known: Known, what: str, value: str, namespace: str) -> str:
    bare = value.removeprefix("spiffe://")
    if what == "principals" and bare != value and known.identities.has(what, bare, namespace):
        return f" (did you mean {bare}?)"
    return ""


def _check_ports(at: Findings, policed: Policed, asked: Sequence[_Asked]) -> None:
    if not policed.workloads:
        return
    for path, name, values, is_to_fit in asked:
        for index, value in enumerate(values if name in _PORTS and is_to_fit else ()):
            if value.isdecimal() and int(value) not in policed.numbers:
                there = ", ".join(map(str, sorted(policed.numbers)[:20]))
                message = f"none of its workloads has a port {value}; their ports: {there or 'none'}"
                at.warning(f"{path}[{index}]", message, NOT_FOUND)


def _check_protocols(at: Findings, policed: Policed, path: str, rule: Rule, action: AuthorizationAction) -> None:
    sources, operations, when = _asked(path, rule)
    names = {name for asked in (*sources, *operations, when) for _, name, _, _ in asked}
    if any(name.startswith(_OF_TOKENS) for name in names) and (one := policed.without_tokens) is not None:
        message = f"no RequestAuthentication says whose tokens count for {one.service}: there no request has one"
        at.warning(path, message, NOT_FOUND)
    if any(name.startswith(_OF_HTTP) for name in names) and (one := policed.without_http) is not None:
        came = "it fits nothing there" if action is AuthorizationAction.ALLOW else "there it is taken without that"
        at.warning(path, f"it asks for things of HTTP, and {one.service} carries none: {came}")


def _asked(path: str, rule: Rule) -> tuple[list[list[_Asked]], list[list[_Asked]], list[_Asked]]:
    """What each source, each operation, and all conditions together ask for."""
    return (
        [list(_lists(f"{path}.from[{i}].source", one.source)) for i, one in enumerate(rule.from_) if one.source],
        [list(_lists(f"{path}.to[{i}].operation", one.operation)) for i, one in enumerate(rule.to) if one.operation],
        [
            asked
            for index, one in enumerate(rule.when)
            for asked in (
                (f"{path}.when[{index}].values", one.key, one.values, True),
                (f"{path}.when[{index}].notValues", one.key, one.not_values, False),
            )
        ],
    )


def _lists(path: str, message: Source | Operation) -> Iterator[_Asked]:
    for field in structs.fields(message):
        values, name = getattr(message, field.name), field.encode_name
        if values:
            bare = name.removeprefix("not")
            is_to_fit = bare == name
            yield f"{path}.{name}", name if is_to_fit else f"{bare[0].lower()}{bare[1:]}", values, is_to_fit
