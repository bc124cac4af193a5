"""`tulle bundle`: ready configuration for those that gather figures and traces."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import click

from tulle.api.views import StatusView
from tulle.cli import options
from tulle.cli.bundles import grafana, otel, prometheus
from tulle.cli.client import ControlPlane
from tulle.cli.exits import Failed, Mistakes
from tulle.cli.printing import printable
from tulle.model.addresses import LOOPBACK

_NEXT = {
    "prometheus": "prometheus --config.file={folder}/prometheus.yml",
    "grafana": "GF_PATHS_PROVISIONING={folder}/provisioning grafana server, with a viewer's token in TULLE_API",
    "otel": "OTEL_EXPORTER_OTLP_ENDPOINT=URL otelcol-contrib --config={folder}/collector.yaml",
}


@click.command("bundle")
@click.argument("what", type=click.Choice(["prometheus", "grafana", "otel"]))
@click.option(
    "-o",
    "--output-dir",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write; made if it is not there.  [default: the name of the bundle]",
)
@click.option(
    "--prometheus",
    "prometheus_url",
    metavar="URL",
    default="http://127.0.0.1:9090",
    show_default=True,
    help="With grafana: where Prometheus is.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@options.data
def command(what: str, folder: Path | None, prometheus_url: str, force: bool, data: Path) -> None:
    """Write files for Prometheus, Grafana or OpenTelemetry.

    \b
    prometheus  whom to scrape, recording and alert rules
    grafana     data sources, and dashboards of the mesh, a service, a workload and the control plane
    otel        a collector that takes traces by OTLP, scrapes figures, and sends both on

    They find the mesh by the control plane's dashboard port, so that must be running, and on the same machine.

    \b
    Examples:
      tulle bundle prometheus
      tulle bundle grafana -o ./grafana --prometheus http://127.0.0.1:9090
    """
    if not is_url(prometheus_url):
        raise Mistakes([f"--prometheus {printable(prometheus_url)!r} is no URL, as http://127.0.0.1:9090"])
    status = ControlPlane(data).get("/v1/status", StatusView)
    if status.web_port is None:
        raise Failed("the control plane has no port that Prometheus could come to: it was started with --web-port off")
    folder = (folder or Path(what)).absolute()
    address = f"{LOOPBACK}:{status.web_port}"
    made = {
        "prometheus": lambda: prometheus.files(address),
        "grafana": lambda: grafana.files(address, prometheus_url, str(folder)),
        "otel": lambda: otel.files(address),
    }[what]()
    _write(folder, made, force)
    for name in made:
        click.echo(str(folder / name))
    click.echo(f"next: {_NEXT[what].format(folder=shlex.quote(str(folder)))}", err=True)


def is_url(text: str) -> bool:
    """Of HTTP."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and text.isprintable()
            and " " not in text
        )
    except ValueError:
        return False


def _write(folder: Path, files: Mapping[str, str], force: bool) -> None:
    """All, or nothing if one is there already. Raises Failed."""
    there = [name for name in files if (folder / name).exists()]
    if there and not force:
        raise Failed(f"{folder / there[0]} is there already, and nothing was written; --force overwrites")
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise Failed(f"can't write to {error.filename or folder}: {error.strerror or error}") from error
