"""Policies and requests that are made up, of few values each, so that they often meet. The same seed makes the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from msgspec import Struct

from judges import ISSUER, SNI
from tulle.ir.access import Access
from tulle.ir.types import Paths
from tulle.model.workload import Protocol
from tulle.resolve.access.calls import Connection, Written
from written_access import access

ALIASES = ("old.local",)
CALLERS = (
    *("cluster.local/ns/default/sa/web", "cluster.local/ns/default/sa/web-2", "cluster.local/ns/shop/sa/cart"),
    *("old.local/ns/shop/sa/cart", ""),
)
SOURCES = ("127.0.0.1", "127.0.0.7")
CLAIMS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"sub": "alice", "aud": "shop", "azp": "app", "role": "admin", "scope": "read write"},
    {
        "sub": "bob",
        "aud": ["shop", "other"],
        "azp": "job",
        "groups": ["dev", "admin"],
        "realm": {"roles": ["admin"], "level": "high"},
    },
    {"sub": "a/b", "role": "", "groups": [], "scope": "read", "realm": {"deep": {"er": "yes"}}, "level": 7, "on": True},
    {"aud": [], "azp": "", "role": ["admin", 7, ["dev"]], "realm": "flat", "groups": "dev"},
)
_PRINCIPALS = (
    *(caller for caller in CALLERS if caller),
    *("cluster.local/ns/shop/sa/cart", "cluster.local/ns/default/*", "*/sa/web", "*", "*.local/ns/shop/sa/cart"),
    *("cluster.local/ns/default/sa/web*", "old.local/ns/default/sa/web", "foreign/ns/default/sa/web", "*cart"),
)
_FIELDS: dict[str, Sequence[str]] = {
    "principals": _PRINCIPALS,
    "requestPrincipals": (
        f"{ISSUER}/alice",
        f"{ISSUER}/*",
        "*/bob",
        "*",
        "*ice",
        "https://*",
        f"{ISSUER}/a/b",
        "*.example/alice",
    ),
    "namespaces": ("default", "shop", "sh*", "*lt", "*", "other"),
    "serviceAccounts": ("web", "default/web-2", "shop/cart", "cart"),
    "trustDomains": ("cluster.local", "old.local", "*.local", "foreign", "*"),
    "ipBlocks": ("127.0.0.0/8", "127.0.0.7", "127.0.0.0/30", "10.0.0.0/8", "::1", "0.0.0.0/0"),
    "remoteIpBlocks": ("10.1.0.0/16", "127.0.0.1", "2001:db8::/32", "10.1.2.3", "0.0.0.0/0"),
    "hosts": (
        "shop.example",
        "*.example",
        "shop.*",
        "shop.example:8080",
        "*",
        "SHOP.Example",
        "[::1]",
        "*example:8080",
    ),
    "ports": ("8080", "80", "9000"),
    "methods": ("GET", "POST", "P*", "*T", "*", "HEAD", "DELETE"),
    "paths": (
        *("/admin", "/admin/*", "*.png", "*", "/", "/users/{*}/orders", "/users/{**}", "/{*}/x", "/a//b", "/Admin"),
        *("/admin*", "*/x", "/users/{*}/{**}/end", "/admin%2Fx", "/admin/x"),
    ),
}
_WHEN: dict[str, Sequence[str]] = {
    "request.headers[x-role]": ("admin", "adm*", "*min", "*", "dev", "a,b"),
    "request.headers[X-Empty]": ("*", "x"),
    "source.ip": _FIELDS["ipBlocks"],
    "remote.ip": _FIELDS["remoteIpBlocks"],
    "source.namespace": _FIELDS["namespaces"],
    "source.principal": _PRINCIPALS,
    "source.serviceAccount": ("default/web", "shop/cart", "web"),
    "source.trustDomain": _FIELDS["trustDomains"],
    "request.auth.principal": _FIELDS["requestPrincipals"],
    "request.auth.audiences": ("shop", "other", "*", "sh*", "*er"),
    "request.auth.presenter": ("app", "*", "a*", "other", "job"),
    "request.auth.claims[role]": ("admin", "*", "adm*", "*min"),
    "request.auth.claims[groups]": ("dev", "admin", "*", "*v"),
    "request.auth.claims[realm][roles]": ("admin", "*"),
    "request.auth.claims[realm][deep][er]": ("yes", "*"),
    "request.auth.claims[realm]": ("flat", "*"),
    "request.auth.claims[scope]": ("read", "write", "read write", "*"),
    "request.auth.claims[level]": ("7", "*"),
    "destination.ip": ("127.0.0.1", "10.0.0.0/8", "127.0.0.0/8"),
    "destination.port": ("8080", "9000", "80"),
    "connection.sni": (SNI, "*", "outbound*", "*local", "other"),
}
_SOURCE = (
    "principals",
    "requestPrincipals",
    "namespaces",
    "serviceAccounts",
    "trustDomains",
    "ipBlocks",
    "remoteIpBlocks",
)
_OPERATION = ("hosts", "ports", "methods", "paths")
_OF_HTTP = ("request.", "remote")
_PATHS = (
    *("/", "/admin", "/admin/", "/admin/x", "/admin?x=/y.png", "/./admin", "/a/../admin", "/%61dmin", "/admin%2Fx"),
    *("//admin", "/admin//x", "/admin/..;/x", "/users/1/orders", "/users/1%2F2/orders", "/users//orders", "/x.png?y"),
    *("/ADMIN", "/Admin", "/a\\..\\admin", "/admin;jsessionid=1", "/%2e%2e/admin", "/admin/%2e%2e/x", "/a//b", "/a/b"),
    *(
        "/users/é/orders",
        "/users",
        "/users/",
        "/users/1/2/end",
        "/users/1/end",
        "/admin%00",
        "/y/x",
        "/admin#x",
        "/{*}/x",
    ),
    *('/users/"<>"/orders', "/%zz/x", "/admin%252Fx", "/x.png/", "admin", "/users/a%0Ab/orders"),
)
_HOSTS = (
    *("shop.example", "Shop.EXAMPLE", "shop.example:8080", "shop.example.", "shop.example.:8080", "other.example:80"),
    *(
        "shop.internal",
        "[::1]:80",
        "[::1]",
        "x@shop.example",
        "shop.example:",
        "shop.example:x",
        "127.0.0.1:80",
        "shop",
    ),
    *("other,shop.example", "shop.example, other", "shop.example.."),
)
_HEADERS: tuple[tuple[tuple[str, str], ...], ...] = (
    *((), (), (("x-role", "admin"),), (("X-Role", "admin"), ("x-role", "dev")), (("x-role", "dev, admin"),)),
    *(
        (("x-role", ""),),
        (("x-role", "a,b"),),
        (("x-role", " admin "),),
        (("x-empty", ""),),
        (("x-role", "superadmin"),),
    ),
    *((("x-role", "Admin"), ("x-empty", "x")), (("x-role", "é,admin"),), (("x-role", "dev ,\tadmin ,x"),)),
    *((("x-role", "\xff,admin"),), (("x-role", "a"), ("x-role", "b"))),
    *((("x-forwarded-for", "10.1.2.3"),), (("x-forwarded-for", "10.1.2.3, 192.0.2.1"),)),
    *((("x-forwarded-for", "192.0.2.1"), ("X-Forwarded-For", "10.1.9.9")), (("x-forwarded-for", "nobody"),)),
    *((("x-forwarded-for", "2001:db8::7"),), (("x-forwarded-for", ""),)),
)


class Case(Struct, frozen=True):
    """Policies as they are written, and what they come to."""

    seed: int
    written: tuple[str, ...]
    access: Access
    paths: Paths


def case(seed: int, *, tcp: bool = False) -> Case:
    random = Random(seed)
    written = tuple(_policy(random, tcp) for _ in range(random.choice((1, 1, 2, 2, 3, 4))))
    protocol = Protocol.TCP if tcp else Protocol.HTTP
    paths = random.choice((Paths.BASE, *Paths))
    return Case(seed, written, access(*written, protocol=protocol, aliases=ALIASES), paths)


def connections(seed: int) -> list[Connection]:
    """From which a case is called."""
    random = Random(-seed - 1)
    return [
        Connection(caller, random.choice(SOURCES), "127.0.0.1", SNI if caller else "")
        for caller in random.sample(CALLERS, 3)
    ]


def requests(seed: int, number: int) -> list[Written]:
    random = Random(1_000_000 + seed)
    return [_request(random) for _ in range(number)]


def _request(random: Random) -> Written:
    path = random.choice(_PATHS)
    if random.random() < 0.2:
        path = "/" + "".join(
            random.choices(("/", ".", "..", "%2e", "%2F", "%5c", "\\", "admin", "users", "x", ";", "%"), k=6)
        )
    claims = random.choice(CLAIMS)
    if claims is not None:
        claims = {"iss": ISSUER, **claims}
    methods = ("GET", "GET", "POST", "PUT", "DELETE", "OPTIONS")
    return Written(random.choice(methods), path, random.choice(_HOSTS), random.choice(_HEADERS), claims)


def _policy(random: Random, tcp: bool) -> str:
    """As JSON, which is YAML."""
    action = random.choice(("ALLOW", "ALLOW", "DENY", "DENY", "AUDIT"))
    rules = [_rule(random, tcp) for _ in range(random.choice((0, 1, 1, 1, 2, 3)))]
    tried = "dry run" if random.random() < 0.25 else ""
    return tried + json.dumps({"action": action, "rules": rules})


def _rule(random: Random, tcp: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    if random.random() < 0.6:
        rule["from"] = [{"source": _fields(random, _SOURCE, tcp)} for _ in range(random.choice((1, 1, 2)))]
    if random.random() < 0.6:
        rule["to"] = [{"operation": _fields(random, _OPERATION, tcp)} for _ in range(random.choice((1, 1, 2)))]
    keys = [key for key in _WHEN if not (tcp and key.startswith(_OF_HTTP) and random.random() < 0.8)]
    if random.random() < 0.5:
        rule["when"] = [_when(random, key) for key in random.sample(keys, random.choice((1, 2, 3)))]
    return rule


def _fields(random: Random, names: Sequence[str], tcp: bool) -> dict[str, list[str]]:
    """Values of one or two fields, of which some must not be there."""
    if tcp and random.random() < 0.8:
        names = [
            name for name in names if name not in ("hosts", "methods", "paths", "requestPrincipals", "remoteIpBlocks")
        ]
    found: dict[str, list[str]] = {}
    for name in random.sample(names, min(len(names), random.choice((1, 1, 2)))):
        form: Callable[[str], str] = random.choice((str, str, _not))
        found[form(name)] = _some(random, _FIELDS[name])
        if random.random() < 0.15:
            found[_not(name)] = _some(random, _FIELDS[name])
    return found


def _when(random: Random, key: str) -> dict[str, Any]:
    made: dict[str, Any] = {"key": key}
    which = random.choice(("values", "notValues", "both"))
    if which in ("values", "both"):
        made["values"] = _some(random, _WHEN[key])
    if which in ("notValues", "both"):
        made["notValues"] = _some(random, _WHEN[key])
    return made


def _some(random: Random, values: Sequence[str]) -> list[str]:
    return random.sample(values, min(len(values), random.choice((1, 1, 2, 3))))


def _not(field: str) -> str:
    return f"not{field[0].upper()}{field[1:]}"
