"""Scores with the exported linear form of a model.

Pure Python: for one record cheaper than numpy, and a pod needs neither numpy nor scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from math import exp, inf
from operator import truediv
from typing import Any

from riskpredictor_server.model.linear_form import Factor, Term, read_form
from riskpredictor_server.model.schema import Feature, Schema, Values
from riskpredictor_server.model.scorer import Probabilities, Scored, ScoredMany

_Middles = tuple[tuple[int, float], ...]
"""For each level between the lowest and the highest, its place among these and an amount of its
logit."""
_Slope = tuple[float, float, float, _Middles]
"""Sign, knot; per unit of distance beyond the knot: the share, and the amounts of the middles."""


class LinearScorer:
    """Computes multinomial logistic regression over the terms of a linear form, exactly.

    All logits are taken relative to the lowest level, whose own is 0; a softmax does not change.
    The contribution of a feature is its share of the logit of the highest level, that is of
    ln(P(highest) / P(lowest)): the sum over its terms of ``(w_highest - w_lowest) · (value -
    centre)``, a product of several features shared equally among them. With ``baseline`` the
    contributions add up to that logit, so it needs no sum of its own.

    Most terms of most records are hinges that are 0, so constants are computed once, and only
    active terms cost anything. A term that is linear in a number is two hinges at its mean.
    """

    explains = True

    def __init__(self, document: Any, schema: Schema) -> None:
        """``document`` is the decoded scorer.json; raises ValueError that names what is wrong."""
        form = read_form(document, schema)
        lowest, *middles, highest = form.intercepts
        self.baseline = highest - lowest
        self._middles = [middle - lowest for middle in middles]
        self._shares = [0.0] * len(schema.names)
        self._slopes: dict[int, list[_Slope]] = {}
        self._of_choice: dict[int, dict[Any, tuple[float, _Middles]]] = {}
        self._of_missing: dict[int, tuple[float, _Middles]] = {}
        self._products: list[
            tuple[Callable[[Values, Any], float], tuple[int, ...], float, _Middles]
        ] = []
        for term in form.terms:
            self._add(term, schema.features)
        self._numeric = tuple(
            (index, _last_below(slopes), _first_above(slopes), tuple(slopes))
            for index, slopes in self._slopes.items()
        )
        self._choices = tuple(self._of_choice.items())
        self.fills = form.fills
        """Per feature, what is scored where it was left out; None if nothing is."""
        self._has_optional = not all(feature.required for feature in schema.features)

    def _add(self, term: Term, features: Sequence[Feature]) -> None:
        share, middles = _relative(term.weights)
        self.baseline += share * term.centre
        indices = tuple(sorted({factor.feature for factor in term.factors}))
        for index in indices:
            self._shares[index] -= share * term.centre / len(indices)
        if len(term.factors) > 1:
            self._products.append((_product(term), indices, share / len(indices), middles))
            return
        (factor,) = term.factors
        index = factor.feature
        share, middles = share / factor.scale, tuple((k, w / factor.scale) for k, w in middles)
        if factor.kind in ("above", "below"):
            self._add_constant(index, factor.mean, share, middles)
            sign = 1.0 if factor.kind == "above" else -1.0
            self._slopes.setdefault(index, []).append((sign, factor.at, share, middles))
        elif factor.kind == "missing":
            self._add_constant(index, factor.mean, share, middles)
            before = self._of_missing.get(index, (0.0, ()))
            self._of_missing[index] = _plus(before, (share, middles))
        elif features[index].is_numeric:
            away = tuple((k, -w) for k, w in middles)
            self._slopes.setdefault(index, []).append((1.0, factor.mean, share, middles))
            self._slopes[index].append((-1.0, factor.mean, -share, away))
        else:
            self._add_choices(features[index], factor, term.weights)

    def _add_constant(self, index: int, mean: float, share: float, middles: _Middles) -> None:
        self._shares[index] -= share * mean
        for k, weight in middles:
            self._middles[k] -= weight * mean

    def _add_choices(self, feature: Feature, factor: Factor, weights: Sequence[float]) -> None:
        # None: left out and scored as none of its values, which only comparisons can be.
        none = () if feature.required or factor.kind != "equals" else (None,)
        choices = (*feature.choices, *none)
        table = self._of_choice.setdefault(factor.feature, {})
        share, middles = _relative(weights)
        for choice in choices:
            table.setdefault(choice, (0.0, ()))
            value = factor.value(choice, left_out=False)
            amounts = (share * value, tuple((k, w * value) for k, w in middles))
            table[choice] = _plus(table[choice], amounts)

    def _filled(self, values: Values) -> Values:
        """Put the model's fills in the place of what was left out."""
        return tuple(f if x is None else x for x, f in zip(values, self.fills, strict=True))

    def score(self, values: Values) -> Scored:
        """Score one record."""
        shares, middles = self._shares.copy(), self._middles.copy()
        given = values
        if self._has_optional and None in values:
            values = self._filled(values)
            for index, (share, amounts) in self._of_missing.items():
                if given[index] is None:
                    shares[index] += share
                    for k, amount in amounts:
                        middles[k] += amount
        for index, low, high, slopes in self._numeric:
            x = values[index]
            # Between its knots a feature has no active hinge, as most features of most records.
            if low <= x <= high:
                continue
            for sign, knot, share, weights in slopes:
                distance = (x - knot) * sign
                if distance > 0.0:
                    shares[index] += share * distance
                    for k, weight in weights:
                        middles[k] += weight * distance
        for index, table in self._choices:
            share, amounts = table[values[index]]
            shares[index] += share
            for k, amount in amounts:
                middles[k] += amount
        for product, indices, share, weights in self._products:
            value = product(values, given)
            for index in indices:
                shares[index] += share * value
            for k, weight in weights:
                middles[k] += weight * value
        return Scored(_softmax(middles, sum(shares, self.baseline)), tuple(shares))

    def score_many(self, rows: Sequence[Values]) -> ScoredMany:
        """Score a batch, feature by feature, to the last bit as :meth:`score` does."""
        count = len(rows)
        columns = [[start] * count for start in self._shares]
        middles = [[start] * count for start in self._middles]
        given = rows
        if self._has_optional:
            rows = [self._filled(values) if None in values else values for values in rows]
            for index, (share, amounts) in self._of_missing.items():
                for row, before in enumerate(given):
                    if before[index] is None:
                        columns[index][row] += share
                        for k, amount in amounts:
                            middles[k][row] += amount
        by_feature = list(zip(*rows, strict=True))
        for index, low, high, slopes in self._numeric:
            shares = columns[index]
            for row, x in enumerate(by_feature[index]):
                if low <= x <= high:
                    continue
                for sign, knot, share, weights in slopes:
                    distance = (x - knot) * sign
                    if distance > 0.0:
                        shares[row] += share * distance
                        for k, weight in weights:
                            middles[k][row] += weight * distance
        for index, table in self._choices:
            shares = columns[index]
            for row, x in enumerate(by_feature[index]):
                share, amounts = table[x]
                shares[row] += share
                for k, amount in amounts:
                    middles[k][row] += amount
        for product, indices, share, weights in self._products:
            for row, (values, as_given) in enumerate(zip(rows, given, strict=True)):
                value = product(values, as_given)
                for index in indices:
                    columns[index][row] += share * value
                for k, weight in weights:
                    middles[k][row] += weight * value
        contributions = list(zip(*columns, strict=True))
        highest = list(map(sum, contributions, repeat(self.baseline)))
        return ScoredMany(_softmax_many(middles, highest), contributions)


