"""Which service is named to who calls one that is not there."""

from __future__ import annotations

import pytest

from declared_mesh import instance, mesh
from tulle.model.names import ServiceName
from tulle.resolve.callers import Caller
from tulle.resolve.mesh import Mesh
from tulle.resolve.nearest import nearest
from tulle.resolve.rules import scope

OTHERS = tuple(instance(f"other-{number:03}", "many") for number in range(300))
THERE = (instance("payments"), instance("payments", "shop"), instance("catalogue", "shop"))
# Names with nothing in common with what is asked for, in numbers, must change nothing.
SIZES = pytest.mark.parametrize("others", [(), OTHERS], ids=["a small mesh", "a large mesh"])


def found(of: Mesh, name: str, namespace: str = "default") -> str | None:
    caller = Caller("default")
    service = nearest(of, caller, scope(of.declared, caller), ServiceName(namespace, name))
    return str(service) if service else None


@SIZES
@pytest.mark.parametrize("name", ["payment", "paymnets", "payyments", "paymenta", "apyments"])
def test_one_slip_of_the_finger_is_seen_through(others: tuple, name: str) -> None:  # type: ignore[type-arg]
    of = mesh(there=(*THERE, *others))
    assert found(of, name) == "payments.default"
    assert found(of, name, "shop") == "payments.shop"


@SIZES
def test_the_same_name_in_another_namespace_is_the_nearest(others: tuple) -> None:  # type: ignore[type-arg]
    of = mesh(there=(*THERE, *others))
    assert found(of, "catalogue") == "catalogue.shop"
    assert found(of, "elephant") is None


@SIZES
def test_what_the_caller_may_not_see_is_never_named(others: tuple) -> None:  # type: ignore[type-arg]
    only_own = """
        Sidecar default
        egress:
        - hosts: ["./*"]
    """
    of = mesh(only_own, there=(*THERE, *others))
    assert found(of, "catalogue") is None
    assert found(of, "paymnets", "shop") == "payments.default"
    assert found(of, "payments", "shop") == "payments.default"
