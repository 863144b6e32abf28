"""The images where a cluster assigns users: any user of group 0, and no file to write to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from riskdemo.install import OPERATOR_IMAGE
from riskpredictor_operator.core.api import POD
from riskpredictor_operator.core.pods import is_ready
from riskpredictor_operator.kube import Key
from support.api import Api, Body, eventually
from support.cluster import LocalCluster
from support.operator import SYSTEM

ASSIGNED = {"runAsUser": 1000650000, "runAsGroup": 0}
"""As OpenShift does; no such user is in /etc/passwd."""

ASK = """
import json, os, urllib.request

def ask(path, body=None):
    data = body and json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    call = urllib.request.Request("http://localhost:5000" + path, data, headers)
    with urllib.request.urlopen(call, timeout=20) as answer:
        return answer.status, answer.read()

record = {"heart_rate": 85, "blood_pressure": 120, "temperature": 98.6, "oxygen_level": 97}
tensor = {"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [85, 120, 98.6, 97]}
try:
    open("/tmp/written", "w").close()
    written = True
except OSError:
    written = False
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "written": written,
    "one": json.loads(ask("/predict", record)[1])["risk_level"],
    "batch": len(json.loads(ask("/predict", {"instances": [record] * 1000})[1])["predictions"]),
    "protocol": ask("/v2/models/riskpredictor/infer", {"inputs": [tensor]})[0],
    "pages": [ask(path)[0] for path in ("/", "/docs", "/static/page.js", "/openapi.json")],
}))
"""


def container(image: str, **more: object) -> Body:
    return {
        "name": "main", "image": image, "imagePullPolicy": "Never",
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **more,
    }  # fmt: skip


@contextmanager
def running(api: Api, key: Key, user: Body, main: Body, **spec: object) -> Iterator[None]:
    """A pod of one container without volumes, ready."""
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **user}
    metadata = {"name": key.name, "namespace": key.namespace}
    spec = {"securityContext": context, "containers": [main], "enableServiceLinks": False, **spec}
    api.create(POD, {"metadata": metadata, "spec": spec})
    try:
        eventually(lambda: is_ready(api.need(POD, key)), within=90, what=f"{key} ready")
        yield
    finally:
        api.delete(POD, key)


@pytest.mark.parametrize(
    ("user", "seen"),
    [(ASSIGNED, [1000650000, 0]), ({}, [10001, 0])],
    ids=["a user of the cluster's", "the image's own"],
)
def test_a_predictor_answers_all_as_any_user_without_a_file_to_write_to(
    node: LocalCluster, api: Api, home: str, user: Body, seen: list[int]
) -> None:
    key = Key(home, f"predictor-{seen[0]}")
    environment = [
        {"name": f"RISKPREDICTOR_{name}", "value": "on"} for name in ("AUDIT_LOG", "ACCESS_LOG")
    ]
    probe = {"httpGet": {"path": "/ready", "port": 5000}, "periodSeconds": 1}
    main = container("health-predictor:v1", env=environment, readinessProbe=probe)
    with running(api, key, user, main, automountServiceAccountToken=False):
        where = ("-n", home, "exec", key.name, "--")
        told = json.loads(node.kubectl(*where, "/opt/venv/bin/python", "-c", ASK))
        assert told == {
            "user": seen, "written": False, "one": "Low", "batch": 1000, "protocol": 200,
            "pages": [200] * 4,
        }  # fmt: skip
        log = node.kubectl("-n", home, "logs", key.name)
        assert '"audit":"prediction"' in log
        assert "Traceback" not in log


def test_an_operator_works_as_any_user_without_a_file_to_write_to(
    cluster: LocalCluster, api: Api
) -> None:
    """It stands by for the one that is installed."""
    key = Key(SYSTEM, "any-user")
    probe = {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1}
    main = container(OPERATOR_IMAGE, readinessProbe=probe)
    with running(api, key, ASSIGNED, main, serviceAccountName="riskpredictor-operator"):
        where = ("-n", SYSTEM, "exec", key.name, "--", "/opt/venv/bin/python", "-c")
        told = cluster.kubectl(*where, "import os; print(os.getuid(), os.getgid())")
        assert told.split() == ["1000650000", "0"]
        assert "Traceback" not in cluster.kubectl("-n", SYSTEM, "logs", key.name)
