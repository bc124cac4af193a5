"""`.env` files: NAME=VALUE lines with comments, quotes and an optional `export`, as most tools read them.

Nothing is substituted: `$` is a dollar sign.
"""

from __future__ import annotations

import re
from pathlib import Path

from tulle.cli.yaml_lines import Mistake

_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*=(.*)", re.DOTALL)
_QUOTED = re.compile(r"""\s*(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)')(?:\s+#.*|\s*)""", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_dotenv(path: Path, shown: str) -> tuple[dict[str, str], list[Mistake]]:
    """The variables of a file, and what is wrong with it. shown: its name in messages."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return {}, [Mistake(shown, 1, "", f"it can't be read: {error.strerror}")]
    except UnicodeDecodeError:
        return {}, [Mistake(shown, 1, "", "it can't be read: it is not UTF-8")]
    variables: dict[str, str] = {}
    mistakes = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line.strip())
        value = _value(match[2]) if match else None
        if match is None or value is None:
            mistakes.append(Mistake(shown, number, "", "write NAME=VALUE, NAME='VALUE' or NAME=\"VALUE\""))
        else:
            variables[match[1]] = value
    return variables, mistakes


def _value(text: str) -> str | None:
    if not text.lstrip().startswith(('"', "'")):
        return re.split(r"\s#", text, maxsplit=1)[0].strip()
    if (match := _QUOTED.fullmatch(text)) is None:
        return None
    if match["single"] is not None:
        return str(match["single"])
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), match["double"])
