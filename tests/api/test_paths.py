"""The API's paths over the real socket: what is answered, and what is refused."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import stat
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tulle.aio.unix import short_path
from tulle.api.roles import ROLES
from tulle.identity.svid import proved_id
from tulle.model.names import ServiceName

# Their body is none, says nothing, is lines, which test_agent_sessions has, or is not read unless an answer is waited for.
WITHOUT_JSON = {
    "POST /v1/proxies/{name}/restart",
    "POST /v1/proxies/{name}/weight",
    "POST /v1/ca/finish",
    "POST /v1/ui/tickets",
    "POST /v1/ui/sign-in",  # in test_web_door
    "POST /v1/ui/sign-out",
    "POST /v1/agents/{proxy}",
    "POST /v1/agents/{proxy}/spans",
    "POST /v1/agents/{proxy}/logs",
    "POST /v1/otlp/v1/traces",
}
IN_LISTS = {"/v1/resources/delete"}


def enrol_request(**changes: str) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    pem = csr.public_bytes(serialization.Encoding.PEM).decode()
    names = {"proxy": "web-3fa2c1", "namespace": "default", "service": "web", "service_account": "web"}
    return json.dumps({**names, "csr": pem, "proxy_csr": pem, **changes}).encode()


async def test_the_socket_can_be_opened_by_its_owner_only(api: Any) -> None:
    assert stat.S_IMODE(api.socket.stat().st_mode) == 0o600
    await api.stop()
    assert not api.socket.exists()


async def test_what_there_is_to_see_is_answered_as_json(api: Any) -> None:
    assert await api.ask("GET", "/v1/version") == (200, {"version": "0.1.0", "envoy": "1.40.0"})
    status, content = await api.ask("GET", "/v1/status")
    assert (status, content["pid"], content["xds_port"]) == (200, 42, 15012)
    status, [service] = await api.ask("GET", "/v1/services")
    assert (status, service["host"]) == (200, "web.default.svc.cluster.local")
    status, [proxy] = await api.ask("GET", "/v1/proxies")
    assert (status, proxy["id"], proxy["health"], proxy["in_sync"]) == (200, "web-3fa2c1", "healthy", True)
    assert await api.ask("GET", "/v1/proxies/web-3fa2c1") == (200, proxy)
    status, config = await api.ask("GET", "/v1/proxies/web-3fa2c1/config")
    assert (status, config["listeners"][0]["resource"]) == (200, {"name": "outbound"})


async def test_an_enrolment_answers_with_certificates_and_a_bootstrap(api: Any) -> None:
    status, answer = await api.ask("POST", "/v1/enrol", enrol_request())
    assert status == 200
    assert proved_id(answer["identity"].encode()) == "spiffe://cluster.local/ns/default/sa/web"
    assert answer["bootstrap"] == {"node": {"id": "web-3fa2c1"}}
    assert answer["not_after"] - answer["not_before"] == 600


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "this is no enrolment request"),
        (b"\xff\xfe", "this is no enrolment request"),
        (b'"' + b"\xff" * 9 + b'"', "this is no enrolment request"),
        (b"[" * 100_000, "this is no enrolment request"),
        (b'{"proxy": "a"}', "missing required field"),
        (enrol_request(service="No_Label"), "service name 'No_Label' is no DNS label"),
        (enrol_request(csr="-----BEGIN"), "PKCS #10"),
    ],
    ids=["nothing", "no UTF-8", "no UTF-8 in a string", "deep", "half", "bad name", "bad CSR"],
)
async def test_a_bad_enrolment_is_refused_with_its_reason(api: Any, body: bytes, error: str) -> None:
    status, answer = await api.ask("POST", "/v1/enrol", body)
    assert status == 400
    assert error in answer["error"]


@pytest.mark.parametrize(
    "path", [way.split()[1] for way in ROLES if way.startswith("POST ") and way not in WITHOUT_JSON]
)
async def test_values_within_values_without_end_are_refused_as_any_other_nonsense(
    api: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A decoder gives up on them in a way of its own, in fields that nobody reads as in others."""
    deep = b"[" * 20_000 + b"]" * 20_000
    body = b'{"more": ' + deep + b"}\n" if path not in IN_LISTS else b'[{"more": ' + deep + b"}]"
    status, answer = await api.ask("POST", path, body)
    assert (status, set(answer)) == (400, {"error"})
    assert "Traceback" not in caplog.text


