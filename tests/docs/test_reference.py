"""The reference and the code say the same: commands, API, environment, state folder. data-plane.md has a file of its own."""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest
from starlette.routing import Route

from running import Mesh, wait_for
from tulle.agent import exits as agent_exits
from tulle.agent.capture.environment import program_environment
from tulle.agent.config import AgentConfig
from tulle.agent.ports import Ports
from tulle.api import access_views, call_views, explained_views, figure_views, identity_views, trace_views, views
from tulle.api.app import build_app
from tulle.api.doors import Doors
from tulle.api.roles import ROLES
from tulle.cli import exits
from tulle.cli.commands import COMMANDS, tulle
from tulle.cli.run import agent_config

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OPTION = re.compile(r"(?<![\w-])(?:--?[a-z][\w-]*|-[AH]\b)")


def page(name: str) -> str:
    return (DOCS / "reference" / f"{name}.md").read_text()


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.M | re.S)
    assert found, f"there is no section {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows, headers left out."""
    lines = re.findall(r"^\| (.*) \|$(?!\n\| ---)", text, re.M)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines if not line.startswith("---")]


def code(text: str) -> list[str]:
    """What is set as code: lines of blocks, and spans outside of them."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return [*spans, *(line for block in blocks for line in block.splitlines())]


def codes(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def command(name: str) -> click.Command:
    found = tulle.get_command(click.Context(tulle), name)
    assert found is not None
    return found


def beneath(name: str) -> dict[str, click.Command]:
    """A command, or those that it is a group of, by their words."""
    found = command(name)
    return (
        {f"{name} {word}": each for word, each in found.commands.items()}
        if isinstance(found, click.Group)
        else {name: found}
    )


def options_of(name: str) -> list[click.Option]:
    given = (parameter for each in beneath(name).values() for parameter in each.params)
    return [parameter for parameter in given if isinstance(parameter, click.Option)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_told_with_its_default_and_its_variable(name: str) -> None:
    text = section(page("commands"), f"tulle {name}")
    described = {option: row for row in rows(text) for option in OPTION.findall(row[0])}
    for option in options_of(name):
        row = described[option.opts[-1]]
        assert set(option.opts) <= set(OPTION.findall(row[0]))
        record = option.get_help_record(click.Context(command(name), info_name=name))
        assert record is not None
        help_text = record[1]
        for told in re.findall(r"default: (.*?)[;\]]", help_text) + re.findall(r"env var: (\w+)", help_text):
            assert told in " ".join(row).replace("`", ""), f"{option.opts}: {told}"
        if isinstance(option.type, click.Choice):
            assert set(option.type.choices) <= codes(row[1])


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_named_that_does_not_exist(name: str) -> None:
    known = {option for each in options_of(name) for option in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
    named = [option for text in code(section(page("commands"), f"tulle {name}")) for option in _own_options(text)]
    assert named and set(named) <= known


def _own_options(text: str) -> list[str]:
    """What follows ` -- ` is the program's."""
    return OPTION.findall(text.partition(" -- ")[0])


def test_no_page_names_an_option_that_no_command_has() -> None:
    each_option = [each for name in COMMANDS for each in options_of(name)]
    known = {option for each in each_option for option in (*each.opts, *each.secondary_opts)}
    known |= {"--help", "-h", "--version"}
    for path in [*DOCS.glob("reference/*.md"), *DOCS.glob("guides/*.md")]:
        others = ("curl ", "pip ", "shell$ ", "systemctl ", "journalctl ", "loginctl ", "systemd-analyze ")
        lines = [text for text in code(path.read_text()) if not text.startswith(others)]
        named = {option for text in lines for option in _own_options(text)}
        assert named <= known, path


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_told_with_its_arguments(name: str) -> None:
    text = page("commands")
    for words, each in beneath(name).items():
        pieces = each.collect_usage_pieces(click.Context(each, info_name=f"tulle {words}"))
        assert f"\ntulle {words} {' '.join(pieces)}\n" in section(text, f"tulle {name}")
    assert any(f"`tulle {name}`" in row[0] for row in rows(text))


def test_every_exit_code_is_told() -> None:
    told = {row[0] for row in rows(section(page("commands"), "Exit codes"))}
    known = [0, exits.FAILED, exits.USAGE, exits.UNREACHABLE]
    known += [agent_exits.AGENT_FAILED, agent_exits.NOT_EXECUTABLE, agent_exits.NOT_FOUND]
    assert told == {str(code) for code in known}


