"""Reads a schema file: the declaration of a model's features and levels in YAML, with line numbers.

The file is read by the core schema of YAML 1.2, in which only true and false are booleans and 010
is ten: PyYAML's own rules are those of YAML 1.1, which take the category ``No`` for false.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, Final

import yaml

from riskpredictor_server.model.declaration import Path, SchemaError, place, read_schema
from riskpredictor_server.model.schema import Schema

_MOST_BYTES: Final = 1 << 20
_MEMBERS: Final = ("title", "levels", "features")
_QUOTED: Final = "%@`"
"""Characters that cannot begin a plain text in YAML."""
_INT, _FLOAT, _BOOL, _NULL = (
    f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null")
)


class SchemaFileError(ValueError):
    """The file declares no schema; the message has a line per fault, with file, line and field."""


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by the core schema of YAML 1.2.2, section 10.3.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    (_BOOL, r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_INT, r"[-+]?[0-9]+", "-+0123456789"),
    (
        _FLOAT,
        (
            r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
        ),
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def read_schema_file(path: FilePath) -> Schema:
    """Read and check the file; raises SchemaFileError with every fault."""
    node = _compose(path, _read(path))
    nodes = dict(_walk(node))
    faults = _duplicates(node)
    document = _value(node)
    if isinstance(document, dict):
        faults += [
            ((str(name),), f"unknown; a schema file has {', '.join(_MEMBERS)}")
            for name in document
            if name not in _MEMBERS
        ]
    schema = None
    try:
        schema = read_schema(document)
    except SchemaError as error:
        faults += error.faults
    if faults or schema is None:
        lines = sorted((_line(where, nodes), _text(where, text, nodes)) for where, text in faults)
        raise SchemaFileError("\n".join(f"{path}: line {line}: {text}" for line, text in lines))
    return schema


def _read(path: FilePath) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SchemaFileError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise SchemaFileError(
            f"{path}: {len(content)} bytes; a schema file has at most {_MOST_BYTES}"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SchemaFileError(
            f"{path}: line {line}: byte {content[error.start]:#04x} is not UTF-8;"
            " save the file as UTF-8"
        ) from error


def _compose(path: FilePath, text: str) -> yaml.Node:
    try:
        # An alias could make a small file a huge document, or one without an end.
        alias = next((e for e in yaml.parse(text, _Loader) if isinstance(e, yaml.AliasEvent)), None)
        if alias:
            line = alias.start_mark.line + 1 if alias.start_mark else 1
            raise SchemaFileError(
                f"{path}: line {line}: *{alias.anchor}: write it out; aliases are not read"
            )
        documents = list(yaml.compose_all(text, _Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise SchemaFileError(
            f"{path}: line {line}, column {column}: not YAML: {error.problem}{_syntax_hint(error)}"
        ) from error
    except yaml.YAMLError as error:
        raise SchemaFileError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise SchemaFileError(f"{path}: nested too deeply") from error
    if not documents:
        raise SchemaFileError(f"{path}: is empty; a schema file has {', '.join(_MEMBERS)}")
    if len(documents) != 1:
        raise SchemaFileError(f"{path}: {len(documents)} YAML documents; a schema file has one")
    return documents[0]


def _syntax_hint(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or ""
    found = re.search(r"found character '(.+)' that cannot start", problem)
    if found and found[1] in _QUOTED:
        return f'; put text that begins with it in quotes: "{found[1]}"'
    if found and found[1] == "\\t":
        return "; indent with spaces, not tabs"
    if "mapping values are not allowed" in problem:
        return "; put text that contains a colon and a space in quotes"
    return ""


def _walk(node: yaml.Node, path: Path = ()) -> Iterator[tuple[Path, tuple[int, yaml.Node]]]:
    """Yield each place of the document with its line and the node there."""
    yield path, (node.start_mark.line + 1, node)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            for where, (line, found) in _walk(value, (*path, name)):
                # A member's line is that of its name, wherever its value begins.
                yield where, (key.start_mark.line + 1 if found is value else line, found)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _walk(value, (*path, index))


def _duplicates(node: yaml.Node, path: Path = ()) -> list[tuple[Path, str]]:
    faults: list[tuple[Path, str]] = []
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                faults.append(((*path, name), f"is there twice, first in line {lines[name]}"))
            lines.setdefault(name, line)
            faults += _duplicates(value, (*path, name))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            faults += _duplicates(value, (*path, index))
    return faults


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        # What is no text as a name is refused as unknown.
        return {
            key.value if isinstance(key, yaml.ScalarNode) else "?": _value(value)
            for key, value in node.value
        }
    if isinstance(node, yaml.SequenceNode):
        return [_value(each) for each in node.value]
    text = str(node.value)
    if node.tag == _BOOL:
        return text.lower() == "true"
    if node.tag == _NULL:
        return None
    if node.tag in (_INT, _FLOAT):
        try:
            if node.tag == _INT and len(text) <= 300:
                return int(text)
            return float(re.sub(r"\.(inf|nan)$", r"\1", text.lower()))
        except ValueError:
            return text  # a tag such as !!int can stand before anything
    return text


def _line(where: Path, nodes: dict[Path, tuple[int, yaml.Node]]) -> int:
    """The line of a place, or of what it is missing from."""
    while where not in nodes:
        where = where[:-1]
    return nodes[where][0]


def _text(where: Path, text: str, nodes: dict[Path, tuple[int, yaml.Node]]) -> str:
    """The fault with what was found there, if the reader of the error may see it otherwise."""
    node = nodes[where][1] if where in nodes else None
    found = ""
    if isinstance(node, yaml.ScalarNode) and text.startswith("must"):
        number = node.tag in (_INT, _FLOAT) and len(node.value) <= 40
        found = f"; this is {node.value if number else _shown(node)}"
        if node.tag not in (_BOOL, _INT, _FLOAT) and node.value.lower() in (
            "yes",
            "no",
            "on",
            "off",
        ):
            found += ": write true or false"
        elif re.fullmatch(r"[-+]?\d+,\d+", node.value):
            found += ": write a decimal point"
    elif isinstance(node, yaml.SequenceNode) and where[-1:] not in ((), ("features",)):
        other = next(
            (
                e
                for e in node.value
                if isinstance(e, yaml.ScalarNode) and e.tag in (_BOOL, _INT, _FLOAT)
            ),
            None,
        )
        if other:
            found = f'; {other.value} is {_shown(other)}: put it in quotes, "{other.value}"'
    return f"{place(where)}: {text}{found}"


def _shown(node: yaml.ScalarNode) -> str:
    value = str(node.value)
    short = value if len(value) <= 40 else f"{value[:39]}…"
    kinds = {_BOOL: "a boolean", _INT: "a number", _FLOAT: "a number", _NULL: "empty"}
    return kinds.get(node.tag, f"the text {short!r}")
