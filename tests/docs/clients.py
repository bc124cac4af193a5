"""A program of many clients: calls http://service-b/data with each, and prints as JSON what came of it.

The names are those of the table in docs/guides/troubleshooting.md.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from typing import Any

import aiohttp
import grpc
import httpx
import requests
import urllib3

HOST = "service-b"
URL = f"http://{HOST}/data"


def command(*words: str) -> bytes:
    return subprocess.run(words, capture_output=True, check=True, timeout=60).stdout


def with_requests() -> bytes:
    return requests.get(URL, timeout=30).content


def with_requests_that_ignores_its_environment() -> bytes:
    session = requests.Session()
    session.trust_env = False
    return session.get(URL, timeout=30).content


async def with_aiohttp(**settings: Any) -> bytes:
    async with aiohttp.ClientSession(**settings) as session, session.get(URL) as response:
        return await response.read()


async def with_httpx_async() -> bytes:
    async with httpx.AsyncClient() as client:
        return (await client.get(URL)).content


def with_http_client() -> bytes:
    connection = http.client.HTTPConnection(HOST, timeout=30)
    connection.request("GET", "/data")
    return connection.getresponse().read()


def with_grpc() -> bytes:
    channel: Any = grpc.insecure_channel("echo:50051")
    answer: bytes = channel.unary_unary("/any.Service/Method")(b'{"instance": "b1"}', timeout=30)
    return answer


CLIENTS: dict[str, Callable[[], bytes]] = {
    "requests": with_requests,
    "requests with `trust_env = False`": with_requests_that_ignores_its_environment,
    "urllib.request": lambda: urllib.request.urlopen(URL, timeout=30).read(),
    "httpx": lambda: httpx.get(URL, timeout=30).content and asyncio.run(with_httpx_async()),
    "aiohttp": lambda: asyncio.run(with_aiohttp()),
    "aiohttp with `trust_env=False`": lambda: asyncio.run(with_aiohttp(trust_env=False)),
    "http.client": with_http_client,
    "urllib3 `PoolManager`": lambda: urllib3.PoolManager(retries=False).request("GET", URL).data,
    "urllib3 `ProxyManager`": lambda: urllib3.ProxyManager(os.environ["http_proxy"]).request("GET", URL).data,
    "grpc": with_grpc,
    "curl": lambda: command("curl", "-fsS", URL),
    "wget": lambda: command("wget", "-qO-", URL),
    "Node 20 `fetch`": lambda: command("node", "-e", f"fetch('{URL}').then(r => r.text()).then(console.log)"),
}
NEEDED = {"curl": "curl", "wget": "wget", "Node 20 `fetch`": "node"}


def outcome(call: Callable[[], bytes]) -> str:
    try:
        return str(json.loads(call())["instance"])
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def is_there(client: str) -> bool:
    program = NEEDED.get(client)
    if program == "node":
        return bool(shutil.which(program)) and command(program, "--version").startswith(b"v20.")
    return program is None or bool(shutil.which(program))


print(
    json.dumps(
        {
            "clients": {name: outcome(call) for name, call in CLIENTS.items() if is_there(name)},
            "https": outcome(lambda: requests.get(f"https://{HOST}:80/data", timeout=30).content),
            "underscore": requests.get("http://a_b/", timeout=30).text,
        }
    )
)
