"""Where connections go by the name that a TLS client asks for (SNI): a VirtualService's `tls` routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from declaring import document, versions
from modes import skip_unless_possible
from puppets import Puppet
from running import Mesh
from wires import apply, certificate, dialer, wired

TLS, AUTO, ECHO = 8443, 9443, 9001


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(tmp_path_factory.mktemp("tls")) as mesh:
        mesh.up()
        pair = certificate(mesh.folder)
        for version in ("v1", "v2", "v3"):
            kinds = ("8443/tls=tls", "9443=tls", "9001=http", "9002/https=greet")
            wired(mesh, "vault", version, *kinds, options=("--version", version), pair=pair)
        rules = [
            by_name(["*.vault.test"], "v2"),
            by_name(["Exact.vault.test"], "v3"),
            by_name(["only.test"], "v2", port=1),
            by_name(["only.test"], "v3", port=TLS),
        ]
        rest = {"route": [{"destination": {"host": "vault", "subset": "v1"}}]}
        spec = {"hosts": ["vault", "*.vault.test", "only.test"], "tls": rules, "tcp": [rest]}
        apply(mesh, versions("vault", "v1", "v2", "v3"), document("VirtualService", "vault", spec))
        yield mesh


@pytest.fixture(scope="module", params=["redirect", "seccomp"])
def caller(request: pytest.FixtureRequest, vault: Mesh) -> Puppet:
    """What comes by a tunnel is not looked at, see `test_a_tunnel_goes_where_its_host_says`."""
    skip_unless_possible(request.param)
    return dialer(vault, request.param)


def by_name(names: list[str], subset: str, port: int = 0) -> dict[str, Any]:
    match = {"sniHosts": names, **({"port": port} if port else {})}
    return {"match": [match], "route": [{"destination": {"host": "vault", "subset": subset}}]}


@pytest.mark.parametrize("port", [TLS, AUTO])
@pytest.mark.parametrize(
    ("name", "version"),
    [("a.vault.test", "v2"), ("exact.vault.test", "v3"), ("a.b.vault.test", "v2"), ("stranger.test", "v1")],
)
@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
def test_the_most_specific_name_counts(
    caller: Puppet, port: int, name: str, version: str, alpn: tuple[str, ...]
) -> None:
    """At AUTO a client of a busy machine may be silent for so long that it is taken for plain TCP: then it asks again."""
    for _ in range(5 if port == AUTO else 1):
        answer = caller.do(f"result = ask_tls('vault', {port}, {name!r}, {alpn!r})")
        if answer == f"{version} {name}":
            break
    assert answer == f"{version} {name}"


def test_a_name_may_be_for_one_port_only(caller: Puppet) -> None:
    assert caller.do(f"result = ask_tls('vault', {TLS}, 'only.test')") == "v3 only.test"
    assert caller.do(f"result = ask_tls('vault', {AUTO}, 'only.test')") == "v1 only.test"


def test_a_client_that_asks_for_no_name_is_served(caller: Puppet) -> None:
    assert caller.do(f"result = ask_tls('vault', {TLS}, None)") == "v1 None"


def test_http_is_still_found_beside_names(caller: Puppet) -> None:
    assert caller.get(f"http://vault:{ECHO}/")[0] == 200


def test_a_silent_client_hears_a_server_that_speaks_first(caller: Puppet) -> None:
    assert caller.do("with dial('vault', 9002, 20) as made: result = line(made)") == "220 v1"


def test_a_tunnel_goes_where_its_host_says(vault: Mesh) -> None:
    """The sidecar of a program that uses it as a proxy knows the name that is called, and looks no further."""
    made = dialer(vault, "proxy")
    assert made.do(f"result = ask_tls('vault', {TLS}, 'a.vault.test')") == "v1 a.vault.test"
