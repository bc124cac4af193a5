"""The agent's certificates: asked for, put where Envoy reads them, renewed in time.

Envoy watches the folder `sds`: a file that is moved in is read again without a restart. The trusted roots go first,
so that nobody proves itself with what others can't check yet.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from tulle.agent.api import ControlPlane, Enrolment, Refused
from tulle.agent.config import AgentConfig
from tulle.agent.console import Console
from tulle.agent.exits import AgentError
from tulle.agent.folder import Folder
from tulle.agent.key_making import KeyMaker, Keys, begin, finish
from tulle.config import data_folder

_RETRY_SECONDS = 0.25
_RENEWAL_BACK_OFF = (1.0, 30.0)
_LOOK_SECONDS = 15.0  # at the wall clock, which also runs while the machine sleeps
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

    async def first(self, maker: KeyMaker) -> tuple[Keys, Enrolment]:
        """Waits for the control plane as long as it takes. Raises AgentError if it says no."""
        keys = await finish(maker)
        told = ""
        while True:
            try:
                return keys, await self._control_plane.enrol(self._request(keys))
            except PermissionError as error:
                raise AgentError(
                    f"the control plane of {self._config.data} belongs to another user: {error.strerror}; "
                    "run `tulle run` as the user who runs `tulle up`, or give another state folder with --data"
                ) from error
            except Refused as refused:
                if refused.is_final:
                    raise AgentError(_refusal(refused, self._config.data)) from refused
                text = f"the control plane can't enrol this instance: {refused}; trying on"
            except (FileNotFoundError, ConnectionRefusedError):
                text = (
                    f"no control plane is running for {self._config.data}; start one in another terminal with\n"
                    f"    {_tulle_up(self._config.data)}\nwaiting for it"
                )
            except OSError as error:
                text = f"the control plane does not answer ({_text(error)}); trying on"
            if text != told:
                self._console.warning(text)
                told = text
            await asyncio.sleep(_RETRY_SECONDS)

    async def keep_fresh(self, folder: Folder, enrolment: Enrolment) -> None:
        """Renews for ever, at about half of each lifetime, with new keys."""
        while True:
            due = renewal_time(enrolment, int.from_bytes(os.urandom(2), "big") / 65536)
            while (left := due - time.time()) > 0:  # noqa: ASYNC110  time goes by without an event
                await asyncio.sleep(min(left, _LOOK_SECONDS))
            enrolment = await self._renewed(folder, enrolment)

    async def _renewed(self, folder: Folder, old: Enrolment) -> Enrolment:
        pause, failed = _RENEWAL_BACK_OFF[0], False
        while True:
            try:
                keys = await finish(begin(self._config, self._proxy))
                enrolment = await self._control_plane.enrol(self._request(keys))
                write_secrets(folder, keys, enrolment)
            except (OSError, Refused, AgentError) as error:
                if not failed:
                    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(old.not_after))
                    self._console.warning(
                        f"can't renew the certificates, good until {until}: {_text(error)}; trying on"
                    )
                failed = True
                await asyncio.sleep(pause)
                pause = min(2 * pause, _RENEWAL_BACK_OFF[1])
            else:
                if failed:
                    self._console.info("the certificates are renewed")
                return enrolment

    def _request(self, keys: Keys) -> dict[str, str]:
        return {
            "proxy": self._proxy,
            "namespace": self._config.namespace,
            "service": self._config.service,
            "service_account": self._config.service_account,
            "csr": keys["identity"]["csr"],
            "proxy_csr": keys["proxy"]["csr"],
        }


def renewal_time(enrolment: Enrolment, chance: float) -> float:
    """When to renew, in Unix seconds: between 40 and 50 % of the lifetime, by `chance` (0 to 1)."""
    return enrolment.not_before + (enrolment.not_after - enrolment.not_before) * (0.5 - 0.1 * chance)


def write_secrets(folder: Folder, keys: Keys, enrolment: Enrolment) -> None:
    """Puts the secrets where Envoy's bootstrap looks for them."""
    folder.replace(
        "sds/bundle.json", _secret("bundle", {"validation_context": {"trusted_ca": _inline(enrolment.bundle)}})
    )
    for name, chain in (("proxy", enrolment.proxy), ("identity", enrolment.identity)):
        pair = {"certificate_chain": _inline(chain), "private_key": _inline(keys[name]["key"])}
        folder.replace(f"sds/{name}.json", _secret(name, {"tls_certificate": pair}))
    # For TLS outside the mesh. If the machine has none, Envoy says that it misses the first, and believes nobody.
    roots = next((path for path in _SYSTEM_ROOTS if Path(path).is_file()), _SYSTEM_ROOTS[0])
    folder.replace("sds/roots.json", _secret("roots", {"validation_context": {"trusted_ca": {"filename": roots}}}))


def _secret(name: str, content: dict[str, Any]) -> str:
    """What Envoy wants to find in a file that `path_config_source` names: a DiscoveryResponse."""
    return json.dumps({"resources": [{"@type": _ENVOY_SECRET, "name": name, **content}]})


def _inline(text: str) -> dict[str, str]:
    return {"inline_string": text}


def _tulle_up(data: str) -> str:
    return "tulle up" if data == str(data_folder()) else f"tulle up --data {data}"


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _refusal(refused: Refused, data: str) -> str:
    if refused.status == 401:
        return (
            f"the control plane does not accept the secret in {data}/secret: {refused}; "
            "it may be an older control plane's: restart `tulle up`, with the same --data as here"
        )
    return f"the control plane refuses this instance: {refused}"
