"""Pods of an unchanged predictor are replaced by an upgrade only if the CHANGELOG says so."""

from __future__ import annotations

import re

import yaml

from riskpredictor_operator.core.metadata import digest
from support.cluster import ROOT

GOLDEN = ROOT / "tests" / "unit" / "operator" / "golden"


def test_the_changelog_acknowledges_the_pod_templates() -> None:
    """The newest entry names their digest: other templates roll every predictor."""
    templates = {
        path.stem: document["spec"]["template"]
        for path in sorted(GOLDEN.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document["kind"] == "Deployment"
    }
    assert len(templates) >= 3
    acknowledged = re.findall(r"Pod templates: `([0-9a-f]+)`", (ROOT / "CHANGELOG.md").read_text())
    assert acknowledged[:1] == [digest(templates)], (
        "an upgrade would replace all pods: say so in CHANGELOG.md, "
        f"with a new line `Pod templates: `{digest(templates)}`"
    )
