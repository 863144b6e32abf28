"""Amounts as metrics-server writes them."""

from __future__ import annotations

import pytest

from riskdemo.quantities import mebibytes, millicores


@pytest.mark.parametrize(
    ("text", "expected"), [("12345678n", 12), ("250m", 250), ("2", 2000), ("900u", 1), ("0", 0)]
)
def test_cpu_is_told_in_thousandths_of_a_core(text: str, expected: int) -> None:
    assert millicores(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("45056Ki", 44), ("128Mi", 128), ("1Gi", 1024), ("134217728", 128)]
)
def test_memory_is_told_in_mebibytes(text: str, expected: int) -> None:
    assert mebibytes(text) == expected
