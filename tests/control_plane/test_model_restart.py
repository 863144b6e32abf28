"""Copies of models and a new operator process: it writes nothing, and mends what was damaged."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.operator.models import model

from riskpredictor_operator.core.api import CONFIG_MAP
from riskpredictor_operator.core.model_copy import is_intact
from riskpredictor_operator.kube import Key
from support import operator as operators
from support.api import Api, eventually
from support.audit import Mark
from support.cluster import LocalCluster
from support.pod_server import copy_of, declared, lead_to, serving, until
from support.predictors import Predictors

V2 = model("v2")
DIGEST = declared(V2)["model"]["digest"]


def _deleted(api: Api, key: Key) -> None:
    made = copy_of(api, key, V2)
    assert made is not None
    api.delete(CONFIG_MAP, Key(key.namespace, made["metadata"]["name"]))


def _replaced(api: Api, key: Key) -> None:
    """Another ConfigMap, with the operator's own labels and owner, in the place of the copy."""
    made = copy_of(api, key, V2)
    assert made is not None
    _deleted(api, key)
    kept = ("name", "namespace", "labels", "ownerReferences")
    metadata = {name: made["metadata"][name] for name in kept}
    api.create(CONFIG_MAP, {"metadata": metadata, "binaryData": {"card.json": "e30="}})


@pytest.mark.parametrize("damage", [_deleted, _replaced], ids=["deleted", "replaced"])
def test_a_restart_writes_nothing_but_a_copy_that_was_damaged(
    cluster: LocalCluster, api: Api, operator_config: Path, namespace: str,
    predictors: Predictors, tmp_path: Path, damage: Callable[[Api, Key], None],
) -> None:  # fmt: skip
    with serving(V2) as server:
        with operators.running(operator_config, tmp_path / "first.log"):
            key = predictors.create(minReplicas=1, **declared(V2))
            predictors.settle(key)
            lead_to(api, key, server)
            until(api, key, "Kept")
            time.sleep(1.0)
        mark = Mark(cluster)
        with operators.running(operator_config, tmp_path / "second.log"):
            time.sleep(3.0)
        assert mark.writes(namespace) == []
        damage(api, key)
        with operators.running(operator_config, tmp_path / "third.log") as third:
            intact = f"keeps a copy of the model {DIGEST}"
            third.wait_for(intact)
            eventually(lambda: is_intact(copy_of(api, key, V2) or {}, DIGEST))
            until(api, key, "Kept")
            assert "Traceback" not in third.says()


def test_a_damaged_copy_is_not_relied_on_and_not_deleted_before_there_is_another(
    api: Api, operator_config: Path, predictors: Predictors, tmp_path: Path
) -> None:
    with operators.running(operator_config, tmp_path / "first.log"):
        key = predictors.create(minReplicas=1, **declared(V2))
        predictors.settle(key)
        with serving(V2) as server:
            lead_to(api, key, server)
            until(api, key, "Kept")
    _replaced(api, key)
    damaged = copy_of(api, key, V2)
    with operators.running(operator_config, tmp_path / "second.log"):
        status = until(api, key, "")
        assert "modelCopies" not in status
        assert copy_of(api, key, V2) == damaged
