"""Writes artifacts of models that are not the default one, by hand and without scikit-learn.

:func:`write` is a model of an early-warning kind: an integer, a number in two units, a number that
may be left out, a boolean, a category, and four levels. :func:`write_wide` has as many features and
levels as asked for. Both are of card format 2 and scorer format 2, and pass every check of loading.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

Record = Mapping[str, Any]

LEVELS = ["Low", "Moderate", "High", "Very high"]
WELL: Record = {
    "respiratory_rate": 16,
    "glucose": 5.5,
    "lactate": 0.9,
    "supplemental_oxygen": False,
    "consciousness": "Alert",
}
ILL: Record = {
    "respiratory_rate": 34,
    "glucose": 19.5,
    "supplemental_oxygen": True,
    "consciousness": "Pain",
}
"""Lactate is left out."""

_DECILES = [0.1] * 10
FEATURES: list[dict[str, Any]] = [
    {
        "name": "respiratory_rate",
        "type": "integer",
        "title": "Respiratory rate",
        "unit": "breaths/min",
        "minimum": 4,
        "maximum": 70,
        "step": 1,
        "required": True,
        "description": "Breaths in one minute, at rest.",
        "risk": "rises outside 12..20",
        "trained_on": {"minimum": 6.0, "maximum": 44.0},
        "mean": 18.2,
        "standard_deviation": 5.1,
        "baseline": {"edges": [13, 14, 15, 16, 17, 18, 20, 22, 25], "shares": _DECILES},
        "monotone": {"declared": "rises outside 12..20", "holds": True, "detail": ""},
    },
    {
        "name": "glucose",
        "type": "number",
        "title": "Glucose",
        "unit": "mmol/L",
        "minimum": 0.5,
        "maximum": 50,
        "step": 0.1,
        "required": True,
        "units": {"mg/dL": {"scale": 0.0555, "offset": 0}},
        "trained_on": {"minimum": 2.2, "maximum": 31.4},
        "mean": 7.4,
        "standard_deviation": 3.2,
        "baseline": {"edges": [4.3, 4.8, 5.2, 5.6, 6.1, 6.8, 7.9, 9.7, 12.6], "shares": _DECILES},
    },
    {
        "name": "lactate",
        "type": "number",
        "title": "Lactate",
        "unit": "mmol/L",
        "minimum": 0.1,
        "maximum": 30,
        "step": 0.1,
        "required": False,
        "risk": "rises",
        "trained_on": {"minimum": 0.3, "maximum": 14.6},
        "mean": 1.7,
        "standard_deviation": 1.4,
        "baseline": {"edges": [0.6, 0.8, 0.9, 1.0, 1.2, 1.4, 1.7, 2.3, 3.6], "shares": _DECILES},
        "left_out": 0.35,
        "fill": 1.2,
        "monotone": {"declared": "rises", "holds": True, "detail": ""},
    },
    {
        "name": "supplemental_oxygen",
        "type": "boolean",
        "title": "Supplemental oxygen",
        "required": True,
        "description": "Whether the patient breathes oxygen by mask or nasal cannula.",
        "trained_on": {"values": [False, True]},
        "baseline": {"values": [False, True], "shares": [0.82, 0.18]},
    },
    {
        "name": "consciousness",
        "type": "category",
        "title": "Consciousness",
        "required": True,
        "values": ["Alert", "Voice", "Pain", "Unresponsive"],
        "trained_on": {"values": ["Alert", "Voice", "Pain"]},
        "baseline": {
            "values": ["Alert", "Voice", "Pain", "Unresponsive"],
            "shares": [0.9, 0.07, 0.03, 0.0],
        },
    },
]
"""The features of :func:`write`, as its card has them."""

FORM: dict[str, Any] = {
    "format": "riskpredictor-scorer/2",
    "levels": LEVELS,
    "intercepts": [1.6, 0.8, -0.7, -2.0],
    "fills": {"lactate": 1.2},
    "terms": [
        {
            "factors": [{"feature": "respiratory_rate", "above": 20, "mean": 1.2, "scale": 2.9}],
            "weights": [-0.9, -0.2, 0.4, 0.7],
        },
        {
            "factors": [{"feature": "respiratory_rate", "below": 12, "mean": 0.1, "scale": 0.6}],
            "weights": [-0.3, -0.1, 0.1, 0.3],
        },
        {
            "factors": [{"feature": "glucose", "above": 11, "mean": 0.6, "scale": 1.7}],
            "weights": [-0.4, 0.0, 0.2, 0.2],
        },
        {
            "factors": [{"feature": "lactate", "mean": 1.7, "scale": 1.4}],
            "weights": [-0.7, -0.2, 0.2, 0.7],
        },
        {
            "factors": [{"feature": "lactate", "missing": True}],
            "weights": [0.1, 0.0, 0.0, -0.1],
        },
        {
            "factors": [{"feature": "supplemental_oxygen", "equals": True}],
            "weights": [-0.8, 0.0, 0.3, 0.5],
            "centre": 0.18,
        },
        {
            "factors": [{"feature": "consciousness", "equals": "Voice"}],
            "weights": [-1.0, -0.2, 0.5, 0.7],
        },
        {
            "factors": [{"feature": "consciousness", "equals": "Pain"}],
            "weights": [-1.8, -0.6, 0.8, 1.6],
        },
        {
            "factors": [{"feature": "consciousness", "equals": "Unresponsive"}],
            "weights": [-2.2, -0.9, 0.9, 2.2],
        },
        {
            "factors": [
                {"feature": "respiratory_rate", "above": 20, "mean": 1.2, "scale": 2.9},
                {"feature": "supplemental_oxygen", "equals": True},
            ],
            "weights": [-0.2, 0.0, 0.1, 0.1],
        },
    ],
}
"""The scorer of :func:`write`."""


def write(folder: Path, version: str = "ward1") -> Path:
    """Write the early-warning model to ``folder``, which may not be there yet, and return it."""
    examples = [
        {"title": "Stable on the ward", "record": dict(WELL)},
        {"title": "Hyperglycaemia", "record": {**WELL, "glucose": 23.6}},
        {"title": "Deteriorating", "record": dict(ILL)},
    ]
    return write_artifact(folder, FEATURES, FORM, version, examples)


def write_wide(folder: Path, features: int = 64, levels: int = 10) -> Path:
    """Write a model of many numbers and levels; its features are called value_1 and so on."""
    rows = [
        {
            "name": f"value_{number}",
            "type": "number",
            "title": f"Value {number}",
            "unit": "U/L",
            "minimum": 0,
            "maximum": 100,
            "step": 0.5,
            "required": True,
            "trained_on": {"minimum": 0.0, "maximum": 100.0},
            "mean": 50.0,
            "standard_deviation": 28.9,
            "baseline": {"edges": [10.0 * edge for edge in range(1, 10)], "shares": _DECILES},
        }
        for number in range(1, features + 1)
    ]
    form = {
        "format": "riskpredictor-scorer/2",
        "levels": [f"Level {number}" for number in range(1, levels + 1)],
        "intercepts": [0.0] * levels,
        "fills": {},
        "terms": [
            {
                "factors": [{"feature": row["name"], "mean": 50.0, "scale": 28.9}],
                "weights": [0.02 * number * level for level in range(levels)],
            }
            for number, row in enumerate(rows, 1)
        ],
    }
    record = {row["name"]: 50 for row in rows}
    examples = [
        {"title": "All at 50", "record": record},
        {"title": "All at 100", "record": dict.fromkeys(record, 100)},
    ]
    return write_artifact(folder, rows, form, "wide1", examples)


def write_artifact(
    folder: Path,
    features: Sequence[Mapping[str, Any]],
    form: Mapping[str, Any],
    version: str,
    examples: Sequence[Mapping[str, Any]],
    **more: Any,
) -> Path:
    """Write scorer.json and card.json of any linear model; ``more`` are members of the card.

    The golden cases are the examples, with the probabilities that :func:`probabilities` gives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scorer = _json(form)
    (folder / "scorer.json").write_bytes(scorer)
    levels = form["levels"]
    card = {
        "format": "riskpredictor-artifact/2",
        "model_version": version,
        "model_type": "multinomial logistic regression",
        "intended_use": "tests",
        "recipe": {"name": "by hand", "summary": "weights chosen by hand, for tests"},
        "explanation": f"contributions are log-odds of {levels[-1]} against {levels[0]}",
        "levels": levels,
        "features": [dict(row) for row in features],
        "examples": [dict(example) for example in examples],
        "data": {
            "source": "invented",
            "records": 100 * len(levels),
            "seed": None,
            "levels": dict.fromkeys(levels, 100),
        },
        "metrics": _metrics(levels),
        "golden_cases": [
            {
                "name": example["title"],
                "input": example["record"],
                "probabilities": probabilities(example["record"], features, form),
            }
            for example in examples
        ],
        "made_with": {},
        "files": {"scorer.json": hashlib.sha256(scorer).hexdigest()},
        **more,
    }
    body = orjson.dumps(card, option=orjson.OPT_SORT_KEYS)
    card["card_sha256"] = hashlib.sha256(body).hexdigest()
    (folder / "card.json").write_bytes(_json(card))
    return folder


