"""Expressions in CEL, as filters of access logs and values of labels have them: whether Envoy takes one, without asking it.

Checked: the syntax, all of it; the functions, of which Envoy's CEL has few, and how many arguments they take; regular expressions
that are written out; the names with which attributes begin, and those of requests and responses. Not checked: types, and what
else comes after the first name. What is wrong there has no value, and a filter then is not true.
Source: CEL, language definition, "Syntax"; Envoy 1.40, "Attributes" (extensions/filters/common/expr/context.h).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

import re2

from tulle.sources.at import At

_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*)
    |(?P<text>[bBrR]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_RELATIONS = frozenset(("==", "!=", "<", "<=", ">", ">=", "in"))
_RESERVED = frozenset(
    (
        *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "package", "return", "var", "void", "while"),
    )
)
_TIMES = ("Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "FullYear", "Hours", "Milliseconds", "Minutes", "Month")
_ON_TEXTS = ("matches", "contains", "startsWith", "endsWith")
_CONVERSIONS = ("int", "uint", "double", "bytes", "bool", "dyn", "type", "timestamp", "duration", "has")
# Whether it is written after a value and a dot, and how many arguments stand in its parentheses.
_FORMS = {
    "size": ((True, 0), (False, 1)),
    **dict.fromkeys(_ON_TEXTS, ((True, 1), (False, 2))),
    **dict.fromkeys(_CONVERSIONS, ((False, 1),)),
    **dict.fromkeys((f"get{part}" for part in (*_TIMES, "Seconds")), ((True, 0), (True, 1))),
}
ROOTS = frozenset(
    (
        *("connection", "destination", "filter_state", "metadata", "request", "response", "source"),
        *("upstream", "upstream_filter_state", "xds"),
    )
)
_OF_BOTH = ("headers", "headers_bytes", "size", "total_size")
_PARTS = {
    "request": frozenset(
        (
            *("duration", "host", "id", "method", "path", "protocol", "query", "referer", "scheme", "time", "url_path"),
            *("useragent", *_OF_BOTH),
        )
    ),
    "response": frozenset(("backend_latency", "code", "code_details", "flags", "grpc_status", "trailers", *_OF_BOTH)),
}
_TYPES = frozenset(("int", "uint", "double", "string", "bytes", "bool", "list", "map", "null_type", "type"))
_ESCAPE = re.compile(
    r"""\\(?:[abfnrtv\\?"'`]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|(.|$))""", re.DOTALL
)
_LARGEST = {"": 2**63, "u": 2**64 - 1}
_RE2 = re2.Options()
_RE2.log_errors = False
_MOST_STEPS = 100  # of a compiled regular expression: Envoy's bound
_MOST_CHARACTERS = 4096
_DEEPEST = 32


def check(expression: str, at: At) -> None:
    """at: of the expression."""
    if len(expression) > _MOST_CHARACTERS:
        at.unsupported(f"has {len(expression)} characters: {_MOST_CHARACTERS} at most")
        return
    try:
        read = _Reader(expression)
    except _Wrong as wrong:
        at.error(f"is no expression of CEL: {wrong}; write it like `response.code >= 400`")
        return
    for name, after_value, count in sorted(read.functions):
        if name not in _FORMS:
            at.unsupported(f"Envoy's CEL has no function `{name}`; it has {', '.join(sorted(_FORMS))}")
        elif (after_value, count) not in _FORMS[name]:
            at.unsupported(f"`{name}` is not written so in Envoy's CEL, with {count} arguments")
    for pattern in sorted(read.patterns):
        if problem := _problem_of(pattern):
            at.unsupported(f"{pattern!r} is no regular expression that Envoy takes here: {problem}")
    for name in sorted(read.roots - ROOTS - _TYPES):
        at.unsupported(f"there is no attribute `{name}`, so it has no value; attributes begin with one of {_listed()}")
    for root, part in sorted(read.parts):
        if part not in _PARTS.get(root, (part,)):
            known = sorted(_PARTS[root])
            near = get_close_matches(part, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known)}"
            at.unsupported(f"there is no attribute `{root}.{part}`, so it has no value; {hint}")


def _problem_of(pattern: str) -> str:
    try:
        steps = re2.compile(pattern, _RE2).programsize
    except re2.error as error:
        return error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
    return f"it is too large, {steps} steps, where {_MOST_STEPS} are allowed" if steps > _MOST_STEPS else ""


def _listed() -> str:
    return ", ".join(sorted(ROOTS))


class _Wrong(ValueError):
    pass