async def test_a_body_without_end_is_cut_off(api: Any) -> None:
    status, answer = await api.ask("POST", "/v1/enrol", b" " * (1 << 20) + enrol_request())
    assert (status, answer) == (413, {"error": "the request is longer than 1048576 bytes"})


@pytest.mark.parametrize("secret", ["", "5e" * 31, "5e" * 31 + "5f", "é"])
@pytest.mark.parametrize("path", ["/v1/status", "/v1/agents/web-3fa2c1", "/v1/enrol", "/nothing"])
async def test_nothing_is_told_without_the_secret(api: Any, path: str, secret: str) -> None:
    status, answer = await api.ask("POST", path, secret=secret)
    assert status == 401
    assert "wrong secret" in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/", 404, "there is nothing at /"),
        ("GET", "/v1/nothing", 404, "there is nothing at /v1/nothing"),
        ("POST", "/v1/status", 405, "POST is not for /v1/status"),
        ("GET", "/v1/proxies/ghost", 404, "there is no proxy ghost; `tulle proxies` lists them"),
        ("GET", "/v1/proxies/ghost/config", 404, "there is no proxy ghost; `tulle proxies` lists them"),
        ("DELETE", "/v1/services/default/ghost", 404, "there is no service ghost.default"),
        ("DELETE", "/v1/services/default/busy", 409, "busy.default has live instances: busy-3fa2c1"),
    ],
)
async def test_what_is_not_there_is_said_so(api: Any, method: str, path: str, status: int, error: str) -> None:
    assert await api.ask(method, path) == (status, {"error": error})


async def test_a_service_is_forgotten(api: Any) -> None:
    assert await api.ask("DELETE", "/v1/services/default/web") == (200, {"forgotten": "web.default"})
    assert api.told == [("forget", ServiceName("default", "web"))]
    status, answer = await api.ask("DELETE", "/v1/services/default/%41")
    assert (status, "is no DNS label" in answer["error"]) == (400, True)


async def test_our_own_mistake_is_logged_and_not_shown(api: Any, caplog: pytest.LogCaptureFixture) -> None:
    status, answer = await api.ask("GET", "/v1/proxies/bug")
    assert (status, answer) == (500, {"error": "tulle made a mistake; the control plane's log says more"})
    assert "ZeroDivisionError: made on purpose" in caplog.text
    assert (await api.ask("GET", "/v1/version"))[0] == 200


GARBAGE = [
    b"\x00\xff\xfe\r\n\r\n",
    b"GET\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n",
    b"POST /v1/enrol HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200_000,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_what_is_no_http_is_refused_and_the_next_caller_is_served(api: Any, garbage: bytes) -> None:
    status, answer = await api.send(garbage)
    assert (status, answer) == (400, {"error": "this is no HTTP/1.1 request"})
    assert (await api.ask("GET", "/v1/version"))[0] == 200


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=2000), head=st.sampled_from([b"", b"POST /v1/enrol HTTP/1.1\r\n", b"GET "]))
async def test_no_bytes_whatever_stop_the_server(
    api: Any, caplog: pytest.LogCaptureFixture, data: bytes, head: bytes
) -> None:
    caplog.clear()
    async with api.connection() as (reader, writer):
        writer.write(head + data)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 10)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (await api.ask("GET", "/v1/version"))[0] == 200


async def test_a_socket_left_by_a_killed_control_plane_is_replaced(api: Any) -> None:
    await api.stop()
    with socket.socket(socket.AF_UNIX) as left, short_path(api.socket) as path:
        left.bind(path)
    assert api.socket.is_socket()
    await api.start()
    assert (await api.ask("GET", "/v1/version"))[0] == 200