def examples() -> list[str]:
    texts = [path.read_text() for path in sorted(DOCS.rglob("*.md"))]
    lines = [
        line
        for text in texts
        for block in re.findall(r"^```\n(.*?)^```", text, re.M | re.S)
        for line in block.splitlines()
    ]
    return sorted({line for line in lines if re.match(r"tulle [a-z]+\b(?!( [a-z]+)? \[)", line)})


@pytest.mark.parametrize("line", examples())
def test_every_example_is_a_command_that_tulle_takes(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    if arguments and f"{name} {arguments[0]}" in COMMANDS:
        name = f"{name} {arguments.pop(0)}"
    context = command(name).make_context(name, arguments)
    if name == "run":
        assert agent_config(program=context.meta["program"], **context.params).command


def test_every_path_of_the_api_is_told() -> None:
    nothing: Any = SimpleNamespace(**dict.fromkeys(Doors.__annotations__))
    nothing.attestors, nothing.listening = {}, ()
    served = set()
    for route in build_app(nothing).routes:
        assert isinstance(route, Route)
        served |= {f"{method} {route.path}" for method in (route.methods or set()) - {"HEAD"}}
    assert set(re.findall(r"(?:GET|POST|DELETE|PUT) /(?:v1/|api/|metrics)[^`\s]*", page("api"))) == served
    table = [row for row in rows(page("api")) if re.match(r"`[A-Z]+ /", row[0])]
    assert {row[0].strip("`"): row[1] for row in table} == {way: role or "anybody" for way, role in ROLES.items()}


VIEWS = [
    view
    for module in (views, identity_views, access_views, explained_views, call_views, figure_views, trace_views)
    for view in vars(module).values()
    if isinstance(view, type) and view.__module__ == module.__name__
]


@pytest.mark.parametrize("view", VIEWS)
def test_every_field_that_the_api_shows_is_told(view: Any) -> None:
    told = rows(section(page("api"), view.__name__.removesuffix("View")))
    fields = [field for row in told for field in re.findall(r"`(\w+)`", row[0])]
    assert fields == list(view.__struct_encode_fields__)


def test_every_variable_is_told() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    read = set(re.findall(r"\bTULLE_[A-Z_]+", sources)) | set(re.findall(r"environ\.get\(\"(\w+)\"", sources))
    config = AgentConfig("service-b", "/state", ("true",), "service-b")
    ports = Ports(10000, 10001, 10002, 10003, ExitStack())
    given, captured = (program_environment({}, config, "service-b-3fa2c1", ports, m)[0] for m in ("proxy", "seccomp"))
    traced = program_environment(
        {}, replace(config, trace=True), "service-b-3fa2c1", ports, "none", spans="http://agent"
    )[0]
    read |= set(captured) | set(traced) | set(re.findall(r"GRPC_DNS_RESOLVER|SPIFFE_ENDPOINT_SOCKET", sources))
    told = {name for row in rows(page("environment")) for name in codes(row[0])}
    assert told - {"PATH"} == read | set(given)
    assert given["no_proxy"] in page("environment")


def test_every_file_of_the_state_folder_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Mesh(tmp_path_factory.mktemp("s")) as mesh:  # a short name, for the sockets in it
        mesh.up()
        mesh.serve("service-b", "b1", options=("--workload-api",))
        proxy = mesh.proxies()[0]["id"]
        mesh.tulle("user", "create", "vera", "--role", "viewer")
        wait_for("it is noted", lambda: (mesh.data / "audit.log").exists())
        there = {str(path.relative_to(mesh.data)) for path in mesh.data.rglob("*") if not path.is_dir()}
        there = {re.sub(r"^ca/[0-9a-f]{32}\.pem$", "ca/ID.pem", path) for path in there}
    told = {name for row in rows(page("state")) for name in codes(row[0])}
    assert told == {name.replace(proxy, "ID") for name in there if not name.rpartition("/")[2].startswith(".")}


def test_the_pages_lead_to_sections_that_are_there() -> None:
    for path in DOCS.rglob("*.md"):
        for target, anchor in re.findall(r"\]\(([\w./-]*\.md)?#([\w-]+)\)", path.read_text()):
            text = (path.parent / cast("str", target) if target else path).read_text()
            anchors = {
                re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)
            }
            assert anchor in anchors, f"{path}: {target}#{anchor}"
