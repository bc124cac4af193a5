"""Serves `/?client=…&url=…` by one kind of server: calls the URL with that client, and answers what it got.

Nothing in here knows of traces. Usage: relay.py SERVER PORT
"""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

POOL = ThreadPoolExecutor(2)


def by_urllib(url):
    import urllib.request

    return urllib.request.urlopen(url).read()


def by_http_client(url):
    import http.client

    connection = http.client.HTTPConnection(url.split("/")[2])
    connection.request("GET", "/")
    return connection.getresponse().read()


def by_requests(url):
    import requests

    return requests.get(url).content


def by_urllib3(url):
    import urllib3

    return urllib3.PoolManager().request("GET", url).data


def by_httpx(url):
    import httpx

    return httpx.get(url, trust_env=False).content


def by_tracer(url):
    import requests

    return requests.get(url, headers={"TraceParent": "00-" + "f" * 32 + "-" + "f" * 16 + "-01"}).content


def by_thread(url):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(by_urllib(url)))
    thread.start()
    thread.join()
    return answers[0]


def by_pool(url):
    return POOL.submit(by_urllib, url).result()


def by_map(url):
    return next(iter(POOL.map(by_urllib, [url])))


async def by_aiohttp(url):
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.read()


async def by_async_httpx(url):
    import httpx

    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(url)).content


async def by_to_thread(url):
    return await asyncio.to_thread(by_urllib, url)


async def by_run_in_executor(url):
    return await asyncio.get_running_loop().run_in_executor(None, by_urllib, url)


async def by_task(url):
    return await asyncio.create_task(by_aiohttp(url))


def call(query):
    asked = {key: values[0] for key, values in parse_qs(query).items()}
    made = globals()["by_" + asked["client"]](asked["url"])
    return asyncio.run(made) if asyncio.iscoroutine(made) else made


async def call_async(query):
    asked = {key: values[0] for key, values in parse_qs(query).items()}
    function = globals()["by_" + asked["client"]]
    return await function(asked["url"]) if asyncio.iscoroutinefunction(function) else function(asked["url"])


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    yield call(environ["QUERY_STRING"])  # while the answer is being sent


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind.endswith("shutdown"):
                return
    body = await call_async(scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def serve_http_server(port):
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = call(self.path.partition("?")[2])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def serve_wsgiref(port):
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", port, wsgi).serve_forever()


def serve_gunicorn(port, *options):
    from gunicorn.app.wsgiapp import WSGIApplication

    sys.argv = ["gunicorn", "--no-control-socket", "--bind", f"127.0.0.1:{port}", *options, "relay:wsgi"]
    WSGIApplication().run()


def serve_gunicorn_threads(port):
    serve_gunicorn(port, "--worker-class", "gthread", "--threads", "8")


def serve_uvicorn(port, app=asgi, http="h11"):
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=port, http=http, log_level="warning")


def serve_starlette(port):
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    async def relay(request):
        return Response(await call_async(request.url.query))

    def relay_in_a_thread(request):
        return Response(call(request.url.query))

    serve_uvicorn(port, Starlette(routes=[Route("/", relay), Route("/thread", relay_in_a_thread)]))


def serve_hypercorn(port):
    import hypercorn.asyncio
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    asyncio.run(hypercorn.asyncio.serve(asgi, config))


def serve_fastapi(port):
    from fastapi import FastAPI, Request, Response

    app = FastAPI()

    @app.get("/")
    async def relay(request: Request):
        return Response(await call_async(request.url.query))

    serve_uvicorn(port, app)


def serve_flask(port):
    from flask import Flask, request

    app = Flask("relay")
    app.get("/")(lambda: call(request.query_string.decode()))
    app.run("127.0.0.1", port)


def serve_flask_alone(port):
    """By a server that no hook is for."""
    import socketserver

    from flask import Flask, request

    app = Flask("relay")

    def pieces():
        yield call(request.query_string.decode())

    from flask import stream_with_context

    app.get("/")(lambda: stream_with_context(pieces()))

    class Server(socketserver.StreamRequestHandler):
        def handle(self):
            while line := self.rfile.readline():
                path, _, query = line.split()[1].decode().partition("?")
                environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "relay"}
                environ |= {"SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": self.rfile}
                while (line := self.rfile.readline().decode().strip()) and line:
                    name, _, value = line.partition(":")
                    environ["HTTP_" + name.upper().replace("-", "_")] = value.strip()
                body = app(environ, lambda status, headers: None)
                content = b"".join(body)
                body.close()
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))

    socketserver.ThreadingTCPServer(("127.0.0.1", port), Server).serve_forever()


def serve_django(port):
    from django.core.management import execute_from_command_line

    _configure_django()
    execute_from_command_line(["django", "runserver", "--noreload", f"127.0.0.1:{port}"])


def serve_django_asgi(port):
    from django.core.asgi import get_asgi_application

    _configure_django(async_=True)
    serve_uvicorn(port, get_asgi_application())


def _configure_django(async_=False):
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    def relay(request):
        return HttpResponse(call(request.META["QUERY_STRING"]))

    async def relay_async(request):
        return HttpResponse(await call_async(request.META["QUERY_STRING"]))

    sys.modules["urls"] = type(sys)("urls")
    sys.modules["urls"].urlpatterns = [path("", relay_async if async_ else relay)]
    settings.configure(DEBUG=True, ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"], SECRET_KEY="s")


def serve_aiohttp(port):
    from aiohttp import web

    async def relay(request):
        return web.Response(body=await call_async(request.query_string))

    app = web.Application()
    app.router.add_get("/", relay)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    globals()["serve_" + sys.argv[1]](int(sys.argv[2]))
