"""Reads a tulle.yaml into a plan: START HERE. Everything is checked before anything starts, all mistakes at once.

What `tulle run` checks is left to it (run_options.py), and where a value stands to yaml_lines.py.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tulle.agent.restarts import POLICIES
from tulle.api.registration import MOST_WEIGHT
from tulle.cli.development.dotenv import read_dotenv
from tulle.cli.development.plan import DEFAULT_IGNORE, Plan, Service, cycles, in_order
from tulle.cli.development.run_options import mistakes_in
from tulle.cli.yaml_lines import Mistake, Mistakes, Value, document, nearest

MOST_REPLICAS = 100

# A service's fields that are options of `tulle run` of the same meaning.
_OPTIONS = {
    "namespace": "--namespace",
    "service_account": "--service-account",
    "version": "--version",
    "locality": "--locality",
    "health": "--health",
    "capture": "--capture",
    "drain": "--drain",
    "grace": "--grace",
    "metrics": "--metrics",
    "scrape": "--scrape",
}

TOP_FIELDS = ("env", "services")


def read_tulle_yaml(file: Path, text: str, shown: str) -> tuple[Plan, list[Mistake]]:
    """The plan, which is good only if there are no mistakes. shown: the file's name in messages."""
    mistakes = Mistakes(shown)
    reader = _Reader(file, mistakes)
    root = document(text, mistakes)
    services = reader.services(root) if root else ()
    plan = Plan(file, services, (file, *dict.fromkeys(reader.read)))
    return plan, sorted({*mistakes.found, *reader.elsewhere})


class _Reader:
    """read: the files that were read beside. elsewhere: what is wrong with those."""

    def __init__(self, file: Path, mistakes: Mistakes) -> None:
        self._base = file.parent
        self._mistakes = mistakes
        self._env: dict[str, str] = {}
        self.read: list[Path] = []
        self.elsewhere: list[Mistake] = []

    def services(self, root: Value) -> tuple[Service, ...]:
        top = root.fields(TOP_FIELDS)
        self._env = _environment(top.get("env"))
        if "services" not in top:
            if root.is_mapping:
                root.wrong("it has no `services`, each with its `command`")
            return ()
        values = top["services"].entries()
        if not values and top["services"].is_mapping:
            top["services"].wrong("there is no service in it")
        services = [self._service(name, value) for name, value in values.items()]
        if not self._depend(services, values):
            return ()
        return in_order(services)

    def _service(self, name: str, value: Value) -> Service:
        _take(value, mistakes_in((), name))
        fields = value.fields(FIELDS)
        if "command" not in fields and value.is_mapping:
            value.wrong('it has no `command`, such as `command: python b.py` or `command: ["python", "b.py"]`')
        read: dict[str, Any] = {field: FIELDS[field](self, each) for field, each in fields.items()}
        folder: Path = read.get("folder") or self._base
        ports: list[str] = read.get("port") or []
        options = [part for port in ports for part in ("--port", port)]
        options += [part for key, text in (read.get("labels") or {}).items() for part in ("--label", f"{key}={text}")]
        options += [part for field, option in _OPTIONS.items() if read.get(field) for part in (option, read[field])]
        options += ["--weight", str(read["weight"])] if read.get("weight") else []
        restart: str | None = read.get("restart")
        return Service(
            name=name,
            namespace=read.get("namespace") or "default",
            command=_command(fields["command"], bool(read.get("shell"))) if "command" in fields else (),
            folder=folder,
            environment={**self._env, **(read.get("env_file") or {}), **(read.get("env") or {})},
            options=tuple(options),
            replicas=read.get("replicas") or 1,
            restart=restart,
            must_listen=bool(ports) or bool(read.get("health")),
            watch=tuple(self._watched(fields["watch"], folder)) if "watch" in fields else (folder,),
            ignore=(*DEFAULT_IGNORE, *(read.get("ignore") or ())),
            depends_on=tuple(dict.fromkeys(read.get("depends_on") or ())),
            trace=read.get("trace") is not False,
        )

    def option(self, value: Value) -> str | None:
        """A field that is an option of `tulle run`."""
        option = _OPTIONS[value.at.rpartition(".")[2]]
        text = value.text()
        return text if text is not None and _take(value, mistakes_in([option, text])) else None

    def restart(self, value: Value) -> str | None:
        text = value.text()
        if text is not None and text not in POLICIES:
            value.wrong(f"write {', '.join(POLICIES[:-1])} or {POLICIES[-1]}, not {text}")
            return None
        return text

    def ports(self, value: Value) -> list[str]:
        texts: list[str] = []
        for item in value.items():
            if (text := item.text()) is not None and _take(item, mistakes_in(["--port", text])):
                texts.append(text)
        _take(value, mistakes_in([part for text in texts for part in ("--port", text)]))
        return texts

    def labels(self, value: Value) -> dict[str, str]:
        labels = {}
        for key, item in value.entries().items():
            if "=" in key:
                item.wrong("a label's name has no =")
            elif (text := item.text()) is not None and _take(item, mistakes_in(["--label", f"{key}={text}"])):
                labels[key] = text
        return labels

    def folder(self, value: Value) -> Path | None:
        if (text := value.text()) is None:
            return None
        folder = _below(self._base, text)
        if not folder.is_dir():
            value.wrong(f"there is no folder {text} beside {self._mistakes.file}")
            return None
        return folder.resolve()

    def env_file(self, value: Value) -> dict[str, str]:
        variables: dict[str, str] = {}
        for item in value.items():
            if (text := item.text()) is None:
                continue
            path = _below(self._base, text)
            if not path.is_file():
                item.wrong(f"there is no file {text} beside {self._mistakes.file}")
                continue
            found, mistakes = read_dotenv(path, text)
            variables |= found
            self.read.append(path.resolve())
            self.elsewhere += mistakes
        return variables

    def env(self, value: Value) -> dict[str, str]:
        return _environment(value)

    def texts(self, value: Value) -> list[str]:
        return [text for item in value.items() if (text := item.text()) is not None]

    def replicas(self, value: Value) -> int | None:
        return value.integer(1, MOST_REPLICAS)

    def weight(self, value: Value) -> int | None:
        return value.integer(1, MOST_WEIGHT)

    def boolean(self, value: Value) -> bool | None:
        return value.boolean()

    def later(self, value: Value) -> None:
        """It needs another field, and is read when that is known."""

    def _watched(self, value: Value, folder: Path) -> Iterable[Path]:
        for item in value.items():
            if (text := item.text()) is None:
                continue
            path = _below(folder, text)
            if path.exists():
                yield path.resolve()
            else:
                item.wrong(f"there is no {text} in {folder}")

    def _depend(self, services: list[Service], values: dict[str, Value]) -> bool:
        """Whether what they depend on is there, and in no circle."""
        before = len(self._mistakes.found)
        known = {service.name for service in services}
        for service in services:
            for name in service.depends_on:
                if name not in known:
                    field = values[service.name].entries()["depends_on"]
                    field.wrong(f"there is no service {name}; {nearest(name, known)}")
        for circle in cycles({service.name: service.depends_on for service in services}):
            field = values[circle[0]].entries()["depends_on"]
            field.wrong(f"{' needs '.join([*circle, circle[0]])}: leave one of them out")
        return len(self._mistakes.found) == before


