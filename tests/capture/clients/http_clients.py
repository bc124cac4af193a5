"""HTTP clients in Python, each as its manual begins."""

import asyncio
import http.client
import os
import urllib.request

import aiohttp
import httpx
import requests
import urllib3
import uvloop

from trying import HOST, SETTINGS, URL, Pointless, from_b, run


def with_requests():
    from_b(requests.get(URL, timeout=30).content)


def with_requests_that_ignores_its_environment():
    session = requests.Session()
    session.trust_env = False
    from_b(session.get(URL, timeout=30).content)


def with_urllib():
    from_b(urllib.request.urlopen(URL, timeout=30).read())


def with_httpx():
    from_b(httpx.get(URL, timeout=30).content)


def with_httpx_async():
    async def main():
        async with httpx.AsyncClient(timeout=30) as client:
            from_b((await client.get(URL)).content)

    asyncio.run(main())


async def _with_aiohttp(**settings):
    timeout = aiohttp.ClientTimeout(30)
    async with aiohttp.ClientSession(timeout=timeout, **settings) as session, session.get(URL) as response:
        from_b(await response.read())


def with_aiohttp():
    asyncio.run(_with_aiohttp())


def with_aiohttp_that_ignores_its_environment():
    asyncio.run(_with_aiohttp(trust_env=False))


def with_aiohttp_on_uvloop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_with_aiohttp())


def with_a_pool_of_urllib3():
    from_b(urllib3.PoolManager(retries=False, timeout=30).request("GET", URL).data)


def with_a_proxy_of_urllib3():
    if SETTINGS["mode"] != "proxy":
        raise Pointless
    from_b(urllib3.ProxyManager(os.environ["http_proxy"], retries=False, timeout=30).request("GET", URL).data)


def with_http_client():
    connection = http.client.HTTPConnection(HOST, timeout=30)
    connection.request("GET", "/data")
    from_b(connection.getresponse().read())


def with_a_kept_connection():
    with requests.Session() as session:
        for _ in range(20):
            from_b(session.get(URL, timeout=30).content)


run(
    {
        "requests": with_requests,
        "requests with `trust_env = False`": with_requests_that_ignores_its_environment,
        "a `requests.Session`, kept alive": with_a_kept_connection,
        "urllib.request": with_urllib,
        "httpx": with_httpx,
        "httpx, async": with_httpx_async,
        "aiohttp": with_aiohttp,
        "aiohttp with `trust_env=False`": with_aiohttp_that_ignores_its_environment,
        "aiohttp on uvloop": with_aiohttp_on_uvloop,
        "urllib3 `PoolManager`": with_a_pool_of_urllib3,
        "urllib3 `ProxyManager`": with_a_proxy_of_urllib3,
        "http.client": with_http_client,
    }
)