class _Reader:
    """Reads an expression by CEL's grammar, one method a rule, and notes what it names. Raises _Wrong."""

    def __init__(self, expression: str) -> None:
        self.functions: set[tuple[str, bool, int]] = set()
        self.patterns: set[str] = set()
        self.roots: set[str] = set()
        self.parts: set[tuple[str, str]] = set()  # a root, and the name after it
        self._tokens = list(_tokens(expression))
        self._at = 0
        self._depth = 0
        self._expression()
        if self._next[1]:
            raise _Wrong(f"`{self._next[1]}` can't stand there")

    @property
    def _next(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _takes(self, *signs: str) -> bool:
        """Whether one of these comes, which is then taken."""
        found = self._next[0] != "text" and self._next[1] in signs
        self._at += found
        return found

    def _must(self, sign: str) -> None:
        if not self._takes(sign):
            raise _Wrong(f"a `{sign}` is missing{self._before()}")

    def _before(self) -> str:
        return f" before `{self._next[1]}`" if self._next[1] else " at its end"

    def _expression(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Wrong(f"its parts are more than {_DEEPEST} deep in each other")
        self._or()
        if self._takes("?"):
            self._or()
            self._must(":")
            self._expression()
        self._depth -= 1

    def _or(self) -> None:
        self._operand()
        while self._takes("&&", "||", "+", "-", "*", "/", "%", *_RELATIONS):
            self._operand()

    def _operand(self) -> None:
        """Which of the operators binds more makes no difference to whether all is right."""
        while self._takes("!", "-"):
            pass
        root = self._primary()
        while True:
            if self._takes("."):
                kind, name = self._taken("a name")
                if kind != "name" or name == "in":
                    raise _Wrong(f"`{name}` is no name")
                if self._takes("("):
                    self._call(name, after_value=True)
                else:
                    self.parts.add((root, name))
            elif self._takes("["):
                self._expression()
                self._must("]")
            else:
                break
            root = ""

    def _primary(self) -> str:
        """The attribute's first name, if it is one."""
        if self._takes("("):
            self._expression()
            self._must(")")
        elif self._takes("["):
            self._list("]")
        elif self._takes("{"):
            self._list("}", pairs=True)
        else:
            self._takes(".")
            kind, text = self._taken("a value")
            if kind == "sign":
                raise _Wrong(f"a value is missing before `{text}`")
            if kind == "name" and text in _RESERVED:
                raise _Wrong(f"`{text}` is a word of CEL's own")
            if kind == "name" and self._takes("("):
                self._call(text, after_value=False)
            elif kind == "name" and text not in ("true", "false", "null"):
                self.roots.add(text)
                return text
        return ""

    def _call(self, name: str, *, after_value: bool) -> None:
        begin = self._at
        count = self._list(")")
        written = self._tokens[begin : self._at - 1]
        self.functions.add((name, after_value, count))
        if (
            name == "has"
            and not after_value
            and (len(written) < 3 or written[-2][1] != "." or written[-1][0] != "name")
        ):
            raise _Wrong("`has` is asked of a field, as in `has(request.host)`")
        if name == "matches" and after_value and len(written) == 1 and written[0][0] == "text":
            text = written[0][1]
            raw = text[: text.index(text[-1])].lower()
            if "\\" not in text or "r" in raw:
                self.patterns.add(text[len(raw) :].strip(text[-1]))

    def _list(self, end: str, *, pairs: bool = False) -> int:
        """How many there are."""
        count = 0
        while not self._takes(end):
            self._expression()
            count += 1
            if pairs:
                self._must(":")
                self._expression()
            if not self._takes(","):
                self._must(end)
                break
        return count

    def _taken(self, what: str) -> tuple[str, str]:
        found = self._next
        if not found[1]:
            raise _Wrong(f"{what} is missing at its end")
        self._at += 1
        return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each; the last is empty."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _Wrong(f"`{text[at : at + 20]}` is nothing that it has")
        kind, found = str(match.lastgroup), match[0]
        if kind == "text":
            _check_escapes(found)
        elif (
            kind == "number"
            and found.rstrip("uU").isdigit()
            and int(found.rstrip("uU")) > _LARGEST[found[-1:].lower().strip("0123456789")]
        ):
            raise _Wrong(f"{found} is too large a number")
        if kind != "blank":
            yield kind, found
        at = match.end()
    yield "end", ""


def _check_escapes(text: str) -> None:
    kind = text[: text.index(text[-1])].lower()
    for escape in _ESCAPE.finditer("" if "r" in kind else text):
        if escape[1] is not None or ("b" in kind and escape[0][1] in "uU"):
            raise _Wrong(f"`{escape[0]}` is no escape")
