"""What the shim decides, and that it stands in nobody's way."""

from __future__ import annotations

import ast
import shutil
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tulle import agent

SHIM = Path(next(iter(agent.__path__))) / "shim"
Shim = Callable[[str], Any]
Run = Callable[..., subprocess.CompletedProcess[str]]

CONTEXT = {"Traceparent": "00-1-2-01", "Tracestate": "a=1", "Baggage": "user=7", "X-Request-Id": "r", "Accept": "*/*"}


def test_only_what_a_call_lacks_is_added(shim: Shim) -> None:
    context = shim("context")
    served = context.of_pairs(CONTEXT.items())
    all_of_it = {"traceparent": "00-1-2-01", "tracestate": "a=1", "baggage": "user=7", "x-request-id": "r"}
    assert dict(context.added(served, set(), "service-b")) == all_of_it
    assert dict(context.added(served, {"b3"}, "service-b")) == {"baggage": "user=7", "x-request-id": "r"}
    assert dict(context.added(served, {"baggage", "x-request-id"}, "service-b")) == {
        "traceparent": "00-1-2-01",
        "tracestate": "a=1",
    }


@pytest.mark.parametrize(
    ("host", "is_told"),
    [
        ("service-b", True),
        ("service-b:8080", True),
        ("Service-B.default", True),
        ("service-b.shop.svc.cluster.local", True),
        ("service-b.shop.svc.cluster.local.:80", True),
        ("service-b.shop.svc", True),
        ("example.org", False),
        ("api.example.org", False),
        ("localhost:9000", False),
        ("127.0.0.1", False),
        ("[::1]:80", False),
        ("", False),
    ],
)
def test_baggage_goes_to_services_of_the_mesh_alone(host: str, is_told: bool, shim: Shim) -> None:
    context = shim("context")
    served = context.of_pairs(CONTEXT.items())
    assert ("baggage" in dict(context.added(served, set(), host))) == is_told


def test_a_request_is_read_in_every_form_in_which_servers_have_it(shim: Shim) -> None:
    context = shim("context")
    as_bytes = [(name.encode(), value.encode()) for name, value in CONTEXT.items()]
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in CONTEXT.items()}
    forms = [context.of_pairs(CONTEXT.items()), context.of_pairs(as_bytes), context.of_environ(environ)]
    assert len({(each.trace, each.baggage, each.request_id) for each in forms}) == 1
    several = context.of_pairs([("tracestate", "a=1"), ("traceparent", "00-1-2-01"), ("tracestate", "b=2")])
    assert dict(several.trace)["tracestate"] == "a=1,b=2"


def test_what_could_be_no_header_again_is_left_out(shim: Shim) -> None:
    context = shim("context")
    assert (
        context.of_pairs(
            [("traceparent", "x\r\nHost: other"), ("baggage", "é"), ("b3", ""), ("x-b3-flags", "1" * 9000)]
        )
        is None
    )


def test_who_outlives_a_request_is_no_part_of_it_for_long(shim: Shim, monkeypatch: pytest.MonkeyPatch) -> None:
    context = shim("context")
    now = [1000.0]
    monkeypatch.setattr(context, "monotonic", lambda: now[0])
    served = context.of_pairs(CONTEXT.items())
    token = context.enter(served)
    context.end(served)
    assert context.current() is served
    now[0] += 61
    assert context.current() is None
    context.leave(token)


WORKERS = """
import http.server, json, queue, threading, urllib.request
from concurrent.futures import ThreadPoolExecutor

jobs, answers = queue.Queue(), queue.Queue()
pool = None

def work():
    while True:
        answers.put(urllib.request.urlopen(jobs.get()).read().decode())

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global pool
        if not pool:  # the first request starts what serves all of them
            threading.Thread(target=work, daemon=True).start()
            pool = ThreadPoolExecutor(1)
            pool.submit(int).result()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(self.headers.get("traceparent")).encode() + b" ")

with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    urllib.request.urlopen(urllib.request.Request(url, headers={"traceparent": "00-1-2-01"})).read()
    jobs.put(url)
    print(answers.get(), pool.submit(lambda: urllib.request.urlopen(url).read().decode()).result())
    server.shutdown()
"""


