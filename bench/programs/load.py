"""A client that calls a service without pause from many threads, and tells every call that failed. It never tries again."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from typing import Any

from bench.asking import obey

_KINDS = list(itertools.product(("GET", "POST"), ("/fast", "/slow"), ("kept", "new")))
_BODY = b"x" * 2000
_TIMEOUT = 30.0
_MOST_TOLD = 20


class Load:
    """Threads that call until they are stopped."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._times: dict[str, list[float]] = {}
        self._failures: list[str] = []

    def start(self, service: str, threads: int) -> None:
        """As many threads for each kind of call: its method, how fast it is answered, whose connection it has."""
        self._over.clear()
        for kind in _KINDS * threads:
            thread = threading.Thread(target=self._run, args=(service, *kind))
            self._threads.append(thread)
            thread.start()

    def done(self) -> int:
        """How many calls there were so far."""
        with self._lock:
            return sum(map(len, self._times.values())) + len(self._failures)

    def stop(self) -> dict[str, Any]:
        """What came of all calls since the start: milliseconds by kind, and failures. The next start begins anew."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        told = {"times": self._times, "failed": len(self._failures), "failures": self._failures[:_MOST_TOLD]}
        self._threads, self._times, self._failures = [], {}, []
        return told

    def _run(self, service: str, method: str, path: str, connection: str) -> None:
        kept = http.client.HTTPConnection(service, timeout=_TIMEOUT)
        while not self._over.is_set():
            used = kept if connection == "kept" else http.client.HTTPConnection(service, timeout=_TIMEOUT)
            began, started = time.time(), time.perf_counter()
            problem = _problem(used, method, path)
            taken = (time.perf_counter() - started) * 1e3
            if problem or used is not kept:
                used.close()
            with self._lock:
                if problem:
                    self._failures.append(f"{method} {path} {connection} at {began:.3f}, {taken:.0f} ms: {problem}")
                else:
                    self._times.setdefault(f"{method} {path} {connection}", []).append(taken)
        kept.close()


def _problem(connection: http.client.HTTPConnection, method: str, path: str) -> str:
    """Makes one call; "" if the whole and right answer came."""
    body, expected = (_BODY, _BODY) if method == "POST" else (None, path.encode())
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    if response.status != 200:
        return f"{response.status} {answer[:200].decode(errors='replace')}"
    return "" if answer == expected else f"another answer: {answer[:80]!r}"


if __name__ == "__main__":
    load = Load()
    obey({"start": load.start, "done": load.done, "stop": load.stop})
