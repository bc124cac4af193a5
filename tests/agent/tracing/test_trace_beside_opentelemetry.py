"""Programs that have OpenTelemetry: one that configures it is left alone, one that only has its packages makes spans."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

SERVED = (Path(__file__).parent / "programs" / "first.py").read_text()


def test_a_program_that_configures_the_sdk_is_left_alone(run: Run) -> None:
    configured = "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
    configured += "trace.set_tracer_provider(TracerProvider())\n"
    assert run(configured + SERVED).stdout == "None\n"


def test_one_that_has_the_api_alone_is_not_instrumented(run: Run) -> None:
    assert run("from opentelemetry import trace\ntrace.get_tracer('any')\n" + SERVED).stdout == "00-1-2-01\n"


INSTRUMENTED = """
import threading, flask, requests
from opentelemetry import trace
from werkzeug.serving import make_server

app = flask.Flask("relay")
app.get("/", endpoint="last")(lambda: flask.request.headers.get("traceparent", ""))
app.get("/first")(lambda: requests.get(url).text)
server = make_server("127.0.0.1", 0, app, threaded=True)
url = f"http://127.0.0.1:{server.port}/"
threading.Thread(target=server.serve_forever, daemon=True).start()
import http.client
connection = http.client.HTTPConnection("127.0.0.1", server.port)
connection.request("GET", "/first", headers={"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"})
told = connection.getresponse().read().decode()
server.shutdown()
"""


@pytest.fixture
def python() -> str:
    """An interpreter with opentelemetry-distro, the OTLP/HTTP exporter, Flask, requests, and their instrumentations."""
    found = os.environ.get("TULLE_TEST_OPENTELEMETRY")
    if not found:
        pytest.skip("set TULLE_TEST_OPENTELEMETRY to a Python with OpenTelemetry's distro")
    return found


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    got: list[bytes] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", got
        server.shutdown()
        thread.join()


def variables(endpoint: str) -> dict[str, str]:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    given |= {"OTEL_SERVICE_NAME": "relay.default", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    return {**given, "TULLE_SHIM": "trace,spans"}


def test_one_that_has_all_packages_makes_spans_in_the_callers_trace(
    run: Run, python: str, collector: tuple[str, list[bytes]]
) -> None:
    endpoint, got = collector
    done = run(INSTRUMENTED + "print(told)", python=python, **variables(endpoint))
    trace, parent = done.stdout.strip().split("-")[1:3]
    assert trace == "1" * 32
    assert parent != "2" * 16
    exported = b"".join(got)
    assert b"relay.default" in exported
    assert exported.count(bytes.fromhex("1" * 32)) == 3  # one served, one called, one served again
    assert bytes.fromhex(parent) in exported


def test_one_that_configures_the_sdk_in_spite_of_the_packages_is_left_alone(
    run: Run, python: str, collector: tuple[str, list[bytes]]
) -> None:
    endpoint, got = collector
    configured = "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
    configured += "own = TracerProvider()\ntrace.set_tracer_provider(tracer_provider=own)\n"
    done = run(
        configured + INSTRUMENTED + "print(told or 'nothing', trace.get_tracer_provider() is own)",
        python=python,
        **variables(endpoint),
    )
    assert done.stdout == "nothing True\n"
    assert "Overriding" not in done.stderr
    assert got == []


CONFIGURED_LATE = """
import os
from opentelemetry import _logs, metrics, trace

tracer, counter = trace.get_tracer("own"), metrics.get_meter("own").create_counter("own")

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans, provider, reader, logs = InMemorySpanExporter(), TracerProvider(), InMemoryMetricReader(), LoggerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([reader]))
_logs.set_logger_provider(logs)
with tracer.start_as_current_span("a"):
    tracer.start_span("b").end()
counter.add(1)
print([span.name for span in spans.get_finished_spans()], reader.get_metrics_data() is not None)
print(_logs.get_logger_provider() is logs, os.environ["OTEL_METRICS_EXPORTER"], os.environ.get("OTEL_LOGS_EXPORTER"))
"""


def test_tracers_and_meters_from_before_are_those_of_what_the_program_configures(
    run: Run, python: str, collector: tuple[str, list[bytes]]
) -> None:
    endpoint, got = collector
    # Somebody who wants metrics as well.
    more = {**variables(endpoint), "OTEL_METRICS_EXPORTER": "otlp"}
    del more["OTEL_LOGS_EXPORTER"]
    done = run(CONFIGURED_LATE, python=python, **more)
    assert done.stdout == "['b', 'a'] True\nTrue otlp None\n"
    assert (done.stderr, got) == ("", [])


DJANGO = """
import os, sys
sys.modules["own_settings"] = settings = type(sys)("own_settings")
settings.__dict__.update(ROOT_URLCONF="own_urls", SECRET_KEY="s", ALLOWED_HOSTS=["*"], MIDDLEWARE=[], NAMED="by the program")
sys.modules["own_urls"] = urls = type(sys)("own_urls")
from django.core.wsgi import get_wsgi_application
os.environ["DJANGO_SETTINGS_MODULE"] = "own_settings"
from django.http import HttpResponse
from django.urls import path
urls.urlpatterns = [path("", lambda request: HttpResponse(request.META["HTTP_TRACEPARENT"]))]
from wsgiref.util import setup_testing_defaults
environ = {"HTTP_TRACEPARENT": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
setup_testing_defaults(environ)
answer = get_wsgi_application()(environ, lambda status, headers: print(status))
answer.close()
from django.conf import settings
print(settings.NAMED, os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"))
"""


def test_django_has_its_own_settings_and_makes_spans(run: Run, python: str, collector: tuple[str, list[bytes]]) -> None:
    endpoint, got = collector
    assert run(DJANGO, python=python, **variables(endpoint)).stdout == "200 OK\nby the program None\n"
    assert b"".join(got).count(bytes.fromhex("1" * 32)) == 1


def test_an_environment_without_the_packages_is_only_given_the_context(run: Run, tmp_path: Path) -> None:
    done = run("import sys; print('opentelemetry.sdk' in sys.modules)\n" + SERVED, TULLE_SHIM="trace,spans")
    assert done.stdout == "False\n00-1-2-01\n"


def test_of_the_environment_only_what_is_there_is_looked_at(tmp_path: Path, shim: Callable[[str], Any]) -> None:
    assert shim("spans")._is_there("json.decoder")
    assert not shim("spans")._is_there("json.nothing_of_the_kind")
    assert not shim("spans")._is_there("nothing_of_the_kind.json")