def test_workers_that_a_request_has_started_do_not_stay_in_it(run: Run) -> None:
    assert run(WORKERS).stdout.split() == ["None", "None"]


def test_a_hook_that_fails_is_off_and_the_program_goes_on(shim: Shim, capfd: pytest.CaptureFixture[str]) -> None:
    hooks = shim("hooks")

    class Server:
        def serve(self, request: Any) -> str:
            return f"served {request}"

    def read(server: Server, request: Any) -> None:
        asked.append(request)
        raise RuntimeError("of ours")

    asked: list[Any] = []
    hooks.replace(Server, "serve", hooks.serving(read))
    hooks.replace(Server, "serve", hooks.serving(read))
    assert [Server().serve(1), Server().serve(2)] == ["served 1", "served 2"]
    assert asked == [1]
    assert capfd.readouterr().err == ""


def test_a_framework_of_another_make_is_left_as_it_is(tmp_path: Path, run: Run) -> None:
    (tmp_path / "flask").mkdir()
    (tmp_path / "flask" / "__init__.py").write_text("from flask import app")
    (tmp_path / "flask" / "app.py").write_text("Flask = 'nothing of the kind'")
    done = run("import flask; print('started')", TULLE_DEBUG="", PYTHONPATH=f"{SHIM}:{tmp_path}")
    assert (done.stdout, done.stderr) == ("started\n", "")


def test_nothing_is_imported_that_the_program_does_not(run: Run) -> None:
    code = "import sys; print([n for n in sys.modules if n in ('http', 'asyncio', 'concurrent', 'importlib.metadata')])"
    assert run(code).stdout == run(code, TULLE_SHIM="").stdout


def test_threads_and_pools_do_all_that_they_did(shim: Shim) -> None:
    """In this process, where nothing is served: what is handed over comes as it was given."""
    hooks, threads = shim("hooks"), shim("threads")
    context = shim("context")

    class Thread(threading.Thread):
        pass

    class Executor(ThreadPoolExecutor):
        pass

    hooks.replace(Thread, "start", threads._starting)
    hooks.replace(Executor, "submit", threads._submitting)
    served = context.of_pairs(CONTEXT.items())
    token = context.enter(served)
    seen: list[Any] = []
    try:
        thread = Thread(
            target=lambda *args, **more: seen.append((args, more, context.current())), args=(1,), kwargs={"a": 2}
        )
        thread.start()
        thread.join()
        assert seen == [((1,), {"a": 2}, served)]
        assert "run" not in vars(thread)
        with Executor(1) as executor:
            assert executor.submit(divmod, 7, 2).result() == (3, 1)
            names = dict.fromkeys(("self", "served", "function", "args", "fn"), 1)
            assert executor.submit(dict, **names).result() == names
            assert list(executor.map(abs, [-1, -2])) == [1, 2]
            with pytest.raises(ZeroDivisionError):
                executor.submit(divmod, 1, 0).result()
    finally:
        context.leave(token)


def test_the_shim_is_written_for_any_interpreter_that_a_program_may_have() -> None:
    for file in (SHIM / "_tulle_shim").glob("*.py"):
        ast.parse(file.read_text(), feature_version=(3, 8))
    first = (SHIM / "sitecustomize.py").read_text()
    nodes = list(ast.walk(ast.parse(first, feature_version=(3, 4))))
    assert not [n for n in nodes if isinstance(n, (ast.JoinedStr, ast.AnnAssign)) or getattr(n, "annotation", None)]
    assert "->" not in first.replace("# type: () ->", "") and "__future__" not in first and first.isascii()


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_an_older_interpreter_starts_as_without_it(version: str, run: Run) -> None:
    python = shutil.which(f"python{version}")
    if not python or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"there is no Python {version}")
    code = "import sys, threading; print('_tulle_shim' in sys.modules)"
    done = run(code, python=python)
    assert (done.stdout, done.stderr) == ("False\n", "")


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.12", "3.13", "3.14"])
def test_other_interpreters_pass_the_context_on(version: str, run: Run) -> None:
    python = shutil.which(f"python{version}")
    if not python or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"there is no Python {version}")
    assert run("first.py", python=python).stdout == "00-1-2-01\n"
    assert run(WORKERS, python=python).stdout.split() == ["None", "None"]