FIELDS: dict[str, Callable[[_Reader, Value], object]] = {
    "command": _Reader.later,
    "shell": _Reader.boolean,
    "folder": _Reader.folder,
    "env": _Reader.env,
    "env_file": _Reader.env_file,
    "port": _Reader.ports,
    "health": _Reader.option,
    "replicas": _Reader.replicas,
    "depends_on": _Reader.texts,
    "watch": _Reader.later,
    "ignore": _Reader.texts,
    "restart": _Reader.restart,
    "capture": _Reader.option,
    "drain": _Reader.option,
    "grace": _Reader.option,
    "namespace": _Reader.option,
    "service_account": _Reader.option,
    "version": _Reader.option,
    "labels": _Reader.labels,
    "weight": _Reader.weight,
    "locality": _Reader.option,
    "trace": _Reader.boolean,
    "metrics": _Reader.option,
    "scrape": _Reader.option,
}


def _below(folder: Path, text: str) -> Path:
    return folder / os.path.expanduser(text)  # noqa: PTH111  pathlib's own fails where there is no such user


def _environment(value: Value | None) -> dict[str, str]:
    environment: dict[str, str] = {}
    for name, item in value.entries().items() if value else ():
        text = item.text()
        if not name or "=" in name or "\0" in name:
            item.wrong("a variable's name is not empty and has no =")
        elif text is not None:
            environment[name] = text
    return environment


def _command(value: Value, shell: bool) -> tuple[str, ...]:
    """What to run; nothing if that is not clear, which is noted."""
    if value.is_list:
        words = [text for item in value.items() if (text := item.text()) is not None]
        if shell:
            value.wrong("with `shell: true` it is a text, for sh")
        elif not words:
            value.wrong("it is empty: write what to run, such as python b.py")
        return tuple(words)
    if (text := value.text()) is None:
        return ()
    try:
        words = ["sh", "-c", text] if shell and text.strip() else shlex.split(text)
    except ValueError as error:
        value.wrong(f"{str(error).lower()}: {text}")
        return ()
    if not words:
        value.wrong("it is empty: write what to run, such as python b.py")
    return tuple(words)


def _take(value: Value, mistakes: Iterable[str]) -> bool:
    """Notes them; whether there are none."""
    good = True
    for mistake in mistakes:
        value.wrong(mistake)
        good = False
    return good
