"""Train a model and write its artifact folder: ``python -m riskpredictor_server.train --help``."""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path

from riskpredictor_server.model.artifact import VERSION
from riskpredictor_server.model.vitals import VITALS
from riskpredictor_server.training.recipes import DECLARED, DEFAULT_RECIPE, RECIPES


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m riskpredictor_server.train",
        description="Train a patient-risk model and write model.joblib, scorer.json, card.json"
        " and plots. The same arguments and dependencies give the same bytes on the same kind of"
        " CPU; on another one the last digits of the weights may differ. Or package a classifier"
        " that was fitted elsewhere.",
    )
    parser.add_argument("--model-version", required=True, metavar="NAME", help="for example v1")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="artifact folder")
    parser.add_argument(
        "--data", type=Path, metavar="FILE.csv", help="train on these records, not synthetic ones"
    )
    parser.add_argument(
        "--schema",
        type=Path,
        metavar="FILE.yaml",
        help="features and levels of --data (default: the four vital signs, three levels)",
    )
    parser.add_argument(
        "--target",
        metavar="COLUMN",
        help="column of --data with the level (default: risk_level)",
    )
    parser.add_argument(
        "--group",
        metavar="COLUMN",
        help="column of --data that says whose record it is: records of one patient are either"
        " fitted or evaluated, never both",
    )
    parser.add_argument(
        "--classifier",
        type=Path,
        metavar="FILE.joblib",
        help="package this fitted scikit-learn classifier instead of training one; a pickle, so"
        " only from a source that you trust; --data then names records that it has not seen",
    )
    parser.add_argument("--seed", type=int, help="of generator and split (default: the recipe's)")
    parser.add_argument("--records", type=int, default=1000, help="synthetic records (%(default)s)")
    parser.add_argument(
        "--recipe",
        choices=sorted(RECIPES),
        help="for the four vital signs; default: the one named like the model version, else "
        + DEFAULT_RECIPE,
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 after saying on stderr what to correct."""
    args = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A code page of Windows may lack a character.
        sys.stdout.reconfigure(errors="replace")
    if not VERSION.fullmatch(args.model_version):
        return _fail(
            f"--model-version {args.model_version!r}: at most 63 letters, digits, '-', '_', '.',"
            " beginning and ending with a letter or digit (it becomes an image tag and a label)"
        )
    if not 200 <= args.records <= 1_000_000:
        return _fail(f"--records {args.records}: must be 200 to 1000000")
    if args.seed is not None and args.seed < 0:
        return _fail(f"--seed {args.seed}: must be 0 or more")
    if args.classifier and not args.data:
        return _fail("--classifier needs --data FILE.csv: records to measure the classifier on")
    for flag in ("schema", "target", "group"):
        if getattr(args, flag) is not None and not args.data:
            return _fail(
                f"--{flag} needs --data FILE.csv: synthetic patients have the four vital signs"
            )
    if args.schema and args.recipe:
        return _fail("--recipe is for the four vital signs; a schema has one recipe, leave it out")
    # Imported here, so that --help and argument errors do not wait a second for scikit-learn.
    try:
        from riskpredictor_server.training.dataset import LABEL, RecordsError, read_csv
        from riskpredictor_server.training.fit import Source, train
        from riskpredictor_server.training.import_model import ClassifierError, import_model
        from riskpredictor_server.training.monotone import FitError
        from riskpredictor_server.training.schema_file import SchemaFileError, read_schema_file
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is not installed; pip install 'riskpredictor-server[train]'")
    name = args.recipe or (args.model_version if args.model_version in RECIPES else DEFAULT_RECIPE)
    recipe = DECLARED if args.schema else RECIPES[name]
    seed = recipe.seed if args.seed is None else args.seed
    started = time.monotonic()

    def step(text: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {text}", flush=True)

    try:
        schema = read_schema_file(args.schema) if args.schema else VITALS
        source = Source(args.data, args.target or LABEL, args.group) if args.data else None
        target = {"model_version": args.model_version, "out": args.out, "step": step}
        if args.classifier:
            step(f"reading {args.data}")
            data = read_csv(args.data, schema, args.target or LABEL, args.group)
            for note in data.notes:
                step(f"note: {note}")
            import_model(args.classifier, schema, data, **target)
        else:
            train(recipe, schema, source, records=args.records, seed=seed, **target)
    except (SchemaFileError, RecordsError, FitError, ClassifierError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"--out {args.out}: cannot be written: {error.strerror}")
    return 0


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
