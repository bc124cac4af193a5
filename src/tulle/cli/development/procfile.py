"""Reads a Procfile into a plan: lines of `NAME: COMMAND`, each for sh, as foreman and Heroku have them.

Every program finds `$PORT`, as always under tulle. An `.env` beside it holds for all.
"""

from __future__ import annotations

import re
from pathlib import Path

from tulle.cli.development.dotenv import read_dotenv
from tulle.cli.development.plan import DEFAULT_IGNORE, Plan, Service
from tulle.cli.development.run_options import mistakes_in
from tulle.cli.yaml_lines import Mistake, Mistakes

_LINE = re.compile(r"\s*([^\s:#][^\s:]*)\s*:\s*(.*?)\s*")


def read_procfile(file: Path, text: str, shown: str) -> tuple[Plan, list[Mistake]]:
    """The plan, which is good only if there are no mistakes. shown: the file's name in messages."""
    mistakes = Mistakes(shown)
    environment: dict[str, str] = {}
    beside = file.parent / ".env"
    if beside.is_file():
        environment, elsewhere = read_dotenv(beside, ".env")
        mistakes.found += elsewhere
    commands = _commands(text, mistakes)
    services = tuple(_service(name, command, file.parent, environment) for name, command in commands.items())
    if not services and not mistakes.found:
        mistakes.note(1, "", "there is no line NAME: COMMAND in it")
    read = (file, beside) if beside.is_file() else (file,)
    return Plan(file, services, read), sorted(mistakes.found)


def _commands(text: str, mistakes: Mistakes) -> dict[str, str]:
    commands: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None or not match[2]:
            mistakes.note(number, "", "write NAME: COMMAND, such as web: python b.py")
            continue
        name, command = match[1], match[2]
        for mistake in mistakes_in((), name):
            mistakes.note(number, name, mistake)
        if name in commands:
            mistakes.note(number, name, "it is given twice")
        commands[name] = command
    return commands


def _service(name: str, command: str, folder: Path, environment: dict[str, str]) -> Service:
    return Service(
        name=name,
        namespace="default",
        command=("sh", "-c", command),
        folder=folder,
        environment=environment,
        options=(),
        replicas=1,
        restart=None,
        must_listen=name == "web",
        watch=(folder,),
        ignore=DEFAULT_IGNORE,
        depends_on=(),
    )
