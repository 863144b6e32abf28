"""Loading a candidate: it is compared, or its state says why not, and the stable model serves."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import orjson
import pytest
from unit.predictor.candidates import seal, variant, with_candidate, write_variant
from unit.predictor.support import HEALTHY, forest

from riskpredictor_server.model.artifact import load, read_card
from riskpredictor_server.model.candidate import MOST_BYTES, MOST_FACTORS, MOST_TERMS
from support import foreign_model


def told(folder: Path) -> dict[str, Any]:
    """What GET /rollout says of a candidate; the stable model must serve beside it."""
    serving = with_candidate(folder, cases="/nowhere")
    assert serving.ready("id").status == 200
    assert serving.predict(orjson.dumps(HEALTHY), "application/json", "id").status == 200
    document = orjson.loads(serving.rollout_state("id").body)
    found: dict[str, Any] = document["candidate"]
    if found["state"] != "Comparing":
        assert document["pairs"] == 0
        assert document["answers"] == {"stable": 1, "candidate": 0}
    return found


def test_a_good_one_is_compared_and_named_by_its_card() -> None:
    found = told(variant())
    digest = load(variant()).card_digest
    assert found == {
        "version": "v2",
        "digest": f"sha256:{digest}",
        "state": "Comparing",
        "reason": "",
        "message": "",
    }


def _cut(folder: Path) -> None:
    data = (folder / "scorer.json").read_bytes()
    (folder / "scorer.json").write_bytes(data[:-10])


def _fetch_failed(folder: Path) -> None:
    text = '{"reason": "ModelSignatureInvalid", "message": "another key"}\n'
    (folder / "ERROR").write_text(text)


def _fetch_failed_silently(folder: Path) -> None:
    (folder / "ERROR").write_text("oops")


@pytest.mark.parametrize(
    ("damage", "reason", "words"),
    [
        (shutil.rmtree, "ModelNotFound", "is not there"),
        (_cut, "ModelRejected", "digest mismatch"),
        (lambda folder: (folder / "card.json").unlink(), "ModelRejected", "cannot be read"),
        (_fetch_failed, "ModelSignatureInvalid", "another key"),
        (_fetch_failed_silently, "ModelFetchFailed", "does not say why"),
    ],
    ids=["no folder", "cut file", "no card", "told by the fetch step", "not told"],
)
def test_one_that_cannot_be_used_says_why(
    damage: Callable[[Path], Any], reason: str, words: str, tmp_path: Path
) -> None:
    folder = write_variant(tmp_path / "v2")
    damage(folder)
    found = told(folder)
    assert (found["state"], found["reason"]) == ("Unusable", reason)
    assert words in found["message"]


def test_whatever_loading_raises_the_stable_model_serves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RecursionError

    monkeypatch.setattr("riskpredictor_server.model.candidate.load", fail)
    with caplog.at_level(logging.ERROR):
        found = told(variant())
    assert (found["state"], found["reason"]) == ("Unusable", "ModelRejected")
    assert "RecursionError" in found["message"]


@pytest.mark.parametrize(
    "part",
    ["api.rollout.PairedScoring", "api.rollout.check_cases", "api.service.Service._add_versions"],
)
def test_whatever_preparing_raises_the_stable_model_serves(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("trained_on")

    monkeypatch.setattr(f"riskpredictor_server.{part}", fail)
    found = told(variant())
    assert (found["state"], found["reason"]) == ("Unusable", "ModelRejected")
    assert "KeyError" in found["message"]


@pytest.fixture
def forest_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of a pickle alone, which must not be opened."""
    folder = write_variant(tmp_path / "v2")
    joblib.dump(forest(), folder / "model.joblib")
    card = orjson.loads((folder / "card.json").read_bytes())
    del card["files"]["scorer.json"]
    digest = hashlib.sha256((folder / "model.joblib").read_bytes()).hexdigest()
    card["files"]["model.joblib"] = digest
    seal(folder, card)

    def opened(*_: Any) -> None:
        pytest.fail("the pickle was opened")

    monkeypatch.setattr("riskpredictor_server.model.sklearn_scorer.load_pipeline", opened)
    return folder


def test_one_that_is_not_linear_is_not_compared_and_its_pickle_is_never_opened(
    forest_folder: Path,
) -> None:
    found = told(forest_folder)
    assert (found["state"], found["version"]) == ("NotComparable", "v2")
    assert found["digest"].startswith("sha256:")
    assert found["message"].startswith("it is not linear")


