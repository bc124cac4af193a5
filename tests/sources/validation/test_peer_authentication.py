"""PeerAuthentication: each rule that Istio checks, with a document that keeps it and one that breaks it."""

from __future__ import annotations

from typing import Any

import pytest

from tulle.model.resources.peer_authentication import PeerAuthentication
from tulle.sources.validation import peer_authentication

SELECTOR = "selector: {matchLabels: {app: web}}"

SOUND = {
    "nothing said": "{}",
    "a mode": "{mtls: {mode: STRICT}}",
    "every mode": f"{{{SELECTOR}, portLevelMtls: {{'1': {{mode: UNSET}}, '2': {{mode: DISABLE}}, '3': {{mode: PERMISSIVE}}}}}}",
    "an empty mode": f"{{{SELECTOR}, mtls: {{}}}}",
    "some workloads": f"{{{SELECTOR}, mtls: {{mode: PERMISSIVE}}}}",
    "a port": f"{{{SELECTOR}, portLevelMtls: {{'65535': {{mode: STRICT}}}}}}",
}

FAULTY = {
    "ports of all": ("{portLevelMtls: {'80': {mode: STRICT}}}", ".portLevelMtls"),
    "ports of an empty selector": ("{selector: {}, portLevelMtls: {'80': {mode: STRICT}}}", ".portLevelMtls"),
    "port 0": (f"{{{SELECTOR}, portLevelMtls: {{'0': {{mode: STRICT}}}}}}", ".portLevelMtls.0"),
    "a port beyond all": (f"{{{SELECTOR}, portLevelMtls: {{'65536': {{}}}}}}", ".portLevelMtls.65536"),
    "a port beyond 32 bits": (f"{{{SELECTOR}, portLevelMtls: {{'42949672960': {{}}}}}}", ".portLevelMtls.42949672960"),
    "a port's name": (f"{{{SELECTOR}, portLevelMtls: {{http: {{}}}}}}", ".portLevelMtls.http"),
    "a negative port": (f"{{{SELECTOR}, portLevelMtls: {{'-1': {{}}}}}}", ".portLevelMtls.-1"),
    "an octal port": (f"{{{SELECTOR}, portLevelMtls: {{'080': {{}}}}}}", ".portLevelMtls.080"),
    "a star": ("{selector: {matchLabels: {app: 'w*'}}}", ".selector.matchLabels.app"),
    "a label without a name": ("{selector: {matchLabels: {'': web}}}", ".selector.matchLabels"),
}


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_a_peer_authentication_that_istio_takes_has_no_problem(judge: Any, text: str) -> None:
    assert judge(peer_authentication.check, PeerAuthentication, text).problems == []


@pytest.mark.parametrize(("text", "path"), FAULTY.values(), ids=FAULTY)
def test_a_peer_authentication_that_istio_refuses_is_wrong_at_its_field(judge: Any, text: str, path: str) -> None:
    assert list(judge(peer_authentication.check, PeerAuthentication, text).errors) == [f"spec{path}"]


def test_a_selector_of_everything_is_warned_of(judge: Any) -> None:
    verdict = judge(peer_authentication.check, PeerAuthentication, "{selector: {}}")
    assert (list(verdict.warnings), verdict.errors) == (["spec.selector.matchLabels"], {})
