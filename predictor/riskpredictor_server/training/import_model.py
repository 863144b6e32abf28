"""Packages a classifier that was fitted elsewhere as an artifact folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from riskpredictor_server.model.artifact import ArtifactError
from riskpredictor_server.model.sklearn_scorer import load_pipeline
from riskpredictor_server.model.vitals import EXAMPLES, VITALS
from riskpredictor_server.training.dataset import read_csv
from riskpredictor_server.training.evaluation import evaluate
from riskpredictor_server.training.export import Trained, export


class ClassifierError(ValueError):
    """The classifier cannot be served; the message says what it lacks."""


def import_model(
    classifier: Path,
    data: Path,
    *,
    model_version: str,
    out: Path,
    step: Callable[[str], None],
) -> None:
    """Package a joblib file as the artifact folder ``out``; ``step`` is told the progress.

    ``data`` is a CSV file of records that the classifier has not seen: they evaluate it, and are
    the baseline of warnings and of the drift index.
    Raises ClassifierError, RecordsError and OSError (of ``out``).
    """
    step(f"reading {classifier}")
    try:
        content = classifier.read_bytes()
    except OSError as error:
        raise ClassifierError(f"{classifier}: cannot be read: {error.strerror}") from error
    try:
        scorer = load_pipeline(content, VITALS)
    except Exception as error:  # a pickle can raise anything
        raise ClassifierError(
            f"{classifier}: not a classifier that can be served: {error};"
            " it must be written by joblib.dump(), fitted on the four raw vitals"
        ) from error
    step(f"evaluating on {data}")
    vitals, labels = read_csv(data)
    try:
        metrics = evaluate(scorer.predict_proba(vitals), labels)
    except Exception as error:  # so can what was in it
        raise ClassifierError(f"{classifier}: cannot score {data}: {error}") from error
    kind = type(scorer.pipeline).__name__
    trained = Trained(
        model_version=model_version,
        schema=VITALS,
        recipe={"name": kind, "summary": f"a {kind} of scikit-learn, fitted elsewhere"},
        source="records of a CSV file",
        seed=None,
        rows=[tuple(row) for row in vitals.tolist()],
        labels=labels,
        metrics=metrics,
        scorer=scorer,
        joblib=content,
        golden=[(each["title"], each["record"]) for each in EXAMPLES],
        examples=EXAMPLES,
    )
    try:
        export(trained, out, step)
    except ArtifactError as error:
        raise ClassifierError(f"{classifier}: {error}") from error
    step(f"wrote {out}: serve it with scikit-learn (the extra sklearn, EXTRAS=sklearn)")