def test_the_gate_on_the_cards_can_look_at_it_nevertheless(forest_folder: Path) -> None:
    document = orjson.loads(with_candidate(forest_folder).rollout_state("id").body)
    card = orjson.loads((forest_folder / "card.json").read_bytes())
    assert document["brier"]["candidate"] == card["metrics"]["brier"] > 0


def test_that_is_told_rather_than_the_size_of_its_pickle(forest_folder: Path) -> None:
    with (forest_folder / "model.joblib").open("ab") as file:
        file.truncate(MOST_BYTES + 1)
    assert told(forest_folder)["message"].startswith("it is not linear")


def test_nor_is_it_opened_if_the_card_is_exchanged_between_two_looks_at_it(
    forest_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_card(variant())
    monkeypatch.setattr("riskpredictor_server.model.candidate.read_card", lambda _: before)
    found = told(forest_folder)
    assert found["state"] == "NotComparable"
    assert "it is not linear" in found["message"]


def test_one_of_too_many_terms_is_not_compared(tmp_path: Path) -> None:
    def grow(_card: dict[str, Any], form: dict[str, Any]) -> None:
        more = MOST_TERMS + 1 - len(form["terms"])
        form["terms"] += [form["terms"][0]] * more

    found = told(write_variant(tmp_path / "v2", change=grow))
    assert found["state"] == "NotComparable"
    assert found["message"].startswith(f"it has {MOST_TERMS + 1} terms")


def test_one_of_too_many_factors_is_not_compared(tmp_path: Path) -> None:
    def grow(_card: dict[str, Any], form: dict[str, Any]) -> None:
        factor = {"feature": "heart_rate", "above": 60, "scale": 100.0}
        form["terms"] = [{"factors": [factor] * (MOST_FACTORS + 1), "weights": [0.0, 0.0, 0.1]}]

    found = told(write_variant(tmp_path / "v2", change=grow))
    assert found["state"] == "NotComparable"
    assert found["message"].startswith(f"it has {MOST_FACTORS + 1} factors")


@pytest.mark.parametrize("name", ["card.json", "scorer.json", "model.joblib", "model.sig"])
@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(__file__)],
    ids=["pipe", "device", "link out of the folder"],
)
def test_what_is_no_file_of_the_folder_is_not_read(
    name: str, make: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_variant(tmp_path / "v2")
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    for function in ("read_card", "load"):
        monkeypatch.setattr(f"riskpredictor_server.model.candidate.{function}", None)
    found = told(folder)
    assert (found["state"], found["reason"]) == ("Unusable", "ModelRejected")
    assert f"{name} must be a file, or a link to one in its folder" in found["message"]


def test_links_inside_of_the_folder_are_files_of_it(tmp_path: Path) -> None:
    folder = write_variant(tmp_path / "v2")
    (folder / "..data").mkdir()
    (folder / "card.json").rename(folder / "..data" / "card.json")
    (folder / "card.json").symlink_to("..data/card.json")
    (tmp_path / "link").symlink_to(folder)
    assert told(tmp_path / "link")["state"] == "Comparing"


@pytest.mark.parametrize("name", ["card.json", "scorer.json", "model.joblib"])
def test_one_of_too_large_a_file_is_not_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_variant(tmp_path / "v2")
    with (folder / name).open("ab") as file:
        file.truncate(MOST_BYTES + 1)
    monkeypatch.setattr("riskpredictor_server.model.candidate.load", None)
    found = told(folder)
    assert found["state"] == "NotComparable"
    assert f"{name} has {MOST_BYTES + 1} bytes" in found["message"]


def test_one_of_another_kind_of_record_is_not_compared(tmp_path: Path) -> None:
    found = told(foreign_model.write(tmp_path / "ward"))
    assert (found["state"], found["version"]) == ("NotComparable", "ward1")
    assert "its levels are" in found["message"]


def test_one_that_would_refuse_a_record_is_not_compared(tmp_path: Path) -> None:
    def narrow(card: dict[str, Any], _form: dict[str, Any]) -> None:
        card["features"][0]["maximum"] -= 1

    found = told(write_variant(tmp_path / "v2", change=narrow))
    assert found["state"] == "NotComparable"
    assert found["message"].startswith("heart_rate: it takes 20 to 299 bpm")


def test_without_a_stable_model_there_is_no_roll_out(tmp_path: Path) -> None:
    serving = with_candidate(model=tmp_path / "none")
    assert serving.ready("id").status == 503
    assert serving.rollout_state("id").status == 503
