"""docs/METRICS.md against the code that it is made of."""

from __future__ import annotations

import re

import pytest

from support.cluster import ROOT

PAGE = (ROOT / "docs" / "METRICS.md").read_text()
ROWS = [
    dict(zip(("name", "type", "labels", "unit", "meaning"), cells, strict=True))
    for cells in re.findall(
        r"^\| `(riskpredictor_\w+)` \| (\w+) \| (.*?) \| (\w*) \| (.*) \|$", PAGE, re.MULTILINE
    )
]


def test_it_has_both_products() -> None:
    names = {row["name"] for row in ROWS}
    assert names >= {"riskpredictor_operator_leader", "riskpredictor_requests_total"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_metric_is_explained_and_named_as_prometheus_recommends(row: dict[str, str]) -> None:
    assert row["meaning"].endswith(".")
    assert row["type"] in ("counter", "gauge", "histogram")
    assert row["name"].endswith("_total") == (row["type"] == "counter")
    assert (row["type"] != "histogram") or row["unit"] == "seconds"
