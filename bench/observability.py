"""All at once: CPU per request of two sidecars with metrics, access rules and 1 % of traces, over a bare pair of Envoys.

The bare pair is set to be as lean as can be, and is there twice: what its two rows differ by is noise. It is there also with the
least that Envoy has for telling the same (bench/stock), which no configuration of Envoy gets below. Where HAProxy and nginx are
installed, one hop of each is there too, for orientation: in plain HTTP, so without what mutual TLS and HTTP/2 cost.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import guarded, stock
from bench.figure import Figure
from bench.meshes import call
from bench.processes import children, free_port, process, wait_for
from bench.watched import Case, measure, ratios, start
from tulle.ir.access import Action
from tulle.ir.telemetry import DEFAULT

_RULES = 10

_HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend in
    bind 127.0.0.1:{port}
    default_backend out
backend out
    server program 127.0.0.1:{target}
"""
_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    upstream program {{ server 127.0.0.1:{target}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 100000000;
        location / {{
            proxy_pass http://program;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
        }}
    }}
}}
"""


def run(quick: bool) -> list[Figure]:
    rounds, seconds = (4, 1) if quick else (25, 1)
    rules = guarded.policies(_RULES, Action.ALLOW)
    cases = [
        Case("bare", "bare pair", is_mesh=False),
        Case("bare_again", "bare pair again", is_mesh=False),
        Case("stock", f"the same pair, {stock.WHAT}", is_mesh=False, change=stock.telling),
        Case("sidecars", "two sidecars that tell nothing, without access rules"),
        Case("counted", "two sidecars, metrics alone", counts=guarded.FIGURES),
        Case(
            "all",
            f"two sidecars, metrics, {_RULES} access rules, ids, 1 % of traces, failed and slow requests",
            DEFAULT,
            guarded.FIGURES,
            without=(),
            rules=rules,
            decides=True,
            reach=1.3,
        ),
    ]
    with tempfile.TemporaryDirectory(prefix="tulle-bench-") as folder, ExitStack() as stack:
        target = start(Path(folder), stack, cases)
        cases += _others(Path(folder), stack, target)
        measure("observability", cases, rounds, seconds)
    one, again, *more = cases
    return ratios(one, again, more, _what, f"{rounds} interleaved rounds of {seconds} s")


def _what(case: Case) -> str:
    return f"CPU per request over a bare pair of Envoys (mTLS, h2): {case.what}"


def _others(folder: Path, stack: ExitStack, target: int) -> Iterator[Case]:
    """Proxies of others that are installed."""
    for name, settings, option in (("haproxy", _HAPROXY, "-f"), ("nginx", _NGINX, "-c")):
        program = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if not program:
            continue
        port, file = free_port(), folder / f"{name}.conf"
        file.write_text(settings.format(port=port, target=target, folder=folder))
        started = stack.enter_context(process((program, option, str(file)), folder / f"{name}.log", cwd=folder))
        wait_for(f"{name} answers", partial(_answers, port))
        case = Case(name, f"one hop of {name}, plain HTTP/1.1", is_mesh=False, port=port)
        case.pids = (started.pid, *children(started.pid))
        yield case


def _answers(port: int) -> bool:
    try:
        return call(port, "service-b") == 200
    except OSError:
        return False
