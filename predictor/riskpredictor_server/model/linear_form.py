"""Reads scorer.json: the exact linear form of a model, as terms over the features of its schema."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from riskpredictor_server.model.schema import Feature, Schema

SCORER_FORMAT: Final = "riskpredictor-scorer/2"
_FORMAT_1: Final = "riskpredictor-scorer/1"
KINDS: Final = ("above", "below", "equals", "missing")


class Factor(NamedTuple):
    """``(g(x) - mean) / scale`` of one feature's value x.

    By ``kind``, g(x) is max(0, x - at) for above, max(0, at - x) for below, 1 where x is ``at`` and
    else 0 for equals, 1 where the feature was left out and else 0 for missing, and x itself for the
    empty kind.
    """

    feature: int
    """Its place in the schema."""
    kind: str
    at: Any
    mean: float
    scale: float

    def value(self, x: Any, left_out: bool) -> float:
        """Compute the factor; x is what is filled in where the feature was left out."""
        found: float
        if self.kind == "above":
            found = max(0.0, x - self.at)
        elif self.kind == "below":
            found = max(0.0, self.at - x)
        elif self.kind == "equals":
            found = float(x == self.at)
        elif self.kind == "missing":
            found = float(left_out)
        else:
            found = float(x)
        return (found - self.mean) / self.scale


class Term(NamedTuple):
    """The product of its factors, weighted per level."""

    factors: tuple[Factor, ...]
    weights: tuple[float, ...]
    centre: float
    """The value of the product that counts as no contribution."""


class LinearForm(NamedTuple):
    """The logit of level k is ``intercepts[k]`` plus each term's value times its ``weights[k]``."""

    intercepts: tuple[float, ...]
    terms: tuple[Term, ...]
    fills: tuple[Any, ...]
    """Per feature, the value that is scored where it was left out; None for none of its values."""


def read_form(document: Any, schema: Schema) -> LinearForm:
    """Read the decoded scorer.json; raises ValueError that names what is wrong in it."""
    found = document.get("format") if isinstance(document, Mapping) else type(document).__name__
    if found not in (SCORER_FORMAT, _FORMAT_1):
        raise ValueError(f"format is {found!r}, this server reads {SCORER_FORMAT}")
    try:
        if found == _FORMAT_1:
            document = _from_format_1(document)
        levels = document["levels"]
        form = LinearForm(
            _numbers(document["intercepts"], len(schema.levels)),
            tuple(_term(term, schema) for term in document["terms"]),
            _fills(document.get("fills", {}), schema),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"malformed linear form: {error!r}") from error
    if levels != list(schema.levels):
        raise ValueError(f"levels must be {', '.join(schema.levels)}, as in the card")
    for factor in (factor for term in form.terms for factor in term.factors):
        feature = schema.features[factor.feature]
        needs_value = factor.kind not in ("equals", "missing")
        if needs_value and not feature.required and form.fills[factor.feature] is None:
            raise ValueError(f"fills: {feature.name} may be left out, so a value must be there")
    return form


def _from_format_1(document: Mapping[str, Any]) -> dict[str, Any]:
    """Format 1 has terms of one hinge each."""
    terms = [
        {
            "factors": [
                {
                    "feature": term["vital"],
                    term["side"]: term["knot"],
                    "mean": term["mean"],
                    "scale": term["scale"],
                }
            ],
            "weights": term["weights"],
        }
        for term in document["terms"]
    ]
    return {"levels": document["classes"], "intercepts": document["intercepts"], "terms": terms}


def _numbers(given: Any, count: int) -> tuple[float, ...]:
    if not isinstance(given, list) or len(given) != count:
        raise ValueError(f"{given!r} must be {count} numbers")
    return tuple(_number(each) for each in given)


def _number(given: Any) -> float:
    if type(given) not in (int, float) or not math.isfinite(given):
        raise ValueError(f"{given!r} is not a finite number")
    return float(given)


def _term(term: Mapping[str, Any], schema: Schema) -> Term:
    factors = tuple(_factor(factor, schema) for factor in term["factors"])
    if not factors:
        raise ValueError("a term has no factors")
    weights = _numbers(term["weights"], len(schema.levels))
    return Term(factors, weights, _number(term.get("centre", 0.0)))


def _factor(factor: Mapping[str, Any], schema: Schema) -> Factor:
    feature = schema.by_name[factor["feature"]]
    kinds = [kind for kind in KINDS if kind in factor]
    if len(kinds) > 1:
        raise ValueError(f"a factor is {' and '.join(kinds)}")
    kind = kinds[0] if kinds else ""
    at = factor.get(kind)
    if not _fits(feature, kind, at):
        raise ValueError(f"{feature.name}: {kind or 'value'} {at!r} does not fit its type")
    scale = _number(factor.get("scale", 1.0))
    if not scale:
        raise ValueError(f"{feature.name}: scale is 0")
    return Factor(schema.index(feature.name), kind, at, _number(factor.get("mean", 0.0)), scale)


def _fits(feature: Feature, kind: str, at: Any) -> bool:
    if kind in ("above", "below"):
        return feature.is_numeric and math.isfinite(_number(at))
    if kind == "equals":
        return not feature.is_numeric and feature.accepts(at)
    if kind == "missing":
        return at is True and not feature.required
    return feature.type != "category"


def _fills(given: Mapping[str, Any], schema: Schema) -> tuple[Any, ...]:
    unknown = [name for name in given if name not in schema.names]
    if unknown:
        raise ValueError(f"fills: unknown feature {unknown[0]!r}")
    for feature in schema.features:
        value = given.get(feature.name)
        # A median of whole numbers may be a half.
        numeric = feature.is_numeric and value is not None and math.isfinite(_number(value))
        if value is not None and not numeric and not feature.accepts(value):
            raise ValueError(f"fills: {feature.name}: {value!r} does not fit its type")
    return tuple(given.get(name) for name in schema.names)
