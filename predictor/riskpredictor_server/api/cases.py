"""Scores the cases that a hospital declares for its models, as ``POST /predict`` would score them.

A folder, which is a ConfigMap's volume, holds one file ``*.json``:
``{"cases": [{"name": "...", "input": {...a record...}, "level": "High"}, ...]}``. A case says the
``level`` that the model must give, or the ``minLevel`` that it must reach.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from riskpredictor_server.api.json_body import BodyError, decode
from riskpredictor_server.api.records import InvalidRecordError, RecordReader, quoted, shown
from riskpredictor_server.model.artifact import Model

FILE: Final = "cases.json"
"""The file that is read if there are several."""
LIMIT: Final = 1_048_576
"""Most bytes of it; a ConfigMap has no more."""
_FIELDS: Final = ("name", "input", "level", "minLevel")


@dataclass(frozen=True)
class CasesResult:
    """What came of the cases; ``failed`` has a text for each that the model did not pass."""

    digest: str = ""
    """sha256: and the SHA-256 of the file; empty if there is no file."""
    passed: int = 0
    failed: tuple[str, ...] = ()


class _CasesError(Exception):
    """The file, or a case of it, is not as it must be; the message names what and where."""


def check_cases(folder: Path, model: Model) -> CasesResult:
    """Score the cases in ``folder`` by ``model``.

    Without a file the result is empty. A file that cannot be used at all has one failure, which
    begins with its name. No failure repeats a value of a record.
    """
    try:
        path = _file_in(folder)
    except _CasesError as error:
        return CasesResult(failed=(str(error),))
    if path is None:
        return CasesResult()
    try:
        data = path.read_bytes()
    except OSError as error:
        return CasesResult(failed=(f"{path.name}: cannot be read: {error.strerror}",))
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    try:
        cases = _cases(data)
    except _CasesError as error:
        return CasesResult(digest, 0, (f"{path.name}: {error}",))
    reader = RecordReader(model.schema, model.examples[0]["record"])
    failed = []
    for name, case in cases:
        try:
            _check(case, model, reader)
        except _CasesError as error:
            failed.append(f"{name}: {error}")
    return CasesResult(digest, len(cases) - len(failed), tuple(failed))


def _file_in(folder: Path) -> Path | None:
    """Return cases.json, else the only other ``*.json``."""
    try:
        # A volume of a ConfigMap has hidden folders beside its files.
        names = sorted(path.name for path in folder.glob("*.json") if not path.name.startswith("."))
    except OSError as error:
        raise _CasesError(f"{folder}: cannot be read: {error.strerror}") from error
    if FILE in names or len(names) == 1:
        return folder / (FILE if FILE in names else names[0])
    if names:
        raise _CasesError(
            f"{', '.join(names)}: which of them? The ConfigMap needs one key {FILE}, or only one"
            " that ends with .json"
        )
    return None


def _cases(data: bytes) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the cases by their names, which are there once each."""
    if len(data) > LIMIT:
        raise _CasesError(f"is larger than {LIMIT} bytes; give fewer cases")
    try:
        document = decode(data)
    except BodyError as error:
        raise _CasesError(error.detail.replace("the body", "the file")) from error
    cases = document.get("cases") if isinstance(document, dict) else None
    if not isinstance(cases, list) or not cases:
        raise _CasesError('must be {"cases": [...]} with at least one case')
    unknown = [name for name in document if name != "cases"]
    if unknown:
        raise _CasesError(f"{str(unknown[0])[:64]}: unknown field; the only one is cases")
    named: dict[str, Mapping[str, Any]] = {}
    for index, case in enumerate(cases):
        name = case.get("name") if isinstance(case, dict) else None
        if not isinstance(name, str) or not name.strip() or len(name) > 100:
            raise _CasesError(f"cases[{index}].name: must be a text of 1 to 100 characters")
        if name in named:
            raise _CasesError(f"cases[{index}].name: {name!r} is there more than once")
        named[name] = case
    return list(named.items())


def _check(case: Mapping[str, Any], model: Model, reader: RecordReader) -> None:
    """Score one case; raises _CasesError if it is malformed, or the model does not pass it."""
    for field in case:
        if field not in _FIELDS:
            raise _CasesError(f"{field[:64]}: unknown field; a case has {', '.join(_FIELDS)}")
    if ("level" in case) == ("minLevel" in case):
        raise _CasesError("needs either level or minLevel")
    field = "level" if "level" in case else "minLevel"
    levels = model.schema.levels
    wanted = _index(case, field, levels)
    if "input" not in case:
        raise _CasesError("input: is missing; it must be a record as POST /predict takes it")
    try:
        values = reader.read(case["input"])
    except InvalidRecordError as error:
        raise _CasesError(f"input: {_fault(error.errors[0])}") from error
    try:
        got = model.schema.level_of(model.scorer.score(values).probabilities)
    except Exception as error:  # an unpickled classifier can raise anything
        raise _CasesError(f"the model cannot score it: {type(error).__name__}") from error
    if got < wanted or (got > wanted and field == "level"):
        least = "at least " if field == "minLevel" else ""
        raise _CasesError(f"expected {least}{levels[wanted]}, the model says {levels[got]}")


def _fault(error: Mapping[str, Any]) -> str:
    """Say what is wrong with a field, without the hint at its value: counts go out, values not."""
    detail = error["detail"].partition("; ")[0] if "value" in error else error["detail"]
    return f"{error['field']}: {detail}".removeprefix(": ")


def _index(case: Mapping[str, Any], field: str, levels: Sequence[str]) -> int:
    level = case[field]
    if not isinstance(level, str) or level not in levels:
        raise _CasesError(f"{field}: must be {quoted(levels)}; this is {shown(level)!r}")
    return levels.index(level)
