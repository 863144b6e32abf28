"""Writes figures for people: few digits, and never on the wrong side of a limit."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Final

_PLACES: Final = 2
_MOST_PLACES: Final = 18


def number(value: float) -> str:
    """Write a number with all its digits: ``2``, ``0.5``, ``0.00001``."""
    return _plain(Decimal(repr(value)))


def near(value: float, limit: float, *, sign: bool = False, places: int = _PLACES) -> str:
    """Write what was observed: rounded, but above the limit if it is, and 0 only if it is 0."""
    return _rounded(value, limit, ROUND_HALF_EVEN, sign, places, keep=True)


def at_least(value: float, limit: float, *, sign: bool = False) -> str:
    """Write a lower bound: rounded down, but above the limit if it is."""
    return _rounded(value, limit, ROUND_FLOOR, sign, _PLACES)


def at_most(value: float, limit: float, *, sign: bool = False) -> str:
    """Write an upper bound: rounded up, but within the limit if it is."""
    return _rounded(value, limit, ROUND_CEILING, sign, _PLACES)


def _rounded(
    value: float, limit: float, rounding: str, sign: bool, places: int, keep: bool = False
) -> str:
    """Round to the fewest places that leave it on its side of both the limit and its negative."""
    exact, bar = Decimal(repr(value)), Decimal(repr(limit))
    shown = exact
    for more in range(places, _MOST_PLACES):
        shown = exact.quantize(Decimal(1).scaleb(-more), rounding)
        same_side = (shown > bar, shown < -bar) == (exact > bar, exact < -bar)
        if same_side and not (keep and exact and not shown):
            break
    text = _plain(shown)
    return f"+{text}" if sign and shown > 0 else text


def _plain(value: Decimal) -> str:
    """Write without exponent, closing zeros and a negative zero."""
    return format((value + 0).normalize(), "f")
