"""Packages a classifier that was fitted elsewhere as an artifact folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from riskpredictor_server.model.artifact import ArtifactError
from riskpredictor_server.model.classifier_file import written_by
from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.model.sklearn_scorer import PipelineScorer, load_pipeline
from riskpredictor_server.training.conversion.columns import NotLinearError
from riskpredictor_server.training.conversion.linear_export import check_form, linear_form
from riskpredictor_server.training.conversion.probes import generated, one_by_one
from riskpredictor_server.training.dataset import Dataset
from riskpredictor_server.training.evaluation import evaluate
from riskpredictor_server.training.export import Trained, export
from riskpredictor_server.training.split import about, doubts, duplicates
from riskpredictor_server.training.typical import examples_of, named, titled

_CHECKED = 2000
"""Generated records that are compared with predict_proba; as many of the file are, too."""


class ClassifierError(ValueError):
    """The classifier cannot be served; the message says what it lacks."""


def import_model(
    classifier: Path,
    schema: Schema,
    data: Dataset,
    *,
    model_version: str,
    out: Path,
    step: Callable[[str], None],
) -> None:
    """Package a joblib file as the artifact folder ``out``; ``step`` is told the progress.

    ``data`` are records that the classifier has not seen: they evaluate it, and are the baseline of
    warnings and of the drift index.
    Raises ClassifierError and OSError (of ``out``).
    """
    rows, labels = data.rows, data.labels
    step(f"reading {classifier}")
    try:
        content = classifier.read_bytes()
    except OSError as error:
        raise ClassifierError(f"{classifier}: cannot be read: {error.strerror}") from error
    try:
        scorer = load_pipeline(content, schema)
        form = _form(scorer, rows, step)
        _try_every_value(scorer, rows)
    except ModuleNotFoundError as error:
        raise ClassifierError(
            f"{classifier}: needs the module {error.name}, which is not installed here"
        ) from error
    except Exception as error:  # a pickle can raise anything, and so can what was in it
        raise ClassifierError(f"{classifier}: cannot be served: {error}") from error
    if scorer.note:
        step(scorer.note)
    repeated, conflicting = duplicates(rows, labels)
    for note in doubts(repeated, conflicting):
        step(f"note: {note}")
    step(f"evaluating on {len(rows)} records")
    try:
        metrics = evaluate(scorer.predict_proba(rows), labels, schema.levels, data.groups)
    except ValueError as error:
        raise ClassifierError(f"{classifier}: cannot be served: {error}") from error
    examples = examples_of(schema, rows, labels, lambda some: scorer.score_many(some).probabilities)
    kind = type(scorer.pipeline).__name__
    written = written_by(content)
    trained = Trained(
        model_version=model_version,
        schema=schema,
        recipe={
            "name": kind,
            "summary": f"a {kind} of scikit-learn, fitted elsewhere"
            + (f" with version {written}" if written else ""),
        },
        source="records of a CSV file",
        seed=None,
        rows=rows,
        labels=labels,
        metrics=metrics,
        scorer=scorer,
        joblib=content,
        golden=[*named(examples), *_one_by_one(schema)],
        examples=titled(examples),
        form=form,
        about_data=about(data, repeated, conflicting),
    )
    try:
        export(trained, out, step)
    except ArtifactError as error:
        raise ClassifierError(f"{classifier}: {error}") from error
    how = "without" if form else "with"
    step(f"wrote {out}: serve it {how} scikit-learn" + ("" if form else " (EXTRAS=sklearn)"))


def _form(
    scorer: PipelineScorer, rows: Sequence[Values], step: Callable[[str], None]
) -> dict[str, Any] | None:
    """Return the content of scorer.json, or None after telling why there is none."""
    try:
        form = linear_form(scorer, rows)
        compared = [*rows[:_CHECKED], *generated(scorer.schema, _CHECKED, seed=0)]
        difference = check_form(form, scorer, compared)
    except NotLinearError as error:
        step(f"not exported to the linear form: {error}")
        return None
    terms = len(form["terms"])
    step(
        f"exported to the linear form: {terms} terms, on {len(compared)} records at most"
        f" {difference:.0e} from predict_proba"
    )
    return form


def _try_every_value(scorer: PipelineScorer, rows: Sequence[Values]) -> None:
    """Score the records of the file and every value that the schema accepts; raises ValueError."""
    tried = dict(one_by_one(scorer.schema))
    try:
        scorer.predict_proba([*rows, *tried.values()])
    except Exception:
        for what, values in tried.items():
            try:
                scorer.predict_proba([values])
            except Exception as error:
                raise ValueError(f"cannot score {what}: {error}") from error
        raise


def _one_by_one(schema: Schema) -> list[tuple[str, dict[str, Any]]]:
    return [(name, _record(schema, values)) for name, values in one_by_one(schema)]


def _record(schema: Schema, values: Values) -> dict[str, Any]:
    named = zip(schema.names, values, strict=True)
    return {name: value for name, value in named if value is not None}
