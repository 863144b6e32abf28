"""A chart as an earlier version could have been: to upgrade from, and to roll back to."""

from __future__ import annotations

from pathlib import Path

import yaml

from release import chart

VERSION = "0.0.9"
NEW_FIELD = "priorityClassName"
"""What podTemplate in its CRD does not know yet. An optional one: the program is the same."""
REPLICAS = 1
"""Its default, where the present one is 2."""


def pack(out: Path) -> Path:
    """Package it into a folder."""
    files = dict(chart.contents())
    about = yaml.safe_load(files["Chart.yaml"])
    files["Chart.yaml"] = _dumped({**about, "version": VERSION, "appVersion": VERSION})
    values = yaml.safe_load(files["values.yaml"])
    assert values["replicas"] != REPLICAS
    files["values.yaml"] = _dumped({**values, "replicas": REPLICAS})
    crd = yaml.safe_load(files["files/riskpredictors.yaml"])
    for version in crd["spec"]["versions"]:
        properties = version["schema"]["openAPIV3Schema"]["properties"]
        del properties["spec"]["properties"]["podTemplate"]["properties"][NEW_FIELD]
    files["files/riskpredictors.yaml"] = _dumped(crd)
    return chart.pack(files, out)


def _dumped(value: object) -> bytes:
    return yaml.safe_dump(value).encode()
