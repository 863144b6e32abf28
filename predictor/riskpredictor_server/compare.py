"""Compare two models on a file of records: ``python -m riskpredictor_server compare --help``.

Counts what the pods of a roll-out count: for each distinct record the level of the one model and
that of the other.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskpredictor_server.model.artifact import ArtifactError, Model, load
from riskpredictor_server.model.schema import Values
from riskpredictor_server.training.dataset import RecordsError, read_unlabelled


class CompareError(ValueError):
    """The models cannot be compared; the message says why."""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same records, of which each counts once."""

    stable: Model
    candidate: Model
    records: int
    """Of the file, repeated ones too."""
    matrix: list[list[int]]
    """Distinct records by the index of the stable model's level, then of the candidate's."""
    errors: int = 0
    """Distinct records that the candidate could not score; the matrix has them not."""

    @property
    def pairs(self) -> int:
        """Distinct records that both models scored."""
        return sum(map(sum, self.matrix))

    @property
    def downgrades(self) -> int:
        """Records for which the candidate says a lower level."""
        return sum(sum(row[:i]) for i, row in enumerate(self.matrix))

    @property
    def upgrades(self) -> int:
        """Records for which the candidate says a higher level."""
        return sum(sum(row[i + 1 :]) for i, row in enumerate(self.matrix))

    @property
    def severe(self) -> int:
        """Records for which the highest level became the lowest."""
        return self.matrix[-1][0]

    @property
    def highest(self) -> int:
        """Records of the highest level by the stable model."""
        return sum(self.matrix[-1])

    @property
    def missed(self) -> int:
        """Those of them for which the candidate says a lower level."""
        return sum(self.matrix[-1][:-1])

    @property
    def shifts(self) -> list[int]:
        """By level, how many more records the candidate gives it than the stable model."""
        columns = [sum(column) for column in zip(*self.matrix, strict=True)]
        return [after - sum(row) for after, row in zip(columns, self.matrix, strict=True)]

    def document(self) -> dict[str, Any]:
        """As JSON; rates in percent, null where there is nothing to count."""
        pairs, levels = self.pairs, self.stable.schema.levels
        return {
            "stable": _identity(self.stable),
            "candidate": _identity(self.candidate),
            "levels": list(levels),
            "records": self.records,
            "pairs": pairs,
            "errors": self.errors,
            "matrix": self.matrix,
            "downgradePercent": _percent(self.downgrades, pairs),
            "severeDowngradePercent": _percent(self.severe, pairs),
            "missedHighPercent": _percent(self.missed, self.highest),
            "upgradePercent": _percent(self.upgrades, pairs),
            "classShiftPercent": {
                level: _percent(shift, pairs)
                for level, shift in zip(levels, self.shifts, strict=True)
            },
        }

    def table(self) -> str:
        """The same for people."""
        levels, pairs = self.stable.schema.levels, self.pairs
        top, bottom = levels[-1], levels[0]
        agreed = pairs - self.downgrades - self.upgrades
        rates = [
            ("agreement", agreed, pairs, "the same level"),
            ("downgrade", self.downgrades, pairs, "a lower level"),
            ("severe downgrade", self.severe, pairs, f"{top} became {bottom}"),
            (f"missed {top}", self.missed, self.highest, f"of those {top}, not {top} any more"),
            ("upgrade", self.upgrades, pairs, "a higher level"),
        ]
        lines = [
            f"stable     {self.stable.version}  sha256:{self.stable.card_digest}",
            f"candidate  {self.candidate.version}  sha256:{self.candidate.card_digest}",
            f"records    {self.records}, {pairs + self.errors} of them distinct",
            "",
            *self._matrix_lines(),
            "",
            *(
                f"{name:<18}{_shown(count, of):>10}  {count} of {of}: {text}"
                for name, count, of, text in rates
            ),
            *(
                f"{f'share of {level}':<18}{_shown(shift, pairs, sign='+'):>10}  {shift:+d}"
                for level, shift in zip(levels, self.shifts, strict=True)
            ),
        ]
        if self.errors:
            lines += ["", f"The candidate could not score {self.errors} records."]
        return "\n".join(lines)

    def _matrix_lines(self) -> list[str]:
        levels = self.stable.schema.levels
        cells = [[str(count) for count in row] for row in self.matrix]
        widths = [
            max(map(len, (level, *column)))
            for level, column in zip(levels, zip(*cells, strict=True), strict=True)
        ]
        side = max(map(len, levels))

        def line(first: str, name: str, row: Sequence[str]) -> str:
            counts = "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
            return f"{first:<9} {name:<{side}}  {counts}"

        return [
            f"{'':<{9 + 1 + side}}  candidate",
            line("", "", levels),
            *(
                line("" if i else "stable", level, row)
                for i, (level, row) in enumerate(zip(levels, cells, strict=True))
            ),
        ]


