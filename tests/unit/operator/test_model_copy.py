"""Specification of copies: what is in one, when it is intact, and which ones stay."""

from __future__ import annotations

import base64
import json

import pytest
from unit.operator.builders import NAMESPACE, UID, Object, changed, declared
from unit.operator.models import digest_of, model
from unit.operator.test_manifests import LABELS

from riskpredictor_operator.core.model_copy import (
    DamagedError,
    build_copy,
    is_intact,
    listed_files,
    remember,
    verify,
)

FILES = model("v2", model_joblib=b"\x80\x04")
DIGEST = digest_of(FILES)
META = {"labels": {"team": "a", "app": "x"}, "annotations": {"owner": "b"}}
RP = declared(
    modelVersion="v2",
    model={"digest": DIGEST, "source": {"pvc": {"claimName": "models"}}},
    childMetadata=META,
)


def test_a_copy_is_an_immutable_config_map_that_goes_with_its_predictor() -> None:
    assert build_copy(RP, DIGEST, FILES) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"risk-model-{DIGEST[7:19]}",
            "namespace": NAMESPACE,
            "labels": {"team": "a", **LABELS},
            "annotations": {"owner": "b", "healthtech.dev/model-digest": DIGEST},
            "ownerReferences": [
                {
                    "apiVersion": "healthtech.dev/v1alpha1",
                    "kind": "RiskPredictor",
                    "name": "risk",
                    "uid": UID,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "immutable": True,
        "binaryData": {
            name: base64.b64encode(FILES[name]).decode()
            for name in ("card.json", "model.joblib", "scorer.json")
        },
    }


def test_a_copy_is_intact_with_and_without_a_signature() -> None:
    assert is_intact(build_copy(RP, DIGEST, FILES), DIGEST)
    assert is_intact(build_copy(RP, DIGEST, {**FILES, "model.sig": b"{}"}), DIGEST)


COPY = build_copy(RP, DIGEST, FILES)
DAMAGED = {
    "another model": build_copy(RP, DIGEST, model("v3")),
    "a changed card": changed(COPY, "e30=", "binaryData", "card.json"),
    "a changed file": changed(COPY, "e30=", "binaryData", "scorer.json"),
    "a file more": changed(COPY, "e30=", "binaryData", "more.json"),
    "text beside it": {**COPY, "data": {"card.json": "{}"}},
    "no base64": changed(COPY, "?", "binaryData", "scorer.json"),
    "a missing file": {**COPY, "binaryData": {"card.json": COPY["binaryData"]["card.json"]}},
    "nothing": {"metadata": COPY["metadata"]},
}


@pytest.mark.parametrize("copy", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_copy_is_not_intact(copy: Object) -> None:
    assert not is_intact(copy, DIGEST)


CARDS = {
    "no JSON": b"model",
    "a list": b"[]",
    "no files": b"{}",
    "files that are a list": b'{"files": ["scorer.json"]}',
    "a path": b'{"files": {"../scorer.json": "0a"}}',
    "the card itself": b'{"files": {"card.json": "0a"}}',
    "the signature": b'{"files": {"model.sig": "0a"}}',
    "a digest that is none": b'{"files": {"scorer.json": 7}}',
    "too many": json.dumps({"files": {f"f{n}": "0a" for n in range(17)}}).encode(),
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_that_lists_no_files_of_a_model_is_refused(card: bytes) -> None:
    with pytest.raises(DamagedError, match=r"card\.json lists"):
        listed_files(card, digest_of({"card.json": card}))


def test_a_card_is_not_read_unless_its_digest_is_the_declared_one() -> None:
    with pytest.raises(DamagedError, match=r"card\.json is not the one with the digest sha256:"):
        listed_files(b"no JSON at all", DIGEST)


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(DamagedError, match=r"^scorer\.json is not the one that the card lists"):
        verify({**FILES, "scorer.json": b"other"}, DIGEST)
    with pytest.raises(DamagedError, match=r"^a\.json is in no card"):
        verify({**FILES, "b.json": b"", "a.json": b""}, DIGEST)


@pytest.mark.parametrize(
    ("present", "before", "kept", "dropped"),
    [
        ("a", "", "a", ""),
        ("b", "a", "ba", ""),
        ("a", "ba", "ab", ""),
        ("e", "dcba", "edcb", "a"),
        ("b", "edcba", "bedc", "a"),
        ("a", "dcba", "adcb", ""),
        ("ab", "a", "ab", ""),
        ("ab", "ba", "ab", ""),
        ("ef", "dcba", "efdcb", "a"),
        ("f", "efdcb", "fedc", "b"),
    ],
    ids=["the first", "a second", "a revert", "one too many", "a revert among many", "the oldest",
         "a candidate", "a candidate that stays", "a candidate among many", "a promotion"],
)  # fmt: skip
def test_the_copies_of_the_present_models_and_of_three_before_stay(
    present: str, before: str, kept: str, dropped: str
) -> None:
    assert remember(present, before) == (tuple(kept), tuple(dropped))
