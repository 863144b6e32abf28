"""A classifier that was fitted elsewhere to artifact folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from riskpredictor_server.api.records import RISK_LEVELS
from riskpredictor_server.model.artifact import ArtifactError, load
from riskpredictor_server.model.sklearn_scorer import load_pipeline
from riskpredictor_server.training.dataset import read_csv
from riskpredictor_server.training.evaluation import evaluate
from riskpredictor_server.training.export import Trained, write
from riskpredictor_server.training.fitting import in_order, summary
from riskpredictor_server.training.plots import draw


class ClassifierError(ValueError):
    """The classifier cannot be served; the message says what it lacks."""


@dataclass(frozen=True)
class Adoption:
    """What to package, and the records that it did not see: they measure it, and warnings and the
    drift score compare patients with them."""

    model_version: str
    out: Path
    classifier: Path
    data: Path


def adopt(job: Adoption, step: Callable[[str], None]) -> None:
    """Run the job; raises ClassifierError, RecordsError and OSError (of ``out``)."""
    step(f"reading {job.classifier}")
    try:
        data = job.classifier.read_bytes()
    except OSError as error:
        raise ClassifierError(f"{job.classifier}: cannot be read: {error.strerror}") from error
    try:
        model = load_pipeline(data).pipeline
    except Exception as error:  # unpickling runs whatever the file says
        raise ClassifierError(
            f"{job.classifier}: not a classifier that can be served: {error};"
            " it must be written by joblib.dump(), fitted on the four raw vitals"
        ) from error
    step(f"evaluating on {job.data}")
    vitals, labels = read_csv(job.data)
    try:
        metrics = evaluate(in_order(model, vitals), labels, RISK_LEVELS)
    except Exception as error:  # and so does what was unpickled
        raise ClassifierError(f"{job.classifier}: cannot score {job.data}: {error}") from error
    kind = type(model).__name__
    trained = Trained(
        model_version=job.model_version,
        recipe={"name": kind, "summary": f"a {kind} of scikit-learn, fitted elsewhere"},
        seed=None,
        source="records of a CSV file",
        vitals=vitals,
        labels=labels,
        metrics=metrics,
        form=None,
        joblib=data,
        golden=lambda rows: in_order(model, rows),
    )
    write(trained, job.out)
    draw(metrics, job.model_version, job.out)
    try:
        load(job.out)
    except ArtifactError as error:
        raise ClassifierError(f"{job.classifier}: {error}") from error
    step(summary(metrics))
    step(f"wrote {job.out}: serve it with scikit-learn (the extra sklearn, EXTRAS=sklearn)")
