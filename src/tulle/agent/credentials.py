"""The agent's certificates: asked for, put where Envoy reads them, renewed in time or when the control plane asks for it.

Envoy watches the folder `sds`: a file that is moved in is read again without a restart. The trusted roots go first,
so that nobody proves itself with what others can't check yet. What the control plane is told is what Envoy has taken up, by the
versions that it names itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from tulle.agent.api import ControlPlane, Enrolment, Refused, error_text
from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.envoy import Envoy
from tulle.agent.exits import AgentError
from tulle.agent.folder import Folder
from tulle.agent.key_making import KeyMaker, Keys, begin, finish
from tulle.agent.trusts import Trust, Trusts

BUNDLE, IDENTITY, PROXY = "bundle", "identity", "proxy"  # as the secrets are named

_RETRY_SECONDS = 0.25
_RENEWAL_BACK_OFF = (1.0, 30.0)
_TAKEN_UP_SECONDS = 0.1
_LOOK_SECONDS = 15.0  # at the clock, as timers stand still while the machine sleeps
_ENVOY_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105  a type's name
# Where systems keep the roots that they trust: Debian, Fedora, openSUSE, and others.
_SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class Credentials:
    """The certificates of one proxy and of the workload beside it."""

    def __init__(self, config: AgentConfig, proxy: str, control_plane: ControlPlane, console: Console) -> None:
        self._config = config
        self._proxy = proxy
        self._control_plane = control_plane
        self._console = console
        self._key = ""  # of the proxy, PEM
        self._since = 0.0  # when its certificate came
        self.not_after = 0.0  # until when it is good, in Unix seconds

    async def first(self, maker: KeyMaker) -> tuple[Keys, Enrolment]:
        """Waits for the control plane as long as it takes. Raises AgentError if it says no."""
        keys = await finish(maker)
        told = ""
        while True:
            try:
                enrolment = await self._control_plane.enrol(self._request(keys))
                self._took(keys, enrolment)
                return keys, enrolment
            except Refused as refused:
                if refused.is_final:
                    raise AgentError(self._control_plane.refusal(refused)) from refused
                text = f"the control plane can't enrol this instance: {refused}; trying on"
            except OSError as error:
                text = self._control_plane.trouble(error)
            if text != told:
                self._console.warning(text)
                told = text
            await asyncio.sleep(_RETRY_SECONDS)

    async def keep_fresh(self, folder: Folder, enrolment: Enrolment, trusts: Trusts, envoy: Envoy) -> None:
        """For ever: renews with new keys, at about half of each lifetime or when asked, and writes what is to be trusted."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_trust(folder, trust_of(enrolment), trusts, envoy), name="trust")
            while True:
                taking = group.create_task(_pairs_taken_up(envoy, trusts, enrolment), name="certificates taken up")
                await self._due(enrolment, trusts)
                enrolment = await self._renewed(folder, enrolment)
                taking.cancel()

    async def _keep_trust(self, folder: Folder, written: Trust, trusts: Trusts, envoy: Envoy) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                taking = group.create_task(_trust_taken_up(envoy, trusts, written), name="trust taken up")
                while trusts.wanted is None or trusts.wanted.version == written.version:
                    trusts.came.clear()
                    await trusts.came.wait()
                written = await self._write_trust(folder, trusts)
                taking.cancel()

    async def _write_trust(self, folder: Folder, trusts: Trusts) -> Trust:
        """What is wanted by then: a disk that is full may have room later."""
        pause, failed = _RENEWAL_BACK_OFF[0], False
        while True:
            wanted = trusts.wanted
            assert wanted
            try:
                write_trust(folder, wanted)
            except (OSError, AgentError) as error:
                if not failed:
                    self._console.warning(f"can't write what the mesh trusts now: {error_text(error)}; trying on")
                failed = True
                await asyncio.sleep(pause)
                pause = min(2 * pause, _RENEWAL_BACK_OFF[1])
            else:
                self._control_plane.trust(wanted.bundle)
                return wanted

    async def _renewed(self, folder: Folder, old: Enrolment) -> Enrolment:
        """What was given once is written when there is room for it: asking again and again would be refused in the end."""
        pause, failed = _RENEWAL_BACK_OFF[0], False
        keys, enrolment = Keys(), old
        while True:
            try:
                if enrolment is old or _passed() >= self._since + renewal_after(enrolment, 0.0):
                    keys = await finish(begin(self._config, self._proxy, self._key))
                    enrolment = await self._control_plane.enrol(self._request(keys))
                    self._took(keys, enrolment)
                write_pairs(folder, keys, enrolment)
            except (OSError, Refused, AgentError) as error:
                if not failed:
                    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(old.not_after))
                    self._console.warning(
                        f"can't renew the certificates, good until {until}: {error_text(error)}; trying on"
                    )
                failed = True
                await asyncio.sleep(pause)
                pause = min(2 * pause, _RENEWAL_BACK_OFF[1])
            else:
                if failed:
                    self._console.info("the certificates are renewed")
                return enrolment

    async def _due(self, enrolment: Enrolment, trusts: Trusts) -> None:
        """Waits until it is time to renew, or the control plane has asked for it."""
        due = self._since + renewal_after(enrolment, _chance())
        while (left := due - _passed()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_SECONDS)):  # time goes by without an event
                    await trusts.asked.wait()
                    trusts.asked.clear()
                    due = min(due, _passed() + trusts.within * _chance())

    def _took(self, keys: Keys, enrolment: Enrolment) -> None:
        self._key, self._since = keys["proxy"]["key"], _passed()
        self.not_after = enrolment.not_after
        self._control_plane.enrolled(self._key, enrolment)

    def _request(self, keys: Keys) -> dict[str, Any]:
        return {
            "proxy": self._proxy,
            "namespace": self._config.namespace,
            "service": self._config.service,
            "service_account": self._config.service_account,
            "csr": keys["identity"]["csr"],
            "proxy_csr": keys["proxy"]["csr"],
            "proof": keys["proof"],
            "described": {"version": self._config.version, "labels": self._config.labels},
        }


