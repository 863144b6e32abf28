"""What the monitor asks a cluster for."""

from __future__ import annotations

import datetime
from typing import Any

from unit.operator.builders import manifests, predictor

from riskdemo import snapshot
from riskpredictor_operator.core import api

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


def test_the_labels_are_those_that_the_operator_sets() -> None:
    template = manifests(predictor(modelVersion="v7"))[api.DEPLOYMENT]["spec"]["template"]
    metadata = {**template["metadata"], "name": "pod", "creationTimestamp": NOW.isoformat()}
    body: dict[str, Any] = {"metadata": metadata}
    assert snapshot._pod(body, None, NOW).version == "v7"
    assert metadata["labels"][snapshot.LABEL] == "risk"