def _softmax(middles: Sequence[float], highest: float) -> Probabilities:
    """Turn logits relative to the lowest level, whose own is 0, into probabilities."""
    try:
        odds = [1.0, *map(exp, middles), exp(highest)]
        total: float = sum(odds)
    except OverflowError:
        total = inf
    if total == inf:
        # Relative to the largest nothing overflows, and what is far below it is 0.
        top = max(0.0, highest, *middles)
        odds = [exp(-top), *(exp(logit - top) for logit in middles), exp(highest - top)]
        total = sum(odds)
    return tuple([each / total for each in odds])


def _softmax_many(
    middles: Sequence[Sequence[float]], highest: Sequence[float]
) -> list[Probabilities]:
    """Compute :func:`_softmax` of columns of logits, row by row."""
    try:
        odds = [[1.0] * len(highest), *(list(map(exp, column)) for column in (*middles, highest))]
        totals: list[float] = list(map(sum, zip(*odds, strict=True)))
    except OverflowError:
        totals = [inf]
    if inf in totals:
        return [_softmax(row, last) for *row, last in zip(*middles, highest, strict=True)]
    return list(zip(*(map(truediv, column, totals) for column in odds), strict=True))


def _relative(weights: Sequence[float]) -> tuple[float, _Middles]:
    """The weights of the highest and of the middle levels, relative to that of the lowest."""
    lowest, *middles, highest = weights
    return highest - lowest, tuple((k, w - lowest) for k, w in enumerate(middles))


def _plus(a: tuple[float, _Middles], b: tuple[float, _Middles]) -> tuple[float, _Middles]:
    sums: dict[int, float] = {}
    for k, amount in chain(a[1], b[1]):
        sums[k] = sums.get(k, 0.0) + amount
    return a[0] + b[0], tuple(sums.items())


def _last_below(slopes: Iterable[_Slope]) -> float:
    """The value above which no hinge on the lower side is active."""
    return max((knot for sign, knot, *_ in slopes if sign < 0), default=-inf)


def _first_above(slopes: Iterable[_Slope]) -> float:
    """The value below which no hinge on the upper side is active."""
    return min((knot for sign, knot, *_ in slopes if sign > 0), default=inf)


def _product(term: Term) -> Callable[[Values, Values], float]:
    factors = term.factors

    def product(values: Values, given: Values) -> float:
        found = 1.0
        for factor in factors:
            found *= factor.value(values[factor.feature], given[factor.feature] is None)
        return found

    return product
