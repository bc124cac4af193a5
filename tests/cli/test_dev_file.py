"""What `tulle dev` makes of a file: a plan, or all mistakes at once, each with its place and its fix."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tulle.cli.development.dotenv import read_dotenv
from tulle.cli.development.plan import Plan, Service, cycles
from tulle.cli.development.procfile import read_procfile
from tulle.cli.development.tulle_yaml import FIELDS, read_tulle_yaml
from tulle.cli.yaml_lines import Mistakes, document

CASES = Path(__file__).with_name("dev")
HERE = Path(__file__).parent.resolve()


def plan(text: str, folder: Path = HERE) -> Plan:
    found, mistakes = read_tulle_yaml(folder / "tulle.yaml", text, "tulle.yaml")
    assert mistakes == []
    return found


def mistakes(text: str, folder: Path = HERE) -> list[str]:
    return [str(mistake) for mistake in read_tulle_yaml(folder / "tulle.yaml", text, "tulle.yaml")[1]]


def one(text: str, folder: Path = HERE) -> Service:
    [service] = plan(text, folder).services
    return service


def test_a_command_is_all_that_a_service_needs() -> None:
    service = one("services: {b: {command: python b.py 'x y'}}")
    assert (service.command, service.folder, service.watch) == (("python", "b.py", "x y"), HERE, (HERE,))
    assert (service.options, service.replicas, service.restart, service.must_listen) == ((), 1, None, False)


def test_every_field_reaches_the_plan(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "lib").mkdir()
    (tmp_path / ".env").write_text("FROM_FILE=1\nBOTH=file\n")
    text = """
        env: {LOG_LEVEL: info, BOTH: all}
        services:
          db: {command: [redis-server, --port, 6379]}
          service-b:
            command: echo $HOME | cat
            shell: true
            folder: b
            env: {DEBUG: 1, on: yes, OCTAL: 0755}
            env_file: .env
            port: [8080, grpc-api:9000]
            health: /healthz
            replicas: 2
            version: v2
            namespace: shop
            service_account: backend
            labels: {tier: back, example.com/team: a}
            weight: 3
            locality: eu/berlin/rack-1
            drain: 5s
            grace: 500ms
            metrics: off
            scrape: 9102/metrics
            restart: always
            watch: [., ../lib]
            ignore: "*.txt"
            depends_on: db
    """
    db, b = plan(text, tmp_path).services
    assert db.command == ("redis-server", "--port", "6379")
    assert b.command == ("sh", "-c", "echo $HOME | cat")
    assert (b.folder, b.watch) == (tmp_path / "b", (tmp_path / "b", tmp_path / "lib"))
    assert b.environment == {
        "LOG_LEVEL": "info", "BOTH": "file", "FROM_FILE": "1", "DEBUG": "1", "on": "yes", "OCTAL": "0755",
    }  # fmt: skip
    assert " ".join(b.options) == (
        "--port 8080 --port grpc-api:9000 --label tier=back --label example.com/team=a --namespace shop "
        "--service-account backend --version v2 --locality eu/berlin/rack-1 --health /healthz --drain 5s --grace 500ms "
        "--metrics off --scrape 9102/metrics --weight 3"
    )
    assert (b.replicas, b.restart, b.must_listen, b.depends_on) == (2, "always", True, ("db",))
    assert "*.txt" in b.ignore and "*.log" in b.ignore


def test_a_weight_is_a_whole_number_and_a_locality_has_three_parts_at_most() -> None:
    assert "services.b.weight: " in mistakes("services: {b: {command: x, weight: 0}}")[0]
    assert "services.b.weight: " in mistakes("services: {b: {command: x, weight: heavy}}")[0]
    assert "services.b.locality: " in mistakes("services: {b: {command: x, locality: a/b/c/d}}")[0]


def test_capture_is_passed_on_only_when_given() -> None:
    assert one("services: {b: {command: x, capture: none}}").options == ("--capture", "none")
    assert "services.b.capture: 'psychic' is not one of" in mistakes("services: {b: {command: x, capture: psychic}}")[0]


def test_services_come_after_what_they_need_else_as_they_are_written() -> None:
    text = "services: {a: {command: x, depends_on: [d, c]}, b: {command: x}, c: {command: x}, d: {command: x}}"
    assert [service.name for service in plan(text).services] == ["b", "c", "d", "a"]
    assert [service.name for service in plan(text).only(["a"]).services] == ["c", "d", "a"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "tulle.yaml:1: the file is empty"),
        ("# nothing", "tulle.yaml:1: the file is empty"),
        ("a: [", "tulle.yaml:1: this is no YAML: while parsing a flow node did not find expected node content"),
        ("a: b: c", "tulle.yaml:1: this is no YAML: mapping values are not allowed in this context"),
        ("a:\n\x01", "tulle.yaml:2: this is no YAML: the character '\\x01' is not allowed"),
        ("- x", "tulle.yaml:1: write a mapping, NAME: VALUE; here is a list"),
        ("env: {}", "tulle.yaml:1: it has no `services`, each with its `command`"),
        ("services:", "tulle.yaml:1: services: write a mapping, NAME: VALUE; here is nothing"),
        ("services: {}", "tulle.yaml:1: services: there is no service in it"),
        ("services: {a: {command: x}}\nservice: {}", "tulle.yaml:2: service: there is no such field; did you mean services?"),
        ("services: {-x: {command: x}}", "service name '-x' is no DNS label"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_told_with_its_line(text: str, told: str) -> None:
    [mistake] = mistakes(text)
    assert told in mistake


def test_all_mistakes_are_told_at_once(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    for name in ("mistakes.yaml", "mistakes.env"):
        shutil.copy(CASES / name, tmp_path)
    text = (tmp_path / "mistakes.yaml").read_text()
    found = [str(each) for each in read_tulle_yaml(tmp_path / "mistakes.yaml", text, "mistakes.yaml")[1]]
    told = "".join(f"{line}\n" for line in found).replace(str(tmp_path), "FOLDER")
    golden = CASES / "mistakes.txt"
    if pytestconfig.getoption("--update-golden"):
        golden.write_text(told)
    assert told == golden.read_text()


def test_plain_words_mean_what_yaml_1_2_says() -> None:
    text = "{a: yes, b: on, c: 0o17, d: 0x1F, e: 017, f: true, g: ~, h: 1e3, i: '1', j: 12:30}"
    root = document(text, Mistakes("x"))
    assert root is not None
    tags = {name: value.node.tag.rpartition(":")[2] for name, value in root.entries().items()}
    assert list(tags.values()) == ["str", "str", "int", "int", "int", "bool", "null", "float", "str", "str"]
    assert [root.entries()[name].integer(0, 100) for name in "cde"] == [15, 31, 17]


def test_circles_are_found_wherever_they_are() -> None:
    assert cycles({"a": ["b"], "b": ["c"], "c": ["b"], "d": ["d"]}) == [("b", "c"), ("d",)]
    assert cycles({"a": ["b", "c"], "b": ["c"], "c": []}) == []


@settings(deadline=None)
@given(st.text(alphabet="services: {a,b}[]command-&*!\n\"'#|>\t\0"))
def test_no_text_whatever_makes_the_reader_fail_otherwise(text: str) -> None:
    found, wrong = read_tulle_yaml(HERE / "tulle.yaml", text, "tulle.yaml")
    assert wrong or found.services


@settings(deadline=None)
@given(st.sampled_from(list(FIELDS)), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_no_value_whatever_of_any_field_makes_it_fail_otherwise(field: str, value: Any) -> None:
    text = yaml.safe_dump({"services": {"a": {"command": "x", field: value}}})
    read_tulle_yaml(HERE / "tulle.yaml", text, "tulle.yaml")


@pytest.mark.parametrize(
    "fields",
    [
        'folder: "~nobody-of-that-name"', 'folder: "a\\0b"', 'env: {A: "\\0"}', 'command: ["a\\0"]', f"replicas: {'9' * 5000}",
        "watch: ~nobody-of-that-name", "replicas: {a: b}", "? [a, b]\n    : c", "<<: {command: x}",
    ],
)  # fmt: skip
def test_nasty_values_are_mistakes_like_others(fields: str) -> None:
    assert mistakes(f"services:\n  a:\n    {fields}\n")


DOTENV = r"""# comment

