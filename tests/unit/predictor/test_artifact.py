"""A damaged, foreign or disagreeing artifact never serves, and says why."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import orjson
import pytest
from sklearn.ensemble import RandomForestClassifier
from unit.predictor.support import HEALTHY, artifact, changed_copy, service

from riskpredictor_server.model.artifact import ArtifactError, load, self_digest
from riskpredictor_server.training.synthetic import generate
from support import foreign_model

Damage = Callable[[Path], Any]


def edit(change: Callable[[dict[str, Any]], Any], seal: bool = True) -> Damage:
    """Change the card and, unless told otherwise, its own digest with it."""

    def damage(folder: Path) -> None:
        card = orjson.loads((folder / "card.json").read_bytes())
        change(card)
        if seal:
            card["card_sha256"] = self_digest(card)
        (folder / "card.json").write_bytes(orjson.dumps(card))

    return damage


def replace(name: str, data: bytes) -> Damage:
    """Replace a file and its digest: a consistent artifact of other content."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(data)
        edit(lambda card: card["files"].update({name: hashlib.sha256(data).hexdigest()}))(folder)

    return damage


def flip(name: str) -> Damage:
    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return damage


def classifier_of_three_vitals(folder: Path) -> None:
    vitals, labels = generate(200, seed=1)
    joblib.dump(RandomForestClassifier(2).fit(vitals[:, :3], labels), folder / "model.joblib")
    replace("model.joblib", (folder / "model.joblib").read_bytes())(folder)
    without_scorer(folder)


def other_weights(folder: Path) -> None:
    form = orjson.loads((folder / "scorer.json").read_bytes())
    form["terms"][0]["weights"][2] += 1e-4
    replace("scorer.json", orjson.dumps(form))(folder)


without_scorer = edit(lambda card: card["files"].pop("scorer.json"))

DAMAGES: dict[str, tuple[Damage, str]] = {
    "no card": (
        lambda folder: (folder / "card.json").unlink(),
        r"cannot be read .*riskpredictor_server.train",
    ),
    "card is cut": (lambda f: (f / "card.json").write_bytes(b'{"format": '), "not valid JSON"),
    "edited card": (
        edit(lambda c: c.update(model_version="v9"), seal=False),
        "digest mismatch; the card was changed",
    ),
    "future card": (
        edit(lambda c: c.update(format="riskpredictor-artifact/3")),
        "this server reads riskpredictor-artifact/2",
    ),
    "card is a list": (lambda f: (f / "card.json").write_bytes(b"[]"), "format is 'list'"),
    "no golden cases": (edit(lambda c: c.update(golden_cases=[])), "golden_cases is missing or e"),
    "file elsewhere": (edit(lambda c: c["files"].update({"../x": "0"})), "unknown file"),
    "flipped scorer": (flip("scorer.json"), r"scorer.json: digest mismatch"),
    "no scorer": (lambda f: (f / "scorer.json").unlink(), r"scorer.json cannot be read"),
    "flipped pickle": (flip("model.joblib"), r"model.joblib: digest mismatch"),
    "scorer is a list": (replace("scorer.json", b"[]"), "scorer.json: format is 'list'"),
    "scorer is not JSON": (replace("scorer.json", b"{"), "scorer.json"),
    "no features": (edit(lambda c: c.pop("features")), "features: must be a list"),
    "features are numbers": (
        edit(lambda c: c.update(features=[1, 2, 3, 4])),
        r"features\[0\]: must be a mapping with name and type",
    ),
    "feature without its range": (
        edit(lambda c: c["features"][1].pop("trained_on")),
        "features: blood_pressure: trained_on and baseline must be objects",
    ),
    "baseline with too few shares": (
        edit(lambda c: c["features"][2]["baseline"]["shares"].pop()),
        "features: temperature: baseline must have edges and one more shares",
    ),
    "version that is no header": (
        edit(lambda c: c.update(model_version="v1\r\nX: y")),
        "is not a version",
    ),
    "golden case is a number": (
        edit(lambda c: c["golden_cases"].insert(1, 5)),
        r"golden_cases\[1\] must be an object with a name",
    ),
    "golden case without input": (
        edit(lambda c: c["golden_cases"][0].pop("input")),
        "golden case 'healthy adult': input must be values for heart_rate, ",
    ),
    "golden case in Celsius": (
        edit(lambda c: c["golden_cases"][0]["input"].update(temperature_unit="C")),
        "temperature, oxygen_level and nothing else",
    ),
    "golden case of text": (
        edit(lambda c: c["golden_cases"][0]["input"].update(temperature="98.6")),
        "golden case 'healthy adult': input must be values",
    ),
    "golden case with a probability too few": (
        edit(lambda c: c["golden_cases"][0]["probabilities"].pop()),
        "golden case 'healthy adult': probabilities must be 3 numbers",
    ),
    "classifier of three vitals": (
        classifier_of_three_vitals,
        "model.joblib: cannot be loaded: it was fitted on 3 columns",
    ),
    "scorer disagrees with its golden cases": (other_weights, "golden case 'athlete at rest'"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_artifact_is_not_ready_and_answers_nothing(
    damage: Damage, words: str, tmp_path: Path
) -> None:
    folder = changed_copy(artifact(), tmp_path)
    damage(folder)
    with pytest.raises(ArtifactError, match=words):
        load(folder)
    serving = service(model=folder)
    ready = serving.ready("id")
    assert ready.status == 503
    assert ready.content_type == "application/problem+json"
    assert orjson.loads(ready.body)["reason"] == serving.reason
    answer = serving.predict(orjson.dumps(HEALTHY), "application/json", "id")
    assert answer.status == 503
    assert b"risk_level" not in answer.body
    assert serving.health().status == 200


def test_a_pickle_is_never_opened_for_a_linear_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "load", lambda _: pytest.fail("unpickled"))
    assert load(artifact()).version == "v1"


def test_a_pickle_is_never_opened_before_its_digest_matched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joblib, "load", lambda _: pytest.fail("unpickled"))
    folder = changed_copy(artifact(), tmp_path)
    without_scorer(folder)
    flip("model.joblib")(folder)
    with pytest.raises(ArtifactError, match="digest mismatch"):
        load(folder)


def test_a_model_without_its_library_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = changed_copy(artifact(), tmp_path)
    without_scorer(folder)
    # As in the image without extras: to import it raises ModuleNotFoundError.
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ArtifactError, match=r"needs the module joblib.*--build-arg EXTRAS=sklearn"):
        load(folder)


@pytest.mark.parametrize("fill", [{"a": 1}, [1.2], "1.2", True])
def test_a_fill_that_is_no_value_of_its_feature_is_refused(tmp_path: Path, fill: object) -> None:
    foreign_model.write(tmp_path)
    edit(lambda c: c["features"][2].update(fill=fill))(tmp_path)
    with pytest.raises(ArtifactError, match="features: lactate: fill must be a value of it"):
        load(tmp_path)
