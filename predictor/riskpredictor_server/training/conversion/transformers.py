"""Writes what each supported transformer of scikit-learn computes as columns; see columns.py.

Everything is read from the public attributes of the fitted transformer. What is not exactly a
linear form raises NotLinearError; what the schema contradicts raises MismatchError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from riskpredictor_server.training.conversion.columns import (
    Cell,
    Column,
    Fill,
    MismatchError,
    NotLinearError,
    Raw,
    column,
    constant,
    hinge,
    known_raw,
    missing,
    numeric,
    one_of,
    total,
)
from riskpredictor_server.training.conversion.encoders import (
    one_hot_encoder,
    ordinal_encoder,
    plain,
)
from riskpredictor_server.training.features import Term, expand

MOST_PRODUCTS = 2000
"""More are slower by this server than by scikit-learn."""


def transform(transformer: Any, cells: Sequence[Cell], where: str) -> list[Cell]:
    """Return what a fitted transformer makes of its columns; ``where`` names the step."""
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return [*cells]
    kind = type(transformer)
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](transformer, cells, where)
    if isinstance(transformer, SelectorMixin):
        return [cells[index] for index in transformer.get_support(indices=True)]
    if kind not in _RULES:
        raise NotLinearError(f"step {where} ({kind.__name__}) has no linear form here")
    try:
        return _RULES[kind](transformer, cells)
    except (NotLinearError, MismatchError) as error:
        raise type(error)(f"step {where} ({kind.__name__}) {error}") from None


def _pipeline(pipeline: Pipeline, cells: Sequence[Cell], where: str) -> list[Cell]:
    made = [*cells]
    for name, step in pipeline.steps:
        made = transform(step, made, f"{where}.{name}".removeprefix("."))
    return made


def _column_transformer(
    transformer: ColumnTransformer, cells: Sequence[Cell], where: str
) -> list[Cell]:
    names = [*getattr(transformer, "feature_names_in_", ())]
    weights = transformer.transformer_weights or {}
    made: list[Cell] = []
    for name, each, selection in transformer.transformers_:
        if isinstance(each, str) and each == "drop":
            continue
        chosen = [cells[index] for index in positions(selection, names, len(cells))]
        if chosen:
            part = transform(each, chosen, f"{where}.{name}".removeprefix("."))
            made += _weighted(part, weights.get(name))
    return made


def _feature_union(union: FeatureUnion, cells: Sequence[Cell], where: str) -> list[Cell]:
    weights = union.transformer_weights or {}
    made: list[Cell] = []
    for name, each in union.transformer_list:
        if not (isinstance(each, str) and each == "drop"):
            part = transform(each, cells, f"{where}.{name}".removeprefix("."))
            made += _weighted(part, weights.get(name))
    return made


def _weighted(cells: list[Cell], weight: float | None) -> list[Cell]:
    if weight is None:
        return cells
    return [total([(float(weight), numeric(cell))]) for cell in cells]


def positions(selection: Any, names: Sequence[str], count: int) -> list[int]:
    """Return the positions that a column selection of scikit-learn means; ``names`` in order."""
    if isinstance(selection, slice):
        if isinstance(selection.start, str) or isinstance(selection.stop, str):
            # With labels, the stop is included.
            start = names.index(selection.start) if selection.start is not None else None
            stop = names.index(selection.stop) + 1 if selection.stop is not None else None
            selection = slice(start, stop, selection.step)
        return [*range(count)[selection]]
    if isinstance(selection, str) or np.isscalar(selection):
        raise NotLinearError(f"gives a step the column {selection!r} alone instead of a table")
    chosen = [*selection]
    if all(isinstance(each, bool | np.bool_) for each in chosen):
        return [index for index, wanted in enumerate(chosen) if wanted]
    return [
        names.index(each) if isinstance(each, str) else range(count)[int(each)] for each in chosen
    ]


def _standard_scaler(scaler: StandardScaler, cells: Sequence[Cell]) -> list[Cell]:
    return _standardised(
        cells,
        scaler.mean_ if scaler.with_mean else None,
        scaler.scale_ if scaler.with_std else None,
    )


def _robust_scaler(scaler: RobustScaler, cells: Sequence[Cell]) -> list[Cell]:
    return _standardised(
        cells,
        scaler.center_ if scaler.with_centering else None,
        scaler.scale_ if scaler.with_scaling else None,
    )


def _max_abs_scaler(scaler: MaxAbsScaler, cells: Sequence[Cell]) -> list[Cell]:
    scaled = _standardised(cells, None, scaler.scale_)
    return _clipped(scaled, -1.0, 1.0) if getattr(scaler, "clip", False) else scaled


def _min_max_scaler(scaler: MinMaxScaler, cells: Sequence[Cell]) -> list[Cell]:
    # scikit-learn computes x * scale_ + min_.
    scaled = _standardised(cells, -scaler.min_ / scaler.scale_, 1.0 / scaler.scale_)
    return _clipped(scaled, *map(float, scaler.feature_range)) if scaler.clip else scaled


def _standardised(cells: Sequence[Cell], means: Any, scales: Any) -> list[Cell]:
    return [
        numeric(cell).standardised(
            0.0 if means is None else float(means[index]),
            1.0 if scales is None else float(scales[index]),
        )
        for index, cell in enumerate(cells)
    ]


def _clipped(cells: Sequence[Cell], low: float, high: float) -> list[Cell]:
    """Clip to [low, high]: low, plus a hinge above it, less a hinge above high."""
    made: list[Cell] = []
    for cell in cells:
        rising = [hinge(numeric(cell), "above", edge) for edge in (low, high)]
        made.append(total([(1.0, constant(low)), (1.0, rising[0]), (-1.0, rising[1])]))
    return made


def _simple_imputer(imputer: SimpleImputer, cells: Sequence[Cell]) -> list[Cell]:
    if not (imputer.missing_values is None or imputer.missing_values != imputer.missing_values):
        raise NotLinearError(f"fills in what is {imputer.missing_values!r} (missing_values)")
    made = [
        _filled(cell, plain(value))
        for cell, value in zip(cells, imputer.statistics_, strict=True)
        # A column without any value was left out of the table.
        if imputer.keep_empty_features or value == value
    ]
    if imputer.add_indicator:
        made += [missing(cells[index]) for index in imputer.indicator_.features_]
    return made


def _filled(cell: Cell, value: Any) -> Cell:
    if isinstance(cell, Column):
        factor = cell.only
        if not any(factor.fill is Fill.OPEN for factor in cell.factors):
            return cell
        if factor is None or factor.kind:
            raise NotLinearError("fills in what an earlier step computed")
        return column(factor._replace(fill=float(value) * factor.scale + factor.mean))
    known = known_raw(cell)
    feature = known.feature
    if known.fill is not Fill.OPEN:
        return known
    if feature.type == "boolean":
        if value not in (0, 1):
            raise NotLinearError(f"fills {feature.name} with {value!r}, neither true nor false")
        return Raw(feature, bool(value))
    if feature.is_numeric == isinstance(value, str):
        kind = "a number" if feature.is_numeric else "text"
        raise MismatchError(f"fills {feature.name} with {value!r}, and the schema says {kind}")
    return Raw(feature, float(value) if feature.is_numeric else value)


def _polynomial_features(transformer: PolynomialFeatures, cells: Sequence[Cell]) -> list[Cell]:
    columns = [numeric(cell) for cell in cells]
    made: list[Cell] = []
    products = 0
    for powers in transformer.powers_:
        product = constant(1.0)
        for each, power in zip(columns, powers, strict=True):
            for _ in range(power):
                product = product.times(each)
        products += len(product.parts)
        if products > MOST_PRODUCTS:
            raise NotLinearError(f"makes more than {MOST_PRODUCTS} products")
        made.append(product)
    return made


def _spline_transformer(transformer: SplineTransformer, cells: Sequence[Cell]) -> list[Cell]:
    """Piecewise linear splines: tents over the knots, constant beyond the last ones."""
    if transformer.degree != 1:
        raise NotLinearError(f"is curved: degree={transformer.degree}, not 1")
    if transformer.extrapolation != "constant":
        raise NotLinearError(f"has extrapolation={transformer.extrapolation!r}, not 'constant'")
    made: list[Cell] = []
    for cell, spline in zip(cells, transformer.bsplines_, strict=True):
        feature = numeric(cell)
        knots = [float(knot) for knot in spline.t[1:-1]]
        # A ramp rises from 0 at a knot to 1 at the next; a tent is one ramp less the next.
        ramps = [
            total(
                [
                    (1 / (high - low), hinge(feature, "above", low)),
                    (-1 / (high - low), hinge(feature, "above", high)),
                ]
            )
            for low, high in pairwise(knots)
        ]
        edges = [constant(1.0), *ramps, constant(0.0)]
        tents = [total([(1.0, a), (-1.0, b)]) for a, b in pairwise(edges)]
        made += tents if transformer.include_bias else tents[:-1]
    return made


def _function_transformer(transformer: FunctionTransformer, cells: Sequence[Cell]) -> list[Cell]:
    if transformer.func is None:
        return [*cells]
    if transformer.func is expand:
        return _terms(cells, **transformer.kw_args)
    name = getattr(transformer.func, "__name__", repr(transformer.func))
    raise NotLinearError(f"calls the function {name}")


def _terms(
    cells: Sequence[Cell], terms: Sequence[Term], names: Sequence[str], fills: Mapping[str, Any]
) -> list[Cell]:
    """What training/features.py makes of records."""
    by_name = dict(zip(names, cells, strict=True))
    filled = {
        name: _filled(cell, fills[name]) if name in fills else cell
        for name, cell in by_name.items()
    }
    made: list[Cell] = []
    for term in terms:
        cell = filled[term.feature]
        if term.kind == "missing":
            made.append(missing(by_name[term.feature]))
        elif term.kind == "equals":
            if isinstance(cell, Column):
                raise NotLinearError("compares what an earlier step computed")
            made.append(one_of(known_raw(cell), [term.at], also_missing=False))
        elif term.kind == "value":
            made.append(numeric(cell))
        else:
            made.append(hinge(numeric(cell), term.kind, float(term.at)))
    return made


_CONTAINERS: dict[type, Callable[[Any, Sequence[Cell], str], list[Cell]]] = {
    Pipeline: _pipeline,
    ColumnTransformer: _column_transformer,
    FeatureUnion: _feature_union,
}
_RULES: dict[type, Callable[[Any, Sequence[Cell]], list[Cell]]] = {
    StandardScaler: _standard_scaler,
    MinMaxScaler: _min_max_scaler,
    MaxAbsScaler: _max_abs_scaler,
    RobustScaler: _robust_scaler,
    SimpleImputer: _simple_imputer,
    OneHotEncoder: one_hot_encoder,
    OrdinalEncoder: ordinal_encoder,
    PolynomialFeatures: _polynomial_features,
    SplineTransformer: _spline_transformer,
    FunctionTransformer: _function_transformer,
}
"""By exact type: a subclass may compute anything."""
