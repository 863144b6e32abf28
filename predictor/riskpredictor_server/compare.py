"""Compare two models on a file of records: ``python -m riskpredictor_server compare --help``.

Counts what the pods of a roll-out count, by the same code: for each distinct record the level of
the one model and that of the other.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from riskpredictor_server.model.artifact import ArtifactError, Model, load
from riskpredictor_server.model.comparison import Comparison, NotComparableError
from riskpredictor_server.training.dataset import RecordsError, read_unlabelled


class CompareError(ValueError):
    """The models cannot be compared; the message says why."""


@dataclass(frozen=True)
class Report:
    """What a comparison found: counts and rates."""

    comparison: Comparison
    records: int
    """Of the file, repeated ones too."""

    @property
    def matrix(self) -> list[list[int]]:
        """Distinct records by the index of the stable model's level, then of the candidate's."""
        return self.comparison.matrix

    @property
    def pairs(self) -> int:
        """Distinct records."""
        return self.comparison.pairs

    @property
    def levels(self) -> tuple[str, ...]:
        """In ascending order of risk."""
        return self.comparison.levels

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
        pairs, levels = self.pairs, self.levels
        return {
            "stable": _identity(self.comparison.stable),
            "candidate": _identity(self.comparison.candidate),
            "levels": list(levels),
            "records": self.records,
            "pairs": pairs,
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
        levels, pairs = self.levels, self.pairs
        top, bottom = levels[-1], levels[0]
        stable, candidate = self.comparison.stable, self.comparison.candidate
        agreed = pairs - self.downgrades - self.upgrades
        rates = [
            ("agreement", agreed, pairs, "the same level"),
            ("downgrade", self.downgrades, pairs, "a lower level"),
            ("severe downgrade", self.severe, pairs, f"{top} became {bottom}"),
            (f"missed {top}", self.missed, self.highest, f"of those {top}, not {top} any more"),
            ("upgrade", self.upgrades, pairs, "a higher level"),
        ]
        lines = [
            f"stable     {stable.version}  sha256:{stable.card_digest}",
            f"candidate  {candidate.version}  sha256:{candidate.card_digest}",
            f"records    {self.records}, {pairs} of them distinct",
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
        return "\n".join(lines)

    def _matrix_lines(self) -> list[str]:
        levels = self.levels
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


def compare(stable: Model, candidate: Model, path: Path) -> Report:
    """Score the records of a CSV file by both; raises RecordsError and CompareError."""
    try:
        comparison = Comparison(stable, candidate)
    except NotComparableError as error:
        raise CompareError(
            f"{candidate.version} cannot be compared with {stable.version}: {error}"
        ) from error
    rows = read_unlabelled(path, stable.schema)
    try:
        comparison.compare(rows)
    except Exception as error:  # an unpickled classifier can raise anything
        raise CompareError(f"{path}: a model cannot score these records: {error!r}") from error
    return Report(comparison, len(rows))


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
