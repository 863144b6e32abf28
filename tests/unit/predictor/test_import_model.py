"""A classifier from elsewhere is exported exactly, or served by scikit-learn; or it is refused."""

from __future__ import annotations

import io
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import orjson
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)
from unit.predictor.pipelines import (
    DECLARED,
    FLAGS,
    NUMBERS,
    SCHEMA,
    fitted,
    outcome,
    regression,
    table,
    training,
    ward,
)
from unit.predictor.support import PREDICTOR, records, write_records

from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.declaration import read_schema
from riskpredictor_server.model.linear_scorer import LinearScorer
from riskpredictor_server.model.schema import Schema, Values
from riskpredictor_server.model.sklearn_scorer import PipelineScorer
from riskpredictor_server.train import main
from riskpredictor_server.training.conversion.probes import generated, one_by_one
from riskpredictor_server.training.dataset import Dataset
from riskpredictor_server.training.import_model import ClassifierError, import_model
from riskpredictor_server.training.synthetic import generate

ROWS = generated(SCHEMA, 400, seed=6)
LABELS = outcome(ROWS, SCHEMA.levels)


def dumped(classifier: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(classifier, buffer)
    return buffer.getvalue()


def imported(
    classifier: Any, folder: Path, schema: Schema = SCHEMA, groups: list[str] | None = None
) -> list[str]:
    """Import a classifier, or the bytes of a file; return what was told about it."""
    file = folder / "own.joblib"
    file.write_bytes(classifier if isinstance(classifier, bytes) else dumped(classifier))
    told: list[str] = []
    import_model(
        file,
        schema,
        Dataset(ROWS, LABELS, groups),
        model_version="own-1",
        out=folder / "model",
        step=told.append,
    )
    return told


def good(*extra: Any) -> Any:
    return fitted(make_pipeline(ward(), *extra, regression()))


def by(classifier: Any) -> Any:
    """What data scientists do before another classifier."""
    return fitted(make_pipeline(ward(), classifier))


def on_numbers(*steps: Any) -> Any:
    """Steps for the numbers; the rest as usual."""
    columns = make_column_transformer((make_pipeline(*steps), NUMBERS))
    return fitted(make_pipeline(columns, regression()))


# Exported


def test_an_exported_model_needs_no_scikit_learn(tmp_path: Path) -> None:
    pipeline = good()
    told = imported(pipeline, tmp_path)
    assert any(line.startswith("exported to the linear form: ") for line in told)
    assert told[-1].endswith("serve it without scikit-learn")
    asked = generated(SCHEMA, 200, seed=11)
    code = """
import json, sys
for name in ("sklearn", "numpy", "scipy", "pandas", "joblib"):
    sys.modules[name] = None  # to import it fails
from pathlib import Path
from riskpredictor_server.model.artifact import load
model = load(Path(sys.argv[1]))
rows = [tuple(row) for row in json.load(sys.stdin)]
print(json.dumps(model.scorer.score_many(rows).probabilities))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model"],
        env={"PYTHONPATH": str(PREDICTOR)},
        input=orjson.dumps(asked),
        capture_output=True,
        check=True,
    )
    order = [list(pipeline.classes_).index(level) for level in SCHEMA.levels]
    theirs = pipeline.predict_proba(table(asked))[:, order]
    assert np.abs(np.array(orjson.loads(ran.stdout)) - theirs).max() <= 1e-12


def test_the_card_says_what_is_scored_for_a_gap(tmp_path: Path) -> None:
    pipeline = good()
    imported(pipeline, tmp_path)
    features = {row["name"]: row for row in load(tmp_path / "model").card["features"]}
    median = np.median([values[2] for values in training() if values[2] is not None])
    assert features["lactate"]["fill"] == pytest.approx(median)
    assert features["ward"]["fill"] is None, "its gaps are a value of their own"


def test_no_record_of_a_patient_gets_into_the_card(tmp_path: Path) -> None:
    imported(good(), tmp_path)
    card = load(tmp_path / "model").card
    shown = [case["input"] for case in card["golden_cases"]]
    shown += [example["record"] for example in card["examples"]]
    patients = [dict(zip(SCHEMA.names, values, strict=True)) for values in ROWS]
    assert len(shown) > 20
    assert not [record for record in shown if record in patients]


def test_a_direction_that_does_not_hold_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directed = {"rate": "falls", "lactate": "rises"}
    features = [
        {**row, **({"risk": directed[row["name"]]} if row["name"] in directed else {})}
        for row in DECLARED["features"]
    ]
    imported(good(), tmp_path, read_schema({"features": features}))
    warned = capsys.readouterr().err.splitlines()
    assert warned[0].startswith("warning: rate: risk is declared as falls, but P(")
    card = {row["name"]: row for row in load(tmp_path / "model").card["features"]}
    assert card["rate"]["monotone"]["holds"] is False
    assert "monotone" not in card["temperature"]


def test_intervals_are_of_whole_groups(tmp_path: Path) -> None:
    groups = [f"P{i // 4}" for i in range(len(ROWS))]
    imported(good(), tmp_path, groups=groups)
    card = load(tmp_path / "model").card
    assert "bootstrap of groups" in card["metrics"]["intervals"]["method"]
    assert card["data"]["groups"] == 100


def test_golden_cases_of_a_small_range_lie_within_it() -> None:
    rows = [
        {"name": "fio2", "minimum": 0.21, "maximum": 0.45},
        {"name": "walks", "type": "boolean"},
    ]
    schema = read_schema({"features": rows})
    asked = [values for _, values in one_by_one(schema)]
    assert len(asked) == 4
    assert all(schema.features[0].accepts(values[0]) for values in asked)


def test_records_that_repeat_another_are_told_and_in_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "High" if LABELS[0] == "Low" else "Low"
    monkeypatch.setitem(globals(), "ROWS", [*ROWS, *ROWS[1:31], ROWS[0]])
    monkeypatch.setitem(globals(), "LABELS", [*LABELS, *LABELS[1:31], other])
    told = imported(good(), tmp_path)
    assert any(line.startswith("note: 30 records repeat another") for line in told)
    assert any(line.startswith("note: 2 records have the same values") for line in told)
    data = load(tmp_path / "model").card["data"]
    assert (data["repeated"], data["conflicting"]) == (30, 2)


def test_columns_may_have_another_order_and_the_aliases_of_features(tmp_path: Path) -> None:
    declared = [feature.declaration() for feature in SCHEMA.features]
    declared[0]["aliases"] = ["Resp Rate"]
    schema = read_schema({"features": declared})
    data = table(training())[[*reversed(SCHEMA.names)]].rename(columns={"rate": "Resp Rate"})
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["Resp Rate", "lactate"]),
        (OneHotEncoder(), ["ward"]),
    )
    pipeline = make_pipeline(columns, regression()).fit(data, outcome(training(), schema.levels))
    told = imported(pipeline, tmp_path, schema)
    assert told[-1].endswith("serve it without scikit-learn")


def test_a_column_that_the_pipeline_drops_is_not_asked_for(tmp_path: Path) -> None:
    data = table(training()).assign(patient=range(len(training())))
    pipeline = make_pipeline(ward(), regression()).fit(data, outcome(training(), SCHEMA.levels))
    assert imported(pipeline, tmp_path)[-1].endswith("serve it without scikit-learn")
    forest = make_pipeline(ward(), RandomForestClassifier(3, random_state=0))
    forest.fit(data, outcome(training(), SCHEMA.levels))
    assert imported(forest, tmp_path)[-1].endswith("serve it with scikit-learn (EXTRAS=sklearn)")


def test_classes_that_are_numbers_are_the_levels_in_their_order(tmp_path: Path) -> None:
    told = imported(fitted(make_pipeline(ward(), regression()), levels=[0, 1, 2]), tmp_path)
    words = "its classes are numbers, taken in this order: 0 is Low, 1 is Medium, 2 is High"
    assert words in told
    named = PipelineScorer(good(), SCHEMA).predict_proba(ROWS)
    served = load(tmp_path / "model").scorer.score_many(ROWS).probabilities
    assert np.array(served) == pytest.approx(named, abs=1e-6)


# Not exported, and served by scikit-learn


class Own(StandardScaler):  # type: ignore[misc]
    """Somebody's own scaler, which might compute anything."""


def two_fills() -> Any:
    columns = make_column_transformer(
        (SimpleImputer(strategy="constant", fill_value=0), ["lactate"]), (SimpleImputer(), NUMBERS)
    )
    return fitted(make_pipeline(columns, regression()))


def single_precision() -> Any:
    """What scikit-learn computes to seven digits only."""
    columns = make_column_transformer((OneHotEncoder(dtype=np.float32), ["mind", "ward"]))
    return fitted(make_pipeline(columns, regression()))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda: by(RandomForestClassifier(5, random_state=0)),
            "step randomforestclassifier (RandomForestClassifier) is no LogisticRegression",
        ),
        (
            lambda: fitted(
                CalibratedClassifierCV(make_pipeline(ward(), regression()), cv=2), SCHEMA
            ),
            "CalibratedClassifierCV averages or bends probabilities",
        ),
        (
            lambda: by(OneVsRestClassifier(regression())),
            "step onevsrestclassifier (OneVsRestClassifier) divides the probabilities",
        ),
        (
            lambda: on_numbers(KNNImputer()),
            "step columntransformer.pipeline.knnimputer (KNNImputer) has no linear form here",
        ),
        (
            lambda: on_numbers(SimpleImputer(), KBinsDiscretizer(3, quantile_method="linear")),
            "(KBinsDiscretizer) has no linear form here",
        ),
        (
            lambda: on_numbers(SimpleImputer(), FunctionTransformer(np.log1p)),
            "(FunctionTransformer) calls the function log1p",
        ),
        (
            lambda: on_numbers(SimpleImputer(), SplineTransformer(degree=3)),
            "(SplineTransformer) is curved: degree=3, not 1",
        ),
        (
            lambda: on_numbers(
                SimpleImputer(), SplineTransformer(degree=1, extrapolation="linear")
            ),
            "(SplineTransformer) has extrapolation='linear', not 'constant'",
        ),
        (
            lambda: on_numbers(SimpleImputer(), SimpleImputer(missing_values=-1)),
            "(SimpleImputer) fills in what is -1 (missing_values)",
        ),
        (lambda: on_numbers(SimpleImputer(), Own()), "(Own) has no linear form here"),
        (two_fills, "lactate is filled in as "),
        (single_precision, "its linear form would differ by "),
        (
            lambda: fitted(
                make_pipeline(
                    make_column_transformer(
                        (OneHotEncoder(handle_unknown="ignore"), ["temperature"])
                    ),
                    regression(max_iter=5),
                )
            ),
            "takes the number temperature for categories: declare it as an integer",
        ),
        (
            lambda: fitted(
                make_pipeline(
                    make_column_transformer((SimpleImputer(strategy="mean"), FLAGS)), regression()
                )
            ),
            "fills dialysis with 0.4",
        ),
        (
            lambda: fitted(
                make_pipeline(
                    make_column_transformer(
                        (OneHotEncoder(handle_unknown="ignore"), ["rate", "news"])
                    ),
                    PolynomialFeatures(2),
                    regression(max_iter=2),
                )
            ),
            "(PolynomialFeatures) makes more than 2000 products",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_linear_form_is_served_by_scikit_learn_and_told_why(
    make: Callable[[], Any], reason: str, tmp_path: Path
) -> None:
    pipeline = make()
    told = imported(pipeline, tmp_path)
    (line,) = [line for line in told if line.startswith("not exported to the linear form: ")]
    assert reason in line
    assert told[-1].endswith("serve it with scikit-learn (EXTRAS=sklearn)")
    model = load(tmp_path / "model")
    assert isinstance(model.scorer, PipelineScorer)
    order = [list(pipeline.classes_).index(level) for level in SCHEMA.levels]
    expected = pipeline.predict_proba(table(ROWS))[:, order]
    scored = model.scorer.score_many(ROWS)
    assert np.array(scored.probabilities) == pytest.approx(expected, abs=1e-15)
    assert scored.contributions is None
    assert model.scorer.score(ROWS[0]).probabilities == pytest.approx(scored.probabilities[0])


def test_gaps_are_none_where_the_pipeline_was_fitted_on_none() -> None:
    data = table(training())
    data["ward"] = data["ward"].astype(object).where(data["ward"].notna(), None)
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["ward"]))
    pipeline = make_pipeline(columns, RandomForestClassifier(3, random_state=0))
    pipeline.fit(data, outcome(training(), SCHEMA.levels))
    gap = next(values for values in training() if values[6] is None)
    asked = data[[values == gap for values in training()]]
    order = [list(pipeline.classes_).index(level) for level in SCHEMA.levels]
    (expected,) = pipeline.predict_proba(asked)[:, order].tolist()
    assert PipelineScorer(pipeline, SCHEMA).score(gap).probabilities == tuple(expected)


