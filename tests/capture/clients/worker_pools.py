"""Servers that share their work among processes, whose workers call another service."""

import contextlib
import http.client
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trying import SETTINGS, Untried, from_b, run, same

HERE = str(Path(__file__).parent)


class _Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


@contextlib.contextmanager
def running(*words):
    # Children that are not reaped by the server itself must not hold our pipe: the log is a file.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, "-m", *words], cwd=HERE, stdout=log, stderr=log)
        try:
            yield process
        except Exception as error:
            log.seek(0)
            raise AssertionError(f"{error}; it said: {log.read().decode()[-200:]}") from error
        finally:
            process.terminate()
            process.wait(30)


def called_by_workers(*words):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        with running(*words, path) as process:
            wait_until_served(process, path)
            for _ in range(6):
                connection = _Unix(path)
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read()
                connection.close()
                same(answer.status, 200)
                from_b(body)


def wait_until_served(process, path):
    until = time.monotonic() + 30
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect(path)
        except OSError as error:
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError("the server does not start") from error
            time.sleep(0.05)


def with_celery():
    if "cache" not in SETTINGS["services"]:
        raise Untried("there is no Redis, its broker")
    import pool_tasks

    with pool_tasks.app.connection_for_write() as connection:  # fails at once where celery itself would go on trying
        connection.ensure_connection(max_retries=1, interval_start=0)
    waiting = [pool_tasks.call.delay() for _ in range(4)]
    with running("celery", "-A", "pool_tasks", "worker", "-c", "2", "--without-mingle", "--without-gossip"):
        for each in waiting:
            from_b(each.get(timeout=60))


run(
    {
        "gunicorn's workers": lambda: called_by_workers("pool_apps", "gunicorn"),
        "uvicorn's workers": lambda: called_by_workers("uvicorn", "pool_apps:asgi", "--workers", "2", "--uds"),
        "celery with Redis": with_celery,
    }
)
