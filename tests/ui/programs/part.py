"""A part of a small shop: answers on $PORT after calling others, sometimes slowly, sometimes not at all.

part.py '{"ms": 12, "fail": 19, "calls": ["http://payments/charge"], "drives": ["http://checkout/buy"], "rate": 4}'
ms: how long it takes, about. fail: of so many calls it fails the last. calls: what each call to it calls. drives: what it calls
by itself, so often a second. serves: whether it answers at all; else it only calls.
"""

import itertools
import json
import os
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MEANT = json.loads(sys.argv[1])
TRACE = ("traceparent", "tracestate", "x-request-id")


def call(url, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 599


COUNT = itertools.count(1)


def is_nth(nth):
    return bool(nth) and next(COUNT) % nth == 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(random.lognormvariate(0, 0.4) * MEANT.get("ms", 5) / 1000)
        passed_on = {name: self.headers[name] for name in TRACE if name in self.headers}
        answers = [call(url, passed_on) for url in MEANT.get("calls", [])]
        failed = is_nth(MEANT.get("fail", 0)) or any(status >= 500 for status in answers)
        body = b'{"ok": %s}' % (b"false" if failed else b"true")
        self.send_response(503 if failed else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


def drive():
    while True:
        for url in MEANT["drives"]:
            call(url, {})
            time.sleep(random.expovariate(MEANT.get("rate", 4)))


if MEANT.get("serves") is False:
    drive()
if MEANT.get("drives"):
    threading.Thread(target=drive, daemon=True).start()
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
