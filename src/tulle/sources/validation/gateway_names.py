"""Names of gateways, by which rules say where they hold. `mesh` means the sidecars."""

from __future__ import annotations

from collections.abc import Sequence

from tulle.model.resources.virtual_service import VirtualService
from tulle.sources.at import At
from tulle.sources.validation.basics import MESH_GATEWAY, check_fqdn, is_dns_label


def only_gateways(spec: VirtualService) -> bool:
    """Whether it holds at gateways alone, at no sidecar."""
    return bool(spec.gateways) and MESH_GATEWAY not in spec.gateways


def check(names: Sequence[str], at: At) -> None:
    """Istio looks no further than the first name without a namespace; what is wrong beyond it is a warning here."""
    for index, name in enumerate(names):
        place = at.item(index)
        namespace, slash, gateway = name.partition("/")
        if not slash:
            _check_plain(name, place)
            _warn_of_others(names[index + 1 :], index + 1, at)
            return
        for part, what in ((namespace, "namespace"), (gateway, "name")):
            if not is_dns_label(part):
                place.error(
                    f"`{name}`: its {what} `{part}` is no DNS label: write <namespace>/<name>, such as infra/edge"
                )


def _check_plain(name: str, at: At) -> None:
    first, *rest = name.split(".")
    if rest:
        at.warning(f"`{name}` is the old form of a gateway's name: write `{rest[0]}/{first}`")
    check_fqdn(name, at)


def _warn_of_others(names: Sequence[str], start: int, at: At) -> None:
    for index, name in enumerate(names, start):
        if not all(is_dns_label(part) for part in name.split("/", 1)):
            at.item(index).warning(f"`{name}` can name no gateway: write <namespace>/<name>, such as infra/edge")
