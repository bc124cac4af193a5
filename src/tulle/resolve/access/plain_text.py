"""Which instances are called in plain text alone, kept up to date as the mesh changes.

Each caller of a service asks for each of its instances, so it is worked out once, when a policy or an instance has changed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from tulle.model.workload import Proxy, Workload
from tulle.resolve.access.mutual_tls import only_plain
from tulle.resolve.declared import Declared, Touched

# By the ids of proxy and workload, the policies that say so, sorted.
Plain = Mapping[tuple[str, str], tuple[str, ...]]


def called_in_plain_text(
    plain: Plain,
    before: Mapping[str, Proxy],
    after: Mapping[str, Proxy],
    changed: Iterable[str],
    rules: Declared,
    about: Touched,
) -> Plain:
    """The very mapping that there was, `plain`, if it is equal. changed: of which proxies something may have changed."""
    if not (rules.disabling or plain):
        return plain
    everybody = about.everything or rules.root_namespace in about.peers
    found = dict(plain)
    for proxy_id in {*after, *changed} if everybody or about.peers else changed:
        then, now = before.get(proxy_id), after.get(proxy_id)
        namespaces = None if everybody or then is not now else about.peers
        for workload in _workloads(then, namespaces):
            found.pop((proxy_id, workload.id), None)
        for workload in _workloads(now, namespaces):
            if (modes := only_plain(rules, workload)) is not None:
                found[proxy_id, workload.id] = modes.sources
    return plain if found == plain else found


def _workloads(proxy: Proxy | None, namespaces: Container[str] | None) -> list[Workload]:
    """Those of these namespaces; None: of any."""
    there = proxy.workloads if proxy is not None else ()
    return [one for one in there if namespaces is None or one.service.namespace in namespaces]