def probabilities(
    record: Record,
    features: Sequence[Mapping[str, Any]] = FEATURES,
    form: Mapping[str, Any] = FORM,
) -> list[float]:
    """Compute the probabilities of a record as the formula of scorer format 2 is written down.

    Its numbers are in the features' own units.
    """
    values = {row["name"]: record.get(row["name"]) for row in features}
    logits = list(form["intercepts"])
    for term in form["terms"]:
        value = math.prod(_factor(each, values, form.get("fills", {})) for each in term["factors"])
        logits = [logit + w * value for logit, w in zip(logits, term["weights"], strict=True)]
    shifted = [math.exp(logit - max(logits)) for logit in logits]
    return [each / sum(shifted) for each in shifted]


def _factor(factor: Mapping[str, Any], values: Record, fills: Record) -> float:
    given = values[factor["feature"]]
    x = fills.get(factor["feature"]) if given is None else given
    if "above" in factor:
        raw = max(0.0, x - factor["above"])
    elif "below" in factor:
        raw = max(0.0, factor["below"] - x)
    elif "equals" in factor:
        raw = float(x == factor["equals"])
    elif "missing" in factor:
        raw = float(given is None)
    else:
        raw = float(x)  # type: ignore[arg-type]
    return float((raw - factor.get("mean", 0.0)) / factor.get("scale", 1.0))


def _metrics(levels: Sequence[str]) -> dict[str, Any]:
    """Figures of a model that takes 2 of 100 records of each level for each other level."""
    right = 100 - 2 * (len(levels) - 1)
    share = right / 100
    row = {"precision": share, "recall": share, "f1": share, "support": 100}
    reliability = {
        "from": math.floor(10 * share) / 10,
        "to": math.floor(10 * share + 1) / 10,
        "records": 100 * len(levels),
        "mean_confidence": share,
        "accuracy": share,
    }
    return {
        "records": 100 * len(levels),
        "accuracy": share,
        "brier": 0.12,
        "expected_calibration_error": 0.0,
        "log_loss": 0.3,
        "per_class": dict.fromkeys(levels, row),
        "confusion": {
            "rows": "true level",
            "columns": "predicted level",
            "levels": list(levels),
            "counts": [[right if a == b else 2 for b in levels] for a in levels],
        },
        "reliability": [reliability],
    }


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