def test_a_classifier_fitted_on_an_array_gets_one(tmp_path: Path) -> None:
    numbers = HistGradientBoostingClassifier(max_iter=3, random_state=0)
    schema = read_schema({"features": [SCHEMA.by_name[name].declaration() for name in NUMBERS]})
    rows: list[Values] = [values[:3] for values in ROWS]
    data = np.array(rows, dtype=float)
    numbers.fit(data, LABELS)
    order = [list(numbers.classes_).index(level) for level in schema.levels]
    found = PipelineScorer(numbers, schema).predict_proba(rows)
    assert found.tolist() == numbers.predict_proba(data)[:, order].tolist()


# Refused


def renamed_data(name: str) -> Any:
    data = table(training()).rename(columns={"ward": name})
    columns = make_column_transformer((OneHotEncoder(), [name, "mind"]))
    return make_pipeline(columns, regression()).fit(data, outcome(training(), SCHEMA.levels))


def without(name: str) -> Any:
    data = table(training()).drop(columns=name)
    columns = make_column_transformer((OneHotEncoder(), ["mind"]))
    return make_pipeline(columns, regression()).fit(data, outcome(training(), SCHEMA.levels))


def one_hot(change: Callable[[Any], Any]) -> Any:
    """Fitted after a change of the column mind."""
    data = table(training())
    data["mind"] = change(data["mind"])
    columns = make_column_transformer((OneHotEncoder(), ["mind", "ward"]))
    return make_pipeline(columns, regression()).fit(data, outcome(training(), SCHEMA.levels))


