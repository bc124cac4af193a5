"""A service by one of four frameworks, which calls `$NEXT` with one of four clients and knows nothing of traces.

Answers {"got": the headers that it got, "next": the answer of the next one}. Usage: chain.py flask|fastapi|django|aiohttp
"""

import os
import sys

NEXT = os.environ.get("NEXT")
PORT = int(os.environ["PORT"])


def told(headers, following):
    return {"got": {name.lower(): value for name, value in headers.items()}, "next": following}


def flask():
    """Behind gunicorn; calls with requests."""
    import requests
    from flask import Flask, request
    from gunicorn.app.base import BaseApplication

    app = Flask("chain")

    @app.get("/")
    def chain():
        return told(request.headers, NEXT and requests.get(NEXT, timeout=30).json())

    class Server(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", f"127.0.0.1:{PORT}")
            self.cfg.set("control_socket_disable", True)

        def load(self):
            return app

    Server().run()


def fastapi():
    """Behind uvicorn; calls with httpx."""
    import httpx
    import uvicorn
    from fastapi import FastAPI, Request

    app = FastAPI()

    @app.get("/")
    async def chain(request: Request):
        async with httpx.AsyncClient(timeout=30) as client:
            return told(request.headers, NEXT and (await client.get(NEXT)).json())

    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")


def django():
    """Its own server; calls with urllib3."""
    import urllib3
    from django.conf import settings
    from django.core.management import execute_from_command_line
    from django.http import JsonResponse
    from django.urls import path

    proxy = os.environ.get("http_proxy")
    pool = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()

    def chain(request):
        return JsonResponse(told(request.headers, NEXT and pool.request("GET", NEXT).json()))

    sys.modules["urls"] = type(sys)("urls")
    sys.modules["urls"].urlpatterns = [path("", chain)]
    settings.configure(DEBUG=True, ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"], SECRET_KEY="s")
    execute_from_command_line(["django", "runserver", "--noreload", f"127.0.0.1:{PORT}"])


def aiohttp():
    """Its own server; calls with its own client."""
    from aiohttp import ClientSession, web

    async def chain(request):
        following = None
        if NEXT:
            async with ClientSession() as session, session.get(NEXT) as response:
                following = await response.json()
        return web.json_response(told(request.headers, following))

    app = web.Application()
    app.router.add_get("/", chain)
    web.run_app(app, host="127.0.0.1", port=PORT, print=None)


globals()[sys.argv[1]]()
