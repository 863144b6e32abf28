"""The operator and the load pod in a namespace as strict as those of large organisations.

Users come from a range of the namespace's own (OpenShift's restricted-v2, here as a policy of the
API server), Pod Security is restricted, and a quota demands requests and limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from riskpredictor_kubectl import loadpod
from riskpredictor_kubectl.loadgen import Demand
from riskpredictor_operator.core.api import POD
from riskpredictor_operator.kube import Key, Resource
from support.api import DEPLOYMENT, NAMESPACE, Api, Body, Refused, eventually
from support.cluster import LocalCluster
from support.helm import Helm

RANGE = (1000650000, 1000660000)
_USERS = """
[object.spec.?securityContext].all(c, !c.hasValue() || (
  (!has(c.value().runAsUser) || {pod})
  && (!has(c.value().runAsGroup) || c.value().runAsGroup == 0)))
&& object.spec.containers.all(c, !has(c.securityContext) || !has(c.securityContext.runAsUser)
  || {container})
"""
POLICY = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
)  # fmt: skip
BINDING = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
)  # fmt: skip
LIMITS = Resource("", "v1", "limitranges", "LimitRange")


def _in_range(user: str) -> str:
    return f"({user} >= {RANGE[0]} && {user} < {RANGE[1]})"


@pytest.fixture
def strict(api: Api, unique_name: str) -> Iterator[str]:
    """The namespace."""
    labels = {"users": "assigned", "pod-security.kubernetes.io/enforce": "restricted"}
    api.create(NAMESPACE, {"metadata": {"name": unique_name, "labels": labels}})
    api.limit(unique_name, **{
        "requests.cpu": "4", "requests.memory": "4Gi", "limits.cpu": "4", "limits.memory": "4Gi",
    })  # fmt: skip
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    expression = _USERS.format(
        pod=_in_range("c.value().runAsUser"), container=_in_range("c.securityContext.runAsUser")
    )
    name = {"name": f"users-{unique_name}"}
    selector = {"matchLabels": {"users": "assigned"}}
    api.create(POLICY, {"metadata": name, "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [{**rule, "resources": ["pods"]}], "namespaceSelector": selector,
        },
        "validations": [{"expression": expression, "message": "runAsUser must be in the ranges"}],
    }})  # fmt: skip
    binding = {"policyName": name["name"], "validationActions": ["Deny"]}
    api.create(BINDING, {"metadata": name, "spec": binding})
    eventually(lambda: _refused(api, unique_name), within=30, what="the policy is in force")
    yield unique_name
    api.delete(BINDING, Key("", name["name"]))
    api.delete(POLICY, Key("", name["name"]))
    api.delete(NAMESPACE, Key("", unique_name))


def load_pod() -> Body:
    """The pod of `kubectl riskpredictor load`."""
    return loadpod.manifest("load", "health-predictor:v1", "http://10.0.0.1:80", Demand())


def _create(api: Api, namespace: str, pod: Body) -> Body:
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    return api.request("POST", path, pod)


def _refused(api: Api, namespace: str) -> bool:
    pod = load_pod()
    pod["spec"]["securityContext"]["runAsUser"] = 10001
    try:
        _create(api, namespace, pod)
    except Refused as error:
        return "must be in the ranges" in str(error)
    return False


@pytest.mark.parametrize(
    "more", [{}, {"podSecurityContext": {"runAsUser": RANGE[0]}}], ids=["default", "a user"]
)
def test_the_operator_runs(
    cluster: LocalCluster,
    api: Api,
    strict: str,
    more: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    most = {"type": "Container", "max": {"cpu": "1", "memory": "512Mi"}}
    metadata = {"name": "most", "namespace": strict}
    api.create(LIMITS, {"metadata": metadata, "spec": {"limits": [most]}})
    helm = Helm.built(tmp_path_factory.mktemp("helm"), cluster.kubeconfig)
    values = {"crd": {"install": False}, "watchNamespace": strict, **more}
    objects = helm.template(values, namespace=strict)
    cluster.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump_all(objects))
    operator = Key(strict, "riskpredictor-operator")

    def available() -> bool:
        status = api.need(DEPLOYMENT, operator).get("status") or {}
        return bool(status.get("availableReplicas") == 2)

    eventually(available, within=60, what="two pods of the operator are admitted and run")
    for pod in api.items(POD, strict):
        assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_the_load_pod_is_admitted(api: Api, strict: str) -> None:
    assert _create(api, strict, load_pod())["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_a_quota_with_nothing_said_would_refuse_it(api: Api, strict: str) -> None:
    pod = load_pod()
    del pod["spec"]["containers"][0]["resources"]
    with pytest.raises(Refused, match=r"must specify limits\.cpu"):
        _create(api, strict, pod)