def of_another_version(classifier: Any, *damages: tuple[bytes, bytes]) -> bytes:
    """The file as scikit-learn 1.2.2 would have written it."""
    data = dumped(classifier)
    installed = sklearn.__version__.encode()
    for old, new in ((installed, b"1.2.2"), *damages):
        assert len(old) == len(new)
        assert old in data
        data = data.replace(old, new)
    return data


def without_the_state_of_this_version() -> bytes:
    pipeline = good()
    del pipeline[0].named_transformers_["numbers"][0]._fill_dtype
    return of_another_version(pipeline)


def one_versus_rest(how: str) -> Any:
    """As scikit-learn before 1.8 left it: later versions do not look at multi_class."""
    pipeline = good()
    pipeline[-1].multi_class = how
    pipeline[-1].solver = "liblinear"
    return pipeline


class Absent(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Of a module that is not installed where it is read."""


def of_an_absent_module() -> bytes:
    module = types.ModuleType("hospital_tools")
    Absent.__module__ = "hospital_tools"
    module.Absent = Absent  # type: ignore[attr-defined]
    sys.modules["hospital_tools"] = module
    try:
        return dumped(Absent())
    finally:
        del sys.modules["hospital_tools"]


class Notebook(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Defined in a notebook."""


def of_a_notebook() -> bytes:
    main_module: Any = sys.modules["__main__"]
    Notebook.__module__ = "__main__"
    main_module.Notebook = Notebook
    try:
        return dumped(Notebook())
    finally:
        del main_module.Notebook


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no joblib file": (lambda: b"heart_rate,ward\n80,A\n", "it is no file of joblib.dump()"),
    "cut short": (
        lambda: dumped(good())[:-200],
        "it is damaged, cut short or no file of joblib.dump() (",
    ),
    "no classifier": (
        lambda: {"model": good()},
        "it holds a dict, not a classifier: dump the fitted pipeline itself",
    ),
    "no probabilities": (
        lambda: by(RidgeClassifier()),
        "it has no predict_proba, so no probabilities: calibrate the Pipeline",
    ),
    "not fitted": (
        lambda: make_pipeline(ward(), regression()),
        "it is not fitted: call fit() before joblib.dump()",
    ),
    "other classes": (
        lambda: fitted(make_pipeline(ward(), regression()), levels=["L", "M", "H"]),
        "its classes are ['H', 'L', 'M'], they must be ['Low', 'Medium', 'High'] or 0 to 2",
    ),
    "too many numbers": (
        lambda: fitted(make_pipeline(ward(), regression()), levels=[0, 1, 2, 3]),
        "its classes are [0, 1, 2, 3], they must be",
    ),
    "another number of columns": (
        lambda: RandomForestClassifier(2).fit(np.zeros((3, 5)), ["Low", "Medium", "High"]),
        "it was fitted on 5 columns without names, the schema declares 8 features: rate, ",
    ),
    "a feature that it does not know": (
        lambda: without("news"),
        "it was not fitted on news, which the schema declares; its inputs are rate, ",
    ),
    "an input that the schema does not have": (
        lambda: make_pipeline(
            make_column_transformer((StandardScaler(), ["rate", "bilirubin"])), regression()
        ).fit(table(training()).assign(bilirubin=1.5), outcome(training(), SCHEMA.levels)),
        (
            "step columntransformer.standardscaler (StandardScaler) uses 'bilirubin', which is no"
            " feature of the schema"
        ),
    ),
    "a category that the schema does not have": (
        lambda: one_hot(lambda mind: mind.str.lower()),
        "knows mind as alert, none, pain, voice, which the schema does not declare: Alert, Voice,",
    ),
    "a category that it has never seen": (
        lambda: one_hot(lambda mind: mind.replace("Voice", "Pain")),
        "has never seen mind as Voice, which the schema declares: fit it with handle_unknown=",
    ),
    "nothing for a gap": (
        lambda: fitted_on_complete_records(regression()),
        "lactate may be left out (required: false), but nothing in the pipeline fills it in",
    ),
    "a gap that the classifier cannot score": (
        lambda: fitted_on_complete_records(GaussianNB()),
        "cannot score a record without lactate: Input X contains NaN",
    ),
    "text as a number": (
        lambda: make_pipeline(
            make_column_transformer((StandardScaler(), ["mind"])), regression()
        ).fit(table(training()).assign(mind=1.0), outcome(training(), SCHEMA.levels)),
        "computes with mind, which the schema declares as a category (text)",
    ),
    "a module that is not installed": (
        of_an_absent_module,
        "needs the module hospital_tools, which is not installed here",
    ),
    "a class of a notebook": (of_a_notebook, "it uses what was defined in a notebook or script"),
    "a version that cannot be read": (
        lambda: of_another_version(good(), (b"linear_model._logistic", b"linear_model.xlogistic")),
        (
            f"scikit-learn 1.2.2 wrote it, and scikit-learn {sklearn.__version__}, which is"
            " installed, cannot use it (No module named 'sklearn.linear_model.xlogistic'): fit"
            f" and dump it again with scikit-learn {sklearn.__version__}"
        ),
    ),
    "a version that cannot be used": (
        without_the_state_of_this_version,
        (
            f"scikit-learn 1.2.2 wrote it, and scikit-learn {sklearn.__version__}, which is"
            " installed, cannot use it ('SimpleImputer' object has no attribute '_fill_dtype')"
        ),
    ),
    "one level against the rest": (
        lambda: one_versus_rest("ovr"),
        "it was fitted one level against the rest (multi_class='ovr') by an older scikit-learn",
    ),
    "liblinear": (lambda: one_versus_rest("auto"), "it was fitted one level against the rest"),
}