A=1
export B = two words # comment
C=#fff
D=
E='it''s'
F="a\nb\"" # x
G='$H #'
I=it's
9=x
J="
"""


def test_dotenv_lines(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(DOTENV)
    variables, wrong = read_dotenv(file, ".env")
    assert variables == {"A": "1", "B": "two words", "C": "#fff", "D": "", "F": 'a\nb"', "G": "$H #", "I": "it's"}
    assert [mistake.line for mistake in wrong] == [7, 11, 12]


def test_a_procfile_is_lines_of_names_and_commands(tmp_path: Path) -> None:
    text = "# comment\nweb: python b.py --port $PORT\n\n worker:exec celery -A app worker # all\n"
    (tmp_path / ".env").write_text("A=1\n")
    found, wrong = read_procfile(tmp_path / "Procfile", text, "Procfile")
    assert wrong == []
    web, worker = found.services
    assert (web.name, web.command, web.must_listen) == ("web", ("sh", "-c", "python b.py --port $PORT"), True)
    assert (worker.name, worker.command[2], worker.must_listen) == ("worker", "exec celery -A app worker # all", False)
    assert web.environment == {"A": "1"}


def test_a_procfiles_mistakes_are_told(tmp_path: Path) -> None:
    text = "web python\nmy_web: x\nb:\na: x\na: y\n"
    told = [str(mistake) for mistake in read_procfile(tmp_path / "Procfile", text, "Procfile")[1]]
    assert [line.partition(" write")[0][:40] for line in told] == [
        "Procfile:1:",
        "Procfile:2: my_web: service name 'my_web",
        "Procfile:3:",
        "Procfile:5: a: it is given twice",
    ]
    [empty] = read_procfile(tmp_path / "Procfile", "# nothing\n", "Procfile")[1]
    assert "there is no line NAME: COMMAND" in str(empty)