def renewal_after(enrolment: Enrolment, chance: float) -> float:
    """When to renew, in seconds after it came: between 40 and 50 % of the lifetime, by `chance` (0 to 1).

    Nothing is made of the moments themselves, which are by the control plane's clock.
    """
    return (enrolment.not_after - enrolment.not_before) * (0.5 - 0.1 * chance)


def _passed() -> float:
    """Seconds on a clock that nobody sets, and that also runs while the machine sleeps (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def _trust_taken_up(envoy: Envoy, trusts: Trusts, trust: Trust) -> None:
    await _has(envoy, {BUNDLE: trust.version})
    trusts.hold(trust=trust.version)


async def _pairs_taken_up(envoy: Envoy, trusts: Trusts, enrolment: Enrolment) -> None:
    await _has(envoy, dict.fromkeys((IDENTITY, PROXY), _version(enrolment)))
    trusts.hold(root=enrolment.root)


async def _has(envoy: Envoy, versions: dict[str, str]) -> None:
    """Waits until Envoy has read files of these versions; what is not in its configuration it has no need of."""
    while True:
        await envoy.live.wait()
        has = await envoy.secrets()
        if has is not None and all(has.get(name, version) == version for name, version in versions.items()):
            return
        await asyncio.sleep(_TAKEN_UP_SECONDS)


def _chance() -> float:
    return int.from_bytes(os.urandom(2), "big") / 65536


def trust_of(enrolment: Enrolment) -> Trust:
    return Trust(enrolment.bundle, enrolment.crl, enrolment.trust)


def write_secrets(folder: Folder, keys: Keys, enrolment: Enrolment) -> None:
    """Puts all secrets where Envoy's bootstrap looks for them."""
    write_trust(folder, trust_of(enrolment))
    write_pairs(folder, keys, enrolment)
    # For TLS outside the mesh. If the machine has none, Envoy says that it misses the first, and believes nobody.
    roots = next((path for path in _SYSTEM_ROOTS if Path(path).is_file()), _SYSTEM_ROOTS[0])
    folder.replace("sds/roots.json", _secret("roots", {"validation_context": {"trusted_ca": {"filename": roots}}}))


def write_trust(folder: Folder, trust: Trust) -> None:
    """Whom Envoy is to believe. With a CRL it refuses who has no list of its issuer: of leaves, as roots are in none."""
    context: dict[str, Any] = {"trusted_ca": _inline(trust.bundle)}
    if trust.crl:
        context |= {"crl": _inline(trust.crl), "only_verify_leaf_cert_crl": True}
    folder.replace(f"sds/{BUNDLE}.json", _secret(BUNDLE, {"validation_context": context}, trust.version))


def write_pairs(folder: Folder, keys: Keys, enrolment: Enrolment) -> None:
    """What proves who the proxy and the workload are."""
    for name, chain in ((PROXY, enrolment.proxy), (IDENTITY, enrolment.identity)):
        pair = {"certificate_chain": _inline(chain), "private_key": _inline(keys[name]["key"])}
        folder.replace(f"sds/{name}.json", _secret(name, {"tls_certificate": pair}, _version(enrolment)))


def _version(enrolment: Enrolment) -> str:
    """Another one for each pair of certificates: no two have the same signature."""
    return f"{zlib.crc32(enrolment.identity.encode()):08x}"


def _secret(name: str, content: dict[str, Any], version: str = "") -> str:
    """What Envoy wants to find in a file that `path_config_source` names: a DiscoveryResponse."""
    resource = {"@type": _ENVOY_SECRET, "name": name, **content}
    return json.dumps({"version_info": version, "resources": [resource]})


def _inline(text: str) -> dict[str, str]:
    return {"inline_string": text}