def fitted_on_complete_records(classifier: Any) -> Any:
    rows = [values for values in training() if None not in values]
    columns = make_column_transformer((StandardScaler(), NUMBERS))
    return make_pipeline(columns, classifier).fit(table(rows), outcome(rows, SCHEMA.levels))


@pytest.mark.filterwarnings("ignore:Trying to unpickle", "ignore:lbfgs failed to converge")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_served_is_refused_with_the_reason(kind: str, tmp_path: Path) -> None:
    make, words = REFUSED[kind]
    with pytest.raises(ClassifierError) as refused:
        imported(make(), tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'own.joblib'}: ")
    assert words in str(refused.value)
    assert not (tmp_path / "model" / "card.json").exists()


def test_numbers_that_the_schema_declares_as_text_are_told_as_such(tmp_path: Path) -> None:
    schema = read_schema(
        {
            "levels": ["Low", "High"],
            "features": [{"name": "triage", "type": "category", "values": ["1", "2", "3"]}],
        }
    )
    import pandas

    data = pandas.DataFrame({"triage": [1, 2, 3] * 20})
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression())
    pipeline.fit(data, ["Low", "Low", "High"] * 20)
    words = (
        "knows triage as the numbers 1, 2, 3, which the schema declares as text: declare it as an"
    )
    with pytest.raises(ClassifierError, match=words):
        imported(pipeline, tmp_path, schema)


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_the_version_is_found_in_compressed_files(compress: Any, tmp_path: Path) -> None:
    from riskpredictor_server.model.classifier_file import unpickle, written_by

    joblib.dump(LogisticRegression(), tmp_path / "own.joblib", compress=compress)
    data = (tmp_path / "own.joblib").read_bytes()
    assert written_by(data) == sklearn.__version__
    assert isinstance(unpickle(data), LogisticRegression)


# The command


def test_the_command_tells_what_to_correct(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_records(tmp_path / "unseen.csv", records(300))
    absent = tmp_path / "absent.joblib"
    arguments = ["--classifier", str(absent), "--data", str(data), "--out", str(tmp_path / "out")]
    assert main(["--model-version", "own-1", *arguments]) == 2
    assert f"{absent}: cannot be read: No such file" in capsys.readouterr().err


def test_the_command_exports_a_pipeline_over_the_four_vitals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vitals, levels = generate(400, seed=1)
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(vitals, levels)
    joblib.dump(classifier, tmp_path / "own.joblib")
    data = write_records(tmp_path / "unseen.csv", records(300))
    arguments = ["--classifier", str(tmp_path / "own.joblib"), "--data", str(data)]
    out = tmp_path / "model"
    assert main(["--model-version", "own-1", *arguments, "--out", str(out)]) == 0
    assert "exported to the linear form: 4 terms, on 2300 records" in capsys.readouterr().out
    assert isinstance(load(out).scorer, LinearScorer)
