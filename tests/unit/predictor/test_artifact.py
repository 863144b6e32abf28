"""A damaged, foreign or disagreeing artifact never serves, and says why."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import orjson
import pytest
from sklearn.ensemble import RandomForestClassifier
from unit.predictor.support import HEALTHY, artifact, changed_copy

from riskpredictor_server.api.service import Service
from riskpredictor_server.model.artifact import ArtifactError, card_digest, load
from riskpredictor_server.settings import Settings
from riskpredictor_server.training.synthetic import generate


def edit_card(folder: Path, change: Callable[[dict[str, Any]], None], seal: bool = True) -> None:
    card = orjson.loads((folder / "card.json").read_bytes())
    change(card)
    if seal:
        card["card_sha256"] = card_digest(card)
    (folder / "card.json").write_bytes(orjson.dumps(card))


def replace_file(folder: Path, name: str, data: bytes) -> None:
    """Replace a file and its digest: a consistent artifact of other content."""
    (folder / name).write_bytes(data)
    edit_card(folder, lambda c: c["files"].update({name: hashlib.sha256(data).hexdigest()}))


def flip(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return damage


def cut(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:-20])

    return damage


def edit_form(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    form = orjson.loads((folder / "scorer.json").read_bytes())
    change(form)
    replace_file(folder, "scorer.json", orjson.dumps(form))


def other_inputs(folder: Path) -> None:
    vitals, labels = generate(200, seed=1)
    buffer = io.BytesIO()
    joblib.dump(RandomForestClassifier(2).fit(vitals[:, :3], labels), buffer)
    replace_file(folder, "model.joblib", buffer.getvalue())
    edit_card(folder, lambda c: c["files"].pop("scorer.json"))


def other_weights(folder: Path) -> None:
    form = orjson.loads((folder / "scorer.json").read_bytes())
    form["terms"][0]["weights"][2] += 1e-4
    replace_file(folder, "scorer.json", orjson.dumps(form))


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no card": (
        lambda f: (f / "card.json").unlink(),
        r"cannot be read .*riskpredictor_server.train",
    ),
    "cut card": (cut("card.json"), "not valid JSON"),
    "edited card": (
        lambda f: edit_card(f, lambda c: c.update(model_version="v9"), seal=False),
        "digest mismatch; the card was changed",
    ),
    "future card": (
        lambda f: edit_card(f, lambda c: c.update(format="riskpredictor-artifact/2")),
        "this server reads riskpredictor-artifact/1",
    ),
    "card is a list": (lambda f: (f / "card.json").write_bytes(b"[]"), "format is 'list'"),
    "card without files": (lambda f: edit_card(f, lambda c: c.pop("files")), "files is missing"),
    "card without golden cases": (
        lambda f: edit_card(f, lambda c: c.update(golden_cases=[])),
        "golden_cases is missing or empty",
    ),
    "card names a file elsewhere": (
        lambda f: edit_card(f, lambda c: c["files"].update({"../x": "0"})),
        "unknown file",
    ),
    "flipped scorer": (flip("scorer.json"), r"scorer.json: digest mismatch"),
    "cut scorer": (cut("scorer.json"), r"scorer.json: digest mismatch"),
    "no scorer": (lambda f: (f / "scorer.json").unlink(), r"scorer.json cannot be read"),
    "flipped pickle": (flip("model.joblib"), r"model.joblib: digest mismatch"),
    "future scorer": (
        lambda f: replace_file(f, "scorer.json", b'{"format": "riskpredictor-scorer/2"}'),
        "this server reads riskpredictor-scorer/1",
    ),
    "scorer is not JSON": (lambda f: replace_file(f, "scorer.json", b"{"), "scorer.json"),
    "scorer is a list": (lambda f: replace_file(f, "scorer.json", b"[]"), "format is 'list'"),
    "scorer of other classes": (
        lambda f: edit_form(f, lambda form: form.update(classes=5)),
        "classes must be Low, Medium, High",
    ),
    "card without features": (lambda f: edit_card(f, lambda c: c.pop("features")), "features is"),
    "features of other vitals": (
        lambda f: edit_card(f, lambda c: c["features"].pop()),
        "features must be heart_rate, blood_pressure, temperature, oxygen_level",
    ),
    "features are numbers": (
        lambda f: edit_card(f, lambda c: c.update(features=[1, 2, 3, 4])),
        "features must be heart_rate",
    ),
    "feature without its range": (
        lambda f: edit_card(f, lambda c: c["features"][1].pop("trained_on")),
        "features: blood_pressure: trained_on must have minimum and maximum",
    ),
    "feature whose baseline has too few shares": (
        lambda f: edit_card(f, lambda c: c["features"][2]["baseline"]["shares"].pop()),
        "features: temperature: baseline must have edges and one more shares",
    ),
    "version that is no header": (
        lambda f: edit_card(f, lambda c: c.update(model_version="v1\r\nX: y")),
        "is not a version",
    ),
    "golden case is a number": (
        lambda f: edit_card(f, lambda c: c["golden_cases"].insert(1, 5)),
        r"golden_cases\[1\] must be an object with a name",
    ),
    "golden case without input": (
        lambda f: edit_card(f, lambda c: c["golden_cases"][0].pop("input")),
        "golden case 'healthy adult': input is missing",
    ),
    "golden case without probabilities": (
        lambda f: edit_card(f, lambda c: c["golden_cases"][0].pop("probabilities")),
        "golden case 'healthy adult': probabilities must be 3 numbers",
    ),
    "golden case with a probability too few": (
        lambda f: edit_card(f, lambda c: c["golden_cases"][0]["probabilities"].pop()),
        "golden case 'healthy adult': probabilities must be 3 numbers",
    ),
    "golden case with an impossible input": (
        lambda f: edit_card(f, lambda c: c["golden_cases"][0].update(input=[])),
        "golden case 'healthy adult': invalid input",
    ),
    "classifier of other inputs": (other_inputs, "golden case .*: the model cannot score it"),
    "scorer disagrees with its golden cases": (other_weights, "golden case 'athlete at rest'"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_artifact_is_not_ready_and_answers_nothing(
    damage: Callable[[Path], Any], words: str, tmp_path: Path
) -> None:
    folder = changed_copy(artifact(), tmp_path)
    damage(folder)
    with pytest.raises(ArtifactError, match=words):
        load(folder)
    service = Service(Settings(model=folder, pod_name="p"))
    ready = service.ready("id")
    assert ready.status == 503
    assert ready.content_type == "application/problem+json"
    assert orjson.loads(ready.body)["reason"] == service.reason
    answer = service.predict(orjson.dumps(HEALTHY), "application/json", "id")
    assert answer.status == 503
    assert b"risk_level" not in answer.body
    assert service.health().status == 200


def test_a_pickle_is_never_opened_for_a_linear_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joblib, "load", lambda _: pytest.fail("unpickled"))
    assert load(artifact()).version == "v1"


def test_a_pickle_is_never_opened_before_its_digest_matched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joblib, "load", lambda _: pytest.fail("unpickled"))
    folder = changed_copy(artifact(), tmp_path)
    edit_card(folder, lambda c: c["files"].pop("scorer.json"))
    flip("model.joblib")(folder)
    with pytest.raises(ArtifactError, match="digest mismatch"):
        load(folder)


def test_a_model_without_its_library_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = changed_copy(artifact(), tmp_path)
    edit_card(folder, lambda c: c["files"].pop("scorer.json"))
    # As in the image without extras: to import it raises ModuleNotFoundError.
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ArtifactError, match=r"needs the module joblib.*--build-arg EXTRAS=sklearn"):
        load(folder)


def test_another_classifier_is_served_by_the_fallback(tmp_path: Path) -> None:
    vitals, labels = generate(400, seed=1)
    forest = RandomForestClassifier(n_estimators=10, random_state=0).fit(vitals, labels)
    order = [list(forest.classes_).index(level) for level in ("Low", "Medium", "High")]
    buffer = io.BytesIO()
    joblib.dump(forest, buffer)
    folder = changed_copy(artifact(), tmp_path)
    replace_file(folder, "model.joblib", buffer.getvalue())

    def describe(card: dict[str, Any]) -> None:
        del card["files"]["scorer.json"]
        for case in card["golden_cases"]:
            names = ("heart_rate", "blood_pressure", "temperature", "oxygen_level")
            row = [[case["input"][name] for name in names]]
            case["probabilities"] = forest.predict_proba(row)[0, order].tolist()

    edit_card(folder, describe)
    service = Service(Settings(model=folder, pod_name="p"))
    assert service.reason == ""
    answer = orjson.loads(service.predict(orjson.dumps(HEALTHY), "application/json", "id").body)
    assert answer["risk_level"] == "Low"
    assert answer["contributions"] is None
