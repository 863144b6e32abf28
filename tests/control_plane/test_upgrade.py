"""Another version or default of the operator reaches a few predictors at a time, and stops if it is
bad."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from unit.operator.builders import rendered

from riskpredictor_operator.core.api import ANNOTATION_HASH, CHILDREN, FIELD_MANAGER
from riskpredictor_operator.core.compare import recorded
from riskpredictor_operator.core.metadata import digest
from riskpredictor_operator.core.rollout import is_rolling
from riskpredictor_operator.kube import Key, path_of
from support import operator as operators
from support.api import DEPLOYMENT, RISKPREDICTOR, Api, Body, eventually
from support.pod_server import pods_of
from support.predictors import Predictors

COUNT = 8
LIMIT = 2
OLD = Path(__file__).parent / "version_0_1_0.yaml"
OTHER = "elsewhere/health-predictor"
FLAGS = (f"--image-repository={OTHER}", f"--max-rolls={LIMIT}")


@pytest.fixture
def settled(predictors: Predictors, operator_config: Path, tmp_path: Path) -> list[Key]:
    """Predictors as an operator with the old default left them."""
    with operators.running(operator_config, tmp_path / "old.log"):
        keys = [predictors.create(f"risk-{n}", minReplicas=1) for n in range(COUNT)]
        for key in keys:
            predictors.settle(key)
    return keys


def _moved(api: Api, namespace: str) -> tuple[int, int]:
    """Deployments with the new image, and those of them whose pods are being replaced."""
    bodies = [
        body
        for body in api.items(DEPLOYMENT, namespace)
        if body["spec"]["template"]["spec"]["containers"][0]["image"].startswith(OTHER)
    ]
    return len(bodies), sum(is_rolling(body) for body in bodies)


def test_a_few_roll_at_a_time(
    api: Api, namespace: str, settled: list[Key], operator_config: Path, tmp_path: Path
) -> None:
    with operators.running(operator_config, tmp_path / "new.log", *FLAGS):
        assert 1 <= _most_at_a_time(lambda: _moved(api, namespace)) <= LIMIT


def _most_at_a_time(moved: Callable[[], tuple[int, int]]) -> int:
    """How many rolled out at a time until all had."""
    most = 0
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        done, rolling = moved()
        most = max(most, rolling)
        if done == COUNT and rolling == 0:
            return most
    raise AssertionError(f"{done} of {COUNT} after 180 s")


def _made_by_0_1_0(api: Api, predictors: Predictors, name: str) -> Key:
    """A predictor as version 0.1.0 left it: its children tell a hash, not what was applied."""
    key = predictors.create(
        name,
        minReplicas=1,
        podTemplate={
            "nodeSelector": {"type": "kwok"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        },
    )
    own = api.need(RISKPREDICTOR, key)["metadata"]
    text = OLD.read_text().replace("NAMESPACE", key.namespace).replace("NAME", name)
    for body in yaml.safe_load_all(text.replace("UID", own["uid"])):
        resource = next(each for each in CHILDREN if each.kind == body["kind"])
        path = f"{path_of(resource, key)}?fieldManager={FIELD_MANAGER}"
        api.request("PATCH", path, body, "application/apply-patch+yaml")
    ready = {
        "type": "Ready", "status": "True", "reason": "Ready", "message": "",
        "lastTransitionTime": own["creationTimestamp"], "observedGeneration": own["generation"],
    }  # fmt: skip
    status = {"observedGeneration": own["generation"], "conditions": [ready]}
    api.patch(RISKPREDICTOR, key, {"status": status}, sub="status")
    eventually(lambda: api.need(DEPLOYMENT, key).get("status", {}).get("availableReplicas"))
    return key


def test_pods_of_the_version_before_are_replaced_once_and_a_few_at_a_time(
    api: Api, namespace: str, predictors: Predictors, operator_config: Path, tmp_path: Path
) -> None:
    """What was declared then and leaves the spec now leaves its children all the same."""
    keys = [_made_by_0_1_0(api, predictors, f"risk-{n}") for n in range(COUNT)]

    def moved() -> tuple[int, int]:
        bodies = api.items(DEPLOYMENT, namespace)
        new = [b for b in bodies if "volumes" not in b["spec"]["template"]["spec"]]
        return len(new), sum(is_rolling(body) for body in new)

    with operators.running(operator_config, tmp_path / "new.log", f"--max-rolls={LIMIT}"):
        assert 1 <= _most_at_a_time(moved) <= LIMIT
        for key in keys:
            predictors.wait(key)
            annotations = api.need(DEPLOYMENT, key)["metadata"]["annotations"]
            assert annotations["deployment.kubernetes.io/revision"] == "2"
            pod = api.need(DEPLOYMENT, key)["spec"]["template"]["spec"]
            assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "type": "kwok"}
        predictors.patch(keys[0], podTemplate=None)

        def plain() -> bool:
            pod = api.need(DEPLOYMENT, keys[0])["spec"]["template"]["spec"]
            left = pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
            return left and "tolerations" not in pod

        eventually(plain, within=2)


def _made_by_the_release_before(api: Api, key: Key) -> None:
    """Put a Deployment back to how the release before progressive roll-outs applied it: all as
    today, but for one pod more at a time."""
    desired = rendered(api.need(RISKPREDICTOR, key)).deployment
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    former = {**desired, "spec": {**desired["spec"], "strategy": rolling}}
    annotations = {**desired["metadata"]["annotations"], ANNOTATION_HASH: digest(former)}
    former["metadata"] = {**desired["metadata"], "annotations": annotations}
    path = f"{path_of(DEPLOYMENT, key)}?fieldManager={FIELD_MANAGER}&force=true"
    api.request("PATCH", path, recorded(former), "application/apply-patch+yaml")


def test_pods_of_the_release_before_progressive_roll_outs_stay(
    api: Api, predictors: Predictors, operator_config: Path, tmp_path: Path
) -> None:
    """Only how many pods more a roll-out makes has changed, which is no matter of the pods."""
    with operators.running(operator_config, tmp_path / "old.log"):
        key = predictors.create(minReplicas=1)
        predictors.settle(key)
    _made_by_the_release_before(api, key)

    def observed() -> Body | None:
        body = api.need(DEPLOYMENT, key)
        same = body["status"].get("observedGeneration") == body["metadata"]["generation"]
        return body if same else None

    before = eventually(observed)
    assert before is not None
    assert before["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
    pods = {pod["metadata"]["uid"] for pod in pods_of(api, key)}
    with operators.running(operator_config, tmp_path / "new.log"):
        eventually(
            lambda: (
                api.need(DEPLOYMENT, key)["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == "25%"
            )
        )
        predictors.settle(key)
    after = api.need(DEPLOYMENT, key)
    assert after["spec"]["template"] == before["spec"]["template"]
    assert {pod["metadata"]["uid"] for pod in pods_of(api, key)} == pods


def test_a_bad_default_stops_after_a_few(
    api: Api,
    namespace: str,
    predictors: Predictors,
    settled: list[Key],
    operator_config: Path,
    tmp_path: Path,
) -> None:
    # No pod more than there are: none of the new ones can start.
    api.limit(namespace, pods=str(COUNT))
    with operators.running(operator_config, tmp_path / "new.log", *FLAGS):
        eventually(lambda: _moved(api, namespace)[0] == LIMIT, within=60)
        time.sleep(4.0)
        assert _moved(api, namespace)[0] == LIMIT, "it goes no further"
        ready = [predictors.condition(key)["status"] for key in settled]
        assert ready.count("True") == COUNT - LIMIT, "who waits serves on"
        api.lift_the_limit(namespace)
        eventually(lambda: _moved(api, namespace) == (COUNT, 0), within=120, every=0.2)
        for key in settled:
            predictors.wait(key)
