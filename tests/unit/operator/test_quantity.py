"""Specification of canonical quantities. The expected forms are those that ``resource.Quantity`` of
k8s.io/apimachinery gives after the API server's rounding to thousandths."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.operator.strategies import bounded

from riskpredictor_operator.core.quantity import canonical

UNITS = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10), "Mi": Decimal(2**20),
    "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def value(text: str) -> Decimal:
    """What a quantity is worth."""
    if "e" in text:
        return Decimal(text)
    number = text.rstrip("numkKMGTPEi")
    return Decimal(number) * UNITS[text.removeprefix(number)]


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("0.2", "200m"), ("0.5", "500m"), (".5", "500m"), ("1.", "1"), ("+1", "1"), ("007", "7"),
        ("1000m", "1"), ("1500m", "1500m"), ("100m", "100m"), (1, "1"), (0, "0"), ("0m", "0"),
        ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("128Mi", "128Mi"), ("1000Mi", "1000Mi"),
        ("0.5Ki", "512"), ("1023", "1023"), ("1024", "1024"), ("1000000", "1M"), ("1e3", "1e3"),
        ("1000e3", "1e6"), ("5E2", "500"), ("1E", "1E"), ("100k", "100k"), ("1000k", "1M"),
        ("100u", "1m"), ("1n", "1m"), ("1.0001", "1001m"), ("1e-6", "1e-3"), (" 1 ", "1"),
    ],
)  # fmt: skip
def test_form_in_which_the_api_server_returns_it(written: str | int, stored: str) -> None:
    assert canonical(written) == stored


@pytest.mark.parametrize(
    "text",
    ["", "m", "1 Mi", "1mi", "1KI", "ten", "1..2", "1e", "0x10", "1,5", "1Mi2", "NaN", "\u0661"],
)
def test_what_is_no_quantity_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity such as 100m") as caught:
        canonical(text)
    assert repr(text) in str(caught.value)


decimals = st.builds(
    lambda number, places, unit: f"{Decimal(number).scaleb(-places):f}{unit}",
    st.integers(0, 10**9),
    st.integers(0, 6),
    st.sampled_from(["n", "u", "m", "", "k", "M", "G"]),
)
binaries = st.builds(
    lambda number, unit: f"{number}{unit}",
    st.integers(0, 8191),
    st.sampled_from(["Ki", "Mi", "Gi", "Ti"]),
)
exponents = st.builds(lambda n, e: f"{n}e{e}", st.integers(0, 10**6), st.integers(-3, 9))


@given(text=st.one_of(decimals, binaries, exponents))
@bounded
def test_no_value_is_lost_but_parts_of_a_thousandth_which_round_up(text: str) -> None:
    thousandths = (value(text) * 1000).to_integral_value(rounding=ROUND_CEILING)
    assert value(canonical(text)) * 1000 == thousandths


@given(text=st.one_of(decimals, binaries, exponents))
@bounded
def test_a_canonical_form_stays_as_it_is(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@given(number=st.integers(1, 10**6), places=st.integers(1, 4))
@bounded
def test_parts_of_a_byte_round_up(number: int, places: int) -> None:
    text = f"{Decimal(number).scaleb(-places):f}Mi"
    exact = value(text)
    if exact >= 1024:
        assert value(canonical(text)) == exact.to_integral_value(rounding=ROUND_CEILING)
