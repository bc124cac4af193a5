"""The fields of one rule of an AuthorizationPolicy as conditions. Source: istio.io, Authorization Policy; Conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from tulle.ir.access import Attribute, Condition, Rule, Value
from tulle.model.resources import authorization_policy as written
from tulle.resolve.access import values

_HEADERS, _CLAIMS = "request.headers[", "request.auth.claims["

Reading = Callable[[Sequence[str]], tuple[Value, ...]]


class Reader(Struct, frozen=True):
    """Reads the rules of a policy of `namespace`. domains: the mesh's trust domain and its aliases."""

    namespace: str
    domains: tuple[str, ...]

    def rule(self, rule: written.Rule, place: str) -> Rule:
        return Rule(
            sources=tuple(
                self._source(one.source or written.Source(), f"{place}.from[{n}].source")
                for n, one in enumerate(rule.from_)
            ),
            operations=tuple(
                _operation(one.operation or written.Operation(), f"{place}.to[{n}].operation")
                for n, one in enumerate(rule.to)
            ),
            when=tuple(
                self._when(one, f"{place}.when[{n}]") for n, one in enumerate(rule.when) if one.values or one.not_values
            ),
            place=place,
        )

    def _source(self, source: written.Source, place: str) -> tuple[Condition, ...]:
        s, at = source, place
        return _given(
            _condition(Attribute.PRINCIPAL, at, "principals", s.principals, s.not_principals, self._principals),
            _condition(
                Attribute.REQUEST_PRINCIPAL, at, "requestPrincipals", s.request_principals, s.not_request_principals
            ),
            _condition(Attribute.NAMESPACE, at, "namespaces", s.namespaces, s.not_namespaces),
            _condition(
                *(Attribute.SERVICE_ACCOUNT, at, "serviceAccounts"),
                *(s.service_accounts, s.not_service_accounts, self._service_accounts),
            ),
            _condition(
                Attribute.TRUST_DOMAIN, at, "trustDomains", s.trust_domains, s.not_trust_domains, self._trust_domains
            ),
            _condition(Attribute.SOURCE_IP, at, "ipBlocks", s.ip_blocks, s.not_ip_blocks, values.blocks),
            _condition(
                Attribute.REMOTE_IP, at, "remoteIpBlocks", s.remote_ip_blocks, s.not_remote_ip_blocks, values.blocks
            ),
        )

    def _when(self, when: written.Condition, place: str) -> Condition:
        attribute, key, read = self._key(when.key)
        return Condition(attribute, read(when.values), read(when.not_values), key, place)

    def _key(self, key: str) -> tuple[Attribute, tuple[str, ...], Reading]:
        if key.startswith(_HEADERS) and key.endswith("]"):
            return Attribute.HEADER, (key[len(_HEADERS) : -1].lower(),), values.values
        if key.startswith(_CLAIMS) and key.endswith("]"):
            return Attribute.CLAIM, tuple(key[len(_CLAIMS) : -1].split("][")), values.values
        found: dict[str, tuple[Attribute, Reading]] = {
            "source.ip": (Attribute.SOURCE_IP, values.blocks),
            "remote.ip": (Attribute.REMOTE_IP, values.blocks),
            "source.namespace": (Attribute.NAMESPACE, values.values),
            "source.principal": (Attribute.PRINCIPAL, self._principals),
            "source.serviceAccount": (Attribute.SERVICE_ACCOUNT, self._service_accounts),
            "source.trustDomain": (Attribute.TRUST_DOMAIN, self._trust_domains),
            "request.auth.principal": (Attribute.REQUEST_PRINCIPAL, values.values),
            "request.auth.audiences": (Attribute.AUDIENCE, values.values),
            "request.auth.presenter": (Attribute.PRESENTER, values.values),
            "destination.ip": (Attribute.DESTINATION_IP, values.blocks),
            "destination.port": (Attribute.PORT, values.ports),
            "connection.sni": (Attribute.SNI, values.values),
        }
        attribute, read = found[key]
        return attribute, (), read

    def _principals(self, texts: Sequence[str]) -> tuple[Value, ...]:
        return values.principals(texts, self.domains)

    def _trust_domains(self, texts: Sequence[str]) -> tuple[Value, ...]:
        return values.trust_domains(texts, self.domains)

    def _service_accounts(self, texts: Sequence[str]) -> tuple[Value, ...]:
        return values.service_accounts(texts, self.namespace)


def _operation(operation: written.Operation, place: str) -> tuple[Condition, ...]:
    o, at = operation, place
    return _given(
        _condition(Attribute.HOST, at, "hosts", o.hosts, o.not_hosts, values.hosts),
        _condition(Attribute.PORT, at, "ports", o.ports, o.not_ports, values.ports),
        _condition(Attribute.METHOD, at, "methods", o.methods, o.not_methods),
        _condition(Attribute.PATH, at, "paths", o.paths, o.not_paths, values.paths),
    )


def _condition(
    attribute: Attribute,
    place: str,
    field: str,
    wanted: Sequence[str],
    unwanted: Sequence[str],
    read: Reading = values.values,
) -> Condition:
    name = field if wanted else f"not{field[0].upper()}{field[1:]}"
    return Condition(attribute, read(wanted), read(unwanted), place=f"{place}.{name}")


def _given(*conditions: Condition) -> tuple[Condition, ...]:
    return tuple(one for one in conditions if one.values or one.but_not)
