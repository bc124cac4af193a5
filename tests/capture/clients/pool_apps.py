"""What the workers run: each request is answered with what service-b answers."""

import sys

import httpx
import requests

from trying import URL


def wsgi(environ, start_response):
    body = requests.get(URL, timeout=30).content
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    async with httpx.AsyncClient(timeout=30) as client:
        body = (await client.get(URL)).content
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", "-w", "2", "pool_apps:wsgi", "--bind", f"unix:{sys.argv[2]}"]
    run()