async def test_a_framework_keeps_to_its_own_request_and_to_that_of_its_server(shim: Shim) -> None:
    context, hooks, servers = shim("context"), shim("hooks"), shim("servers")

    class App:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(context.current())

    seen: list[Any] = []
    hooks.replace(App, "__call__", servers._asgi)
    own, other = ([(b"traceparent", value)] for value in (b"00-1-2-01", b"00-3-4-01"))
    await App()({"headers": own}, None, None)
    token = context.enter(entered := context.of_pairs(own))
    for headers in (own, other, []):
        await App()({"headers": headers}, None, None)
    assert context.current() is entered
    context.leave(token)
    assert [each and dict(each.trace)["traceparent"] for each in seen] == ["00-1-2-01", "00-1-2-01", "00-3-4-01", None]
    assert seen[1] is entered


ODD_HANDLER = """
import http.server, threading, urllib.request

class Handler(http.server.BaseHTTPRequestHandler):
    def __getattr__(self, name):  # it has all methods
        if name == "_headers_buffer":
            raise AttributeError(name)
        return self.answer

    def answer(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.command.encode())

    def log_message(self, *arguments):
        pass

with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    for method in ("GET", "ODD"):
        request = urllib.request.Request(url, headers={"traceparent": "00-1-2-01"}, method=method)
        print(urllib.request.urlopen(request).read().decode())
    server.shutdown()
"""


def test_a_handler_that_has_whatever_it_is_asked_for_serves_on(run: Run) -> None:
    done = run(ODD_HANDLER)
    assert (done.stdout.split(), done.stderr) == (["GET", "ODD"], "")


PROCESSES = """
import json, multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
import _tulle_shim.context as context

def asked(*_):
    served = context.to_pass_on()
    return served and served.request_id

context.enter(context.of_pairs([("x-request-id", "first")]))
fork = multiprocessing.get_context("fork")
with ProcessPoolExecutor(1, fork) as executor, fork.Pool(1) as pool:
    print(executor.submit(asked).result(), pool.apply(asked))
if not os.fork():
    print(asked(), context._SERVED.get().life[0] > 0, flush=True)
    os._exit(0)
os.wait()
"""


def test_processes_of_a_pool_belong_to_no_request_and_others_for_a_while(run: Run) -> None:
    assert run(PROCESSES).stdout.split() == ["None", "None", "first", "True"]


def test_headers_of_no_kind_that_servers_give_are_passed_over(shim: Shim) -> None:
    context = shim("context")
    assert context.of_environ({"HTTP_X_REQUEST_ID": 7, "HTTP_BAGGAGE": "a=1"}).baggage == "a=1"
    assert context.of_pairs([("x-request-id", 7), ("baggage", None)]) is None


def test_an_answer_that_is_a_file_comes_to_the_server_as_it_is(shim: Shim, tmp_path: Path) -> None:
    hooks, servers = shim("hooks"), shim("servers")

    class App:
        def __init__(self, body: Any) -> None:
            self.body = body

        def __call__(self, environ: Any, start_response: Any) -> Any:
            return self.body

    hooks.replace(App, "__call__", servers._wsgi)
    environ = {"HTTP_TRACEPARENT": "00-1-2-01", "wsgi.file_wrapper": lambda file, size: file}
    with (tmp_path / "file").open("wb+") as file:
        assert App(file)(environ, None) is file
    pieces = App(iter([b"a", b"b"]))(environ, None)
    assert list(pieces) == [b"a", b"b"]
    pieces.close()