def compare(stable: Model, candidate: Model, path: Path) -> Comparison:
    """Score the records of a CSV file by both; raises RecordsError and CompareError."""
    if stable.schema.levels != candidate.schema.levels:
        raise CompareError(
            f"{stable.version} answers {', '.join(stable.schema.levels)}, {candidate.version}"
            f" {', '.join(candidate.schema.levels)}: only models of the same levels, in the same"
            " order, can be compared"
        )
    rows = read_unlabelled(path, stable.schema)
    others = read_unlabelled(path, candidate.schema)
    distinct = dict(zip(rows, others, strict=True))
    before = _levels(stable, list(distinct))
    if None in before:
        raise CompareError(f"{stable.version} cannot score {before.count(None)} of the records")
    matrix = [[0] * len(stable.schema.levels) for _ in stable.schema.levels]
    errors = 0
    for was, now in zip(before, _levels(candidate, list(distinct.values())), strict=True):
        if was is None or now is None:
            errors += 1
        else:
            matrix[was][now] += 1
    return Comparison(stable, candidate, len(rows), matrix, errors)


def _levels(model: Model, rows: Sequence[Values]) -> list[int | None]:
    """The index of each record's level; None if the model has no score for it."""
    return [_level(model, values) for values in rows]


def _level(model: Model, values: Values) -> int | None:
    try:
        probabilities = model.scorer.score(values).probabilities
    except Exception:  # an unpickled classifier can raise anything
        return None
    return model.schema.level_of(probabilities) if all(map(math.isfinite, probabilities)) else None


def _identity(model: Model) -> dict[str, str]:
    return {"version": model.version, "digest": f"sha256:{model.card_digest}"}


def _percent(count: int, of: int) -> float | None:
    return 100 * count / of if of else None


def _shown(count: int, of: int, sign: str = "") -> str:
    percent = _percent(count, of)
    return "none" if percent is None else f"{percent:{sign}.2f} %"


def main(argv: Sequence[str]) -> int:
    """Run the command line. Returns 0, or 2 after saying on stderr what to correct."""
    parser = argparse.ArgumentParser(
        prog="python -m riskpredictor_server compare",
        description="Compare two models on the records of a file, each of which counts once: the"
        " matrix of levels that the pods of a roll-out count, and the rates that its gates limit.",
    )
    parser.add_argument("stable", type=Path, metavar="MODEL_A", help="artifact folder")
    parser.add_argument("candidate", type=Path, metavar="MODEL_B", help="artifact folder")
    parser.add_argument(
        "records", type=Path, metavar="RECORDS.csv",
        help="a column for each feature, and for its unit; other columns are not read",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A code page of Windows may lack a character.
        sys.stdout.reconfigure(errors="replace")
    try:
        found = compare(load(args.stable), load(args.candidate), args.records)
    except (ArtifactError, RecordsError, CompareError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found.document(), indent=2) if args.json else found.table())
    return 0
