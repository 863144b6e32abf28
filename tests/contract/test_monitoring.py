"""Alerts and policies against the code: every series exists, every alert fires and is explained."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from generate.metrics_page import predictor_exposition
from riskpredictor_operator import controller as _controller
from riskpredictor_operator.core import api
from riskpredictor_operator.core.model import IN_CLUSTER, SOURCES
from riskpredictor_operator.core.slots import SLOTS, Slot
from support import prometheus
from support.cluster import ROOT

assert _controller, "its series are registered when it is imported"

RUNBOOK = (ROOT / "docs" / "RUNBOOK.md").read_text()
ALERTS = prometheus.alerts()

FIRES: dict[str, dict[str, str]] = {
    "RiskPredictorNotReady": {
        'riskpredictor_operator_riskpredictor_ready{namespace="a",name="b"}': "0x200",
        'riskpredictor_operator_riskpredictor_suspended{namespace="a",name="b"}': "0x200",
        'riskpredictor_operator_riskpredictor_suspended{namespace="a",name="c"}': "1x200",
    },
    "RiskPredictorOperatorDown": {},
    "RiskPredictorNoLeader": {
        'riskpredictor_operator_leader{pod="a"}': "0x200",
        'riskpredictor_operator_leader{pod="b"}': "0x200",
    },
    "RiskPredictorTwoLeaders": {
        'riskpredictor_operator_leader{pod="a"}': "1x200",
        'riskpredictor_operator_leader{pod="b"}': "1x200",
    },
    "RiskPredictorReconcileFailing": {
        "riskpredictor_operator_retries_total": "0+60x200",
    },
    "RiskPredictorQueueStuck": {
        "riskpredictor_operator_queue_depth": "3x200",
        'riskpredictor_operator_reconcile_seconds_count{result="done"}': "7x200",
    },
    "RiskPredictorRollsWaiting": {
        'riskpredictor_operator_rolls{state="waiting"}': "4x200",
    },
    "RiskPredictorErrors": {
        'riskpredictor_requests_total{route="/predict",status="200"}': "0+900x200",
        'riskpredictor_requests_total{route="/predict",status="503"}': "0+100x200",
    },
    "RiskPredictorSlow": {
        'riskpredictor_request_duration_seconds_bucket{route="/predict",le="0.5"}': "0+10x200",
        'riskpredictor_request_duration_seconds_bucket{route="/predict",le="2.5"}': "0+100x200",
        'riskpredictor_request_duration_seconds_bucket{route="/predict",le="+Inf"}': "0+100x200",
    },
    "RiskPredictorInputDrift": {
        'riskpredictor_input_drift{field="temperature"}': "0.9x200",
    },
    "RiskPredictorRolloutAborted": {
        'riskpredictor_operator_rollout_phase{namespace="a",name="b",phase="Aborted"}': "1x200",
        'riskpredictor_operator_rollout_phase{namespace="a",name="b",phase="Shadow"}': "0x200",
        'riskpredictor_operator_rollout_phase{namespace="a",name="c",phase="Shadow"}': "1x200",
    },
    "RiskPredictorCandidateSwitchedOff": {
        'riskpredictor_candidate_switched_off{pod="a"}': "0x200",
        'riskpredictor_candidate_switched_off{pod="b"}': "1x200",
    },
    "RiskPredictorRolloutWaitsForData": {
        'riskpredictor_operator_rollout_phase{namespace="a",name="b",phase="Canary"}': "1x2000",
        # Nine pairs in the first nine hours, and none since.
        'riskpredictor_operator_rollout_pairs{namespace="a",name="b"}': "0+0.016x560 9x1440",
    },
    "RiskPredictorAwaitingApproval": {
        'riskpredictor_operator_rollout_phase{namespace="a",name="b",phase="AwaitingApproval"}': (
            "1x200"
        ),
        'riskpredictor_operator_rollout_phase{namespace="a",name="b",phase="Canary"}': "0x200",
    },
    "RiskPredictorRolloutOverdue": {
        'riskpredictor_operator_riskpredictor_stalled{namespace="a",name="b",pod="x"}': "1x200",
        'riskpredictor_operator_rollout_phase{namespace="a",name="b",pod="x",phase="Canary"}': (
            "1x200"
        ),
    },
}
"""Series and their values on which an alert fires."""
LATE = {"RiskPredictorRolloutWaitsForData": 1600}
"""Minutes after which an alert fires that looks back further than the others."""

SUSPENDED = {
    'riskpredictor_operator_riskpredictor_ready{namespace="a",name="d",pod="x"}': "0x200",
    'riskpredictor_operator_riskpredictor_suspended{namespace="a",name="d",pod="x"}': "1x200",
    'riskpredictor_operator_riskpredictor_ready{namespace="a",name="c",pod="x"}': "1x200",
    'riskpredictor_operator_riskpredictor_suspended{namespace="a",name="c",pod="x"}': "0x200",
}
"""One that is suspended over a weekend, beside one that is not."""

_NOT_READY = 'riskpredictor_operator_riskpredictor_ready{namespace="a",name="d",pod="x"}'
_PHASE = 'riskpredictor_operator_rollout_phase{namespace="a",name="d",pod="x",phase="%s"}'
_PAIRS = 'riskpredictor_operator_rollout_pairs{namespace="a",name="d",pod="x"}'
CHANGES = {
    "a change of the model": {
        _NOT_READY: "0x2000",
        'riskpredictor_operator_riskpredictor_stalled{namespace="a",name="d",pod="x"}': "0x2000",
        _PHASE % "Shadow": "1x2000",
        _PHASE % "Canary": "0x2000",
        _PAIRS: "0+0.01x2000",  # 14 a day
    },
    "one that has just begun": {
        _NOT_READY: "1x1500 0x500",
        _PHASE % "Shadow": "0x1500 1x500",
        _PAIRS: "_x1500 0x500",
    },
    "a candidate to look at without end": {
        _PHASE % "Observing": "1x2000",
        _PAIRS: "7x2000",
    },
}
"""Changes of the model that nobody has to look at."""

WELL = {
    'riskpredictor_operator_riskpredictor_ready{namespace="a",name="b"}': "1x200",
    'riskpredictor_operator_leader{pod="a"}': "1x200",
    'riskpredictor_operator_leader{pod="b"}': "0x200",
    "riskpredictor_operator_retries_total": "0+1x200",
    "riskpredictor_operator_queue_depth": "1x200",
    'riskpredictor_operator_reconcile_seconds_count{result="done"}': "0+50x200",
    'riskpredictor_operator_rolls{state="waiting"}': "0x200",
    'riskpredictor_requests_total{route="/predict",status="200"}': "0+1000x200",
    'riskpredictor_requests_total{route="/predict",status="503"}': "0+1x200",
    'riskpredictor_request_duration_seconds_bucket{route="/predict",le="0.5"}': "0+100x200",
    'riskpredictor_request_duration_seconds_bucket{route="/predict",le="+Inf"}': "0+100x200",
    'riskpredictor_input_drift{field="temperature"}': "0.1x200",
}
"""A cluster in which all is well."""


@cache
def _series() -> frozenset[str]:
    """Names of all series that operator and predictor can have."""
    names = set(re.findall(r"^([a-z_]+)[{ ]", predictor_exposition(), re.MULTILINE))
    for family in REGISTRY.collect():
        names |= {family.name, *(sample.name for sample in family.samples)}
        if family.type == "counter":
            names.add(f"{family.name}_total")
        if family.type == "histogram":
            names |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
    return frozenset(names)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_asks_for_series_that_exist(name: str) -> None:
    asked = set(re.findall(r"\briskpredictor_[a-z_]+", ALERTS[name]["expr"]))
    assert asked
    assert asked <= _series()


def test_every_alert_has_its_part_of_the_runbook_and_the_other_way_round() -> None:
    assert re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE) == list(ALERTS)
    for name, alert in ALERTS.items():
        assert alert["annotations"]["runbook_url"].endswith(f"#{name.lower()}")
        assert alert["labels"]["severity"] in ("warning", "critical")


def _input(values: dict[str, str]) -> list[dict[str, str]]:
    """The series as promtool wants them."""
    return [{"series": name, "values": of_series} for name, of_series in values.items()]


def _file(folder: Path, cases: list[dict[str, Any]]) -> str:
    (folder / "rules.yaml").write_text(yaml.safe_dump(prometheus.rules()))
    path = folder / "tests.yaml"
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": cases}
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.mark.usefixtures("promtool")
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    _file(tmp_path, [])
    said = prometheus.promtool("check", "rules", str(tmp_path / "rules.yaml"))
    assert f"{len(ALERTS)} rules found" in said


@pytest.mark.usefixtures("promtool")
@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires_when_it_must(name: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    case = {
        "interval": "1m",
        "input_series": _input(FIRES[name]),
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                "eval_time": f"{LATE.get(name, 100)}m",
                "exp_samples": [{"value": 1}],
            }
        ],
    }
    prometheus.promtool("test", "rules", _file(path, [case]))


@pytest.mark.usefixtures("promtool")
@pytest.mark.parametrize("what", ["all ready", "one suspended", *CHANGES])
def test_none_fires_when_all_is_well(tmp_path: Path, what: str) -> None:
    more = {"all ready": {}, "one suspended": SUSPENDED, **CHANGES}[what]
    quiet = [
        {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []}
        for minute in (30, 100, *([1990] if what in CHANGES else []))
        for name in ALERTS
    ]
    well = {name: values.replace("x200", "x2000") for name, values in WELL.items()}
    case = {"interval": "1m", "input_series": _input({**well, **more}), "alert_rule_test": quiet}
    prometheus.promtool("test", "rules", _file(tmp_path, [case]))


def _document(path: str) -> Any:
    return yaml.safe_load((ROOT / "deploy" / path).read_text())


def test_what_is_scraped_is_what_is_there() -> None:
    (operator,) = _document("operator/base/deployment.yaml")["spec"]["template"]["spec"][
        "containers"
    ]
    monitor = _document("monitoring/operator.yaml")["spec"]
    labels = _document("operator/base/deployment.yaml")["spec"]["template"]["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["podMetricsEndpoints"][0]["port"] == operator["ports"][0]["name"]
    predictors = _document("monitoring/predictors.yaml")["spec"]
    assert predictors["selector"]["matchExpressions"][0]["key"] == api.LABEL_PREDICTOR
    assert set(predictors["podTargetLabels"]) == {api.LABEL_PREDICTOR, api.LABEL_MODEL_VERSION}


def test_the_network_policies_let_in_what_is_asked_for_and_nothing_else() -> None:
    (operator,) = _document("operator/base/deployment.yaml")["spec"]["template"]["spec"][
        "containers"
    ]
    policy = _document("operator/base/network-policy.yaml")["spec"]
    assert policy["ingress"] == [
        {"ports": [{"protocol": "TCP", "port": operator["ports"][0]["containerPort"]}]}
    ]
    predictors = _document("policies/predictors.yaml")["spec"]
    assert predictors["podSelector"]["matchExpressions"][0]["key"] == api.LABEL_PREDICTOR
    assert predictors["ingress"] == [{"ports": [{"protocol": "TCP", "port": api.CONTAINER_PORT}]}]
    assert "egress" not in predictors, "a predictor asks nobody"
    assert set(predictors["policyTypes"]) == {"Ingress", "Egress"}


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.name)
def test_only_pods_whose_model_comes_over_the_network_may_ask_for_it(slot: Slot) -> None:
    stores = _document(f"policies/{slot.prefix}-stores.yaml")["spec"]
    (chosen,) = stores["podSelector"]["matchExpressions"]
    assert (chosen["key"], chosen["operator"]) == (slot.source_label, "In")
    assert set(chosen["values"]) == set(SOURCES) - IN_CLUSTER
    assert stores["policyTypes"] == ["Egress"], "what they let in is in the other policy"
    (rule,) = stores["egress"]
    assert {"protocol": "TCP"} in rule["ports"]
    assert {"protocol": "UDP", "port": 53} in rule["ports"]
