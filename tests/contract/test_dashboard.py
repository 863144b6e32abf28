"""The Grafana dashboard against the code: series exist, queries parse, panels are explained."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from unit.predictor.support import HEALTHY, ServerProcess, artifact

from riskpredictor_operator import controller as _controller
from support import prometheus
from support.cluster import ROOT
from support.dashboard import BUILT_IN, declared, filled, panels, queries, used

assert _controller, "its series are registered when it is imported"

MONITORING = ROOT / "deploy" / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
VALUES = {"namespace": "a|b", "predictor": ".+", "__rate_interval": "2m"}
GRAPHS = [panel for panel in panels(DASHBOARD) if panel["type"] == "timeseries"]
FAMILY = re.compile(r"_(?:bucket|sum|count|total)$")


@pytest.fixture(scope="module")
def exported() -> set[str]:
    """Series names without their type's suffix, of a live predictor with a candidate and of the
    operator."""
    with ServerProcess(candidate=str(artifact("v2"))) as server:
        for body in [HEALTHY] * 200 + [{}]:
            server.post("/predict", body)
        text = server.get("/metrics").body.decode()
    families = [*text_string_to_metric_families(text), *REGISTRY.collect()]
    infos = {f"{family.name}_info" for family in families if family.type == "info"}
    return infos | {family.name for family in families if family.type != "info"}


def _asked(expr: str) -> set[str]:
    names = re.findall(r"\b(?:riskpredictor|process|python)_[a-z_]+", expr)
    return {FAMILY.sub("", name) for name in names}


@pytest.mark.usefixtures("promtool")
def test_prometheus_parses_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": filled(query.expr, VALUES)}
        for number, query in enumerate(queries(DASHBOARD))
    ]
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in prometheus.promtool("check", "rules", str(path))


@pytest.mark.parametrize("query", queries(DASHBOARD), ids=str)
def test_a_query_asks_for_series_that_exist(query: Any, exported: set[str]) -> None:
    assert _asked(query.expr)
    assert _asked(query.expr) <= exported


def test_whatever_is_measured_is_shown(exported: set[str]) -> None:
    shown = {name for query in queries(DASHBOARD) for name in _asked(query.expr)}
    own = {name for name in exported if name.startswith("riskpredictor_")}
    assert own <= shown


def test_every_variable_is_declared_and_of_use() -> None:
    assert used(DASHBOARD) - BUILT_IN == set(declared(DASHBOARD))
    assert set(declared(DASHBOARD)) == {"datasource", "namespace", "predictor"}


def test_a_series_of_predictors_is_asked_for_the_chosen_ones_only() -> None:
    for query in queries(DASHBOARD):
        for name, matchers in re.findall(r"\b(riskpredictor_[a-z_]+)(?:{([^}]*)})?", query.expr):
            if not name.startswith("riskpredictor_operator_"):
                assert 'namespace=~"$namespace"' in matchers, query
                assert 'healthtech_dev_riskpredictor=~"$predictor"' in matchers, query


def test_every_panel_explains_itself() -> None:
    for panel in panels(DASHBOARD):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        columns = range(at["x"], at["x"] + at["w"])
        cells = set(itertools.product(columns, range(at["y"], at["y"] + at["h"])))
        assert columns.stop <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_a_line_that_stands_for_an_alert_is_drawn_where_the_alert_fires() -> None:
    drawn = {}
    for panel in GRAPHS:
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        if len(steps) > 1:
            (alert,) = re.findall(r"the alert (\w+)", panel["description"])
            drawn[alert] = steps[-1]["value"]
    assert drawn
    alerts = prometheus.alerts()
    assert drawn == {name: float(alerts[name]["expr"].split()[-1]) for name in drawn}


def test_the_installation_brings_it_where_grafana_looks() -> None:
    kustomization = yaml.safe_load((MONITORING / "kustomization.yaml").read_text())
    (generated,) = kustomization["configMapGenerator"]
    assert generated["files"] == ["riskpredictor.json=dashboard.json"]
    assert generated["options"]["labels"] == {"grafana_dashboard": "1"}
