"""Specification of keeping copies: from the first verified start to the loss of everything else."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest
from unit.operator.builders import KEY, NAMESPACE, Object
from unit.operator.eventually import eventually
from unit.operator.harness import Harness
from unit.operator.live_objects import pod
from unit.operator.models import digest_of, model

from riskpredictor_operator import model_copier
from riskpredictor_operator.core import api, model_copy, reasons
from riskpredictor_operator.core.model_copy import is_intact
from riskpredictor_operator.kube import ApiError, Key
from riskpredictor_operator.status_writer import PROGRESS_SECONDS

PVC = {"pvc": {"claimName": "models"}}
V2 = model("v2")
DIGEST = digest_of(V2)
ADDRESSES = ("10.0.0.1", "10.0.0.2")


class Scene(Harness):
    """A predictor whose model comes from a store, with two pods."""

    async def serve(self, version: str, files: dict[str, bytes], *, reachable: bool = True) -> None:
        """Roll out a version, and let its pods answer and what follows come to an end."""
        digest = digest_of(files)
        self.declare(modelVersion=version, model={"digest": digest, "source": PVC})
        await self.synced_pass()
        self.cluster.objects[api.POD].clear()
        for number, address in enumerate(ADDRESSES):
            name = f"risk-{number}"
            body = pod(name, version=version, digest=digest, ready=True, podIP=address)
            self.cluster.store(api.POD, {**body, "metadata": {**body["metadata"], "uid": name}})
        self.pods.files = dict.fromkeys(ADDRESSES, files) if reachable else {}
        self.pods_up(2)
        await self.passes()

    async def passes(self, count: int = 3) -> None:
        """Passes, each after the looks at copies that the one before asked for."""
        for _ in range(count):
            await self.synced_pass()
            await self.looked()
            # What is merely progress is written every two seconds at most.
            self.later(PROGRESS_SECONDS / count)
        await self.synced_pass()
        await self.sync()

    async def looked(self) -> None:
        """Until no look is under way."""
        await eventually(lambda: not self.copier._tasks)

    def later(self, seconds: float) -> None:
        self.time += datetime.timedelta(seconds=seconds)

    @property
    def copies(self) -> dict[str, Object]:
        """The ConfigMaps, by name."""
        return {key.name: body for key, body in self.cluster.objects[api.CONFIG_MAP].items()}

    def told(self) -> list[str]:
        """The Events about copies."""
        return [
            e["message"] for e in self.cluster.events if e["reason"] == reasons.MODEL_NOT_COPIED
        ]


def name_of(digest: str) -> str:
    return f"risk-model-{digest[7:19]}"


def config_map(digest: str) -> Key:
    return Key(NAMESPACE, name_of(digest))


async def test_after_the_first_verified_start_there_is_a_copy() -> None:
    scene = Scene()
    await scene.serve("v2", V2)
    assert list(scene.copies) == [name_of(DIGEST)]
    assert is_intact(scene.copies[name_of(DIGEST)], DIGEST)
    assert scene.status["model"] == {"version": "v2", "digest": DIGEST, "copy": "Kept"}
    assert scene.status["modelCopies"] == [DIGEST]
    assert scene.reason() == reasons.READY


async def test_a_signature_is_copied_with_the_model() -> None:
    scene = Scene()
    await scene.serve("v2", {**V2, "model.sig": b"signed"})
    assert set(scene.copies[name_of(DIGEST)]["binaryData"]) == {*V2, "model.sig"}


SIGNED = {**V2, "model.sig": b"signed"}


async def _demand_a_signature(scene: Scene, files: dict[str, bytes]) -> None:
    """Of a model that is served and copied without one; ``files`` are what the pods hand out."""
    await scene.serve("v2", V2)
    signature = {"publicKey": {"configMap": "keys", "key": "release.pub"}}
    spec = {"digest": DIGEST, "source": PVC, "signature": signature}
    scene.declare(modelVersion="v2", model=spec)
    await scene.synced_pass()
    scene.pods.files = dict.fromkeys(ADDRESSES, files)
    scene.pods_up(2)
    scene.later(700)
    await scene.passes()


async def test_a_copy_gets_the_signature_that_is_demanded_later() -> None:
    """Without it the pods would refuse the copy, and need the store."""
    scene = Scene()
    await _demand_a_signature(scene, SIGNED)
    assert set(scene.copies[name_of(DIGEST)]["binaryData"]) == set(SIGNED)
    assert scene.status["modelCopies"] == [DIGEST]


async def test_a_copy_is_not_made_anew_from_a_pod_that_has_no_signature_either() -> None:
    """One of before, while the pods are replaced."""
    scene = Scene()
    await _demand_a_signature(scene, V2)
    uid = scene.copies[name_of(DIGEST)]["metadata"]["uid"]
    scene.later(700)
    await scene.passes()
    assert scene.copies[name_of(DIGEST)]["metadata"]["uid"] == uid
    assert "modelCopies" not in scene.status, "no copy that one could rely on"


async def test_a_model_in_an_image_has_no_copy() -> None:
    scene = Scene()
    scene.declare()
    await scene.settle()
    assert scene.copies == {}
    assert not {"model", "modelCopies"} & set(scene.status)
    assert scene.pods.asked == []


async def test_a_restart_of_a_settled_cluster_writes_nothing() -> None:
    scene = Scene()
    await scene.serve("v2", V2)
    scene.restart()
    for _ in range(3):
        await scene.sync()
        await scene.reconcile()
        await scene.looked()
        assert scene.take_writes() == []
    assert scene.told() == []


async def test_the_first_pod_that_answers_suffices() -> None:
    """The store may be gone before the second one starts."""
    scene = Scene()
    scene.declare(modelVersion="v2", model={"digest": DIGEST, "source": PVC})
    await scene.synced_pass()
    body = pod(version="v2", digest=DIGEST, ready=True, podIP=ADDRESSES[0])
    scene.cluster.store(api.POD, {**body, "metadata": {**body["metadata"], "uid": "x"}})
    scene.pods.files = {ADDRESSES[0]: V2}
    scene.pods_up(1)
    await scene.passes()
    assert list(scene.copies) == [name_of(DIGEST)]
    assert scene.reason() != reasons.READY


async def test_pods_that_cannot_be_reached_cost_nothing_but_the_copy() -> None:
    scene = Scene()
    await scene.serve("v2", V2, reachable=False)
    assert scene.copies == {}
    assert scene.reason() == reasons.READY
    assert "copy" not in scene.status["model"]
    tries = len(scene.pods.asked)
    assert tries == 1, "and is not tried at every pass"
    assert scene.told() == []
    # Each later try is another pod's, and comes later.
    scene.later(10)
    await scene.passes()
    assert scene.pods.asked == [ADDRESSES[0], ADDRESSES[1]]
    scene.pods.files = dict.fromkeys(ADDRESSES, V2)
    scene.later(600)
    await scene.passes()
    assert list(scene.copies) == [name_of(DIGEST)]
    assert scene.status["model"]["copy"] == "Kept"


async def test_pods_that_hang_delay_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.pods.hangs = True
    scene.looked = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
    await scene.serve("v2", V2)
    assert scene.reason() == reasons.READY
    assert len(scene.copier._tasks) == 1, "one look, which hangs"
    monkeypatch.setattr(model_copier, "READ_SECONDS", 0.001)
    again = Scene()
    again.pods.hangs = True
    await again.serve("v2", V2)
    assert again.copies == {}
    await scene.copier.close()


LIES = {
    "another card": model("v3"),
    "another file": {**V2, "scorer.json": b"other"},
    "no card": {"scorer.json": V2["scorer.json"]},
    "no file": {"card.json": V2["card.json"]},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_pod_is_not_trusted(lie: dict[str, bytes]) -> None:
    scene = Scene()
    await scene.serve("v2", V2, reachable=False)
    scene.pods.files = dict.fromkeys(ADDRESSES, lie)
    scene.later(600)
    await scene.passes()
    assert scene.copies == {}
    assert scene.pods.asked[-1] in ADDRESSES


async def test_a_model_that_is_too_large_is_told_once() -> None:
    large = model("v2", model_joblib=b"x" * model_copy.SIZE_LIMIT)
    scene = Scene()
    await scene.serve("v2", large)
    assert scene.copies == {}
    assert scene.status["model"]["copy"] == "TooLarge"
    assert "modelCopies" not in scene.status
    (message,) = scene.told()
    assert message.endswith("it has more than 900 KiB; new pods need the store")
    scene.restart()
    await scene.passes()
    scene.later(700)
    await scene.passes()
    assert len(scene.told()) == 1
    assert scene.take_writes() == []


async def test_the_next_model_that_is_too_large_is_told_while_the_former_answers_too() -> None:
    former, latter = (model(v, model_joblib=b"x" * model_copy.SIZE_LIMIT) for v in ("v2", "v3"))
    scene = Scene()
    await scene.serve("v2", former)
    digest = digest_of(latter)
    scene.declare(modelVersion="v3", model={"digest": digest, "source": PVC})
    await scene.synced_pass()
    body = pod("risk-new", version="v3", digest=digest, ready=True, podIP="10.0.0.3")
    scene.cluster.store(api.POD, {**body, "metadata": {**body["metadata"], "uid": "new"}})
    scene.pods.files = {"10.0.0.3": latter}
    scene.pods_up(1)
    await scene.passes()
    assert scene.status["model"]["digest"] == digest_of(former)
    assert [digest in message for message in scene.told()] == [False, True]


async def test_the_largest_model_that_fits_is_copied() -> None:
    files = model("v2", model_joblib=b"")
    room = model_copy.SIZE_LIMIT - sum(map(len, files.values()))
    files = model("v2", model_joblib=b"x" * room)
    scene = Scene()
    await scene.serve("v2", files)
    assert list(scene.copies) == [name_of(digest_of(files))]


async def test_a_damaged_copy_is_made_anew_and_only_when_a_pod_verifies() -> None:
    scene = Scene()
    await scene.serve("v2", V2)

    def damage(body: Object) -> None:
        body["binaryData"]["scorer.json"] = "e30="

    # Somebody deleted it and made another of that name.
    scene.cluster.objects[api.CONFIG_MAP][config_map(DIGEST)]["spec"] = {}
    scene.cluster.edit(api.CONFIG_MAP, config_map(DIGEST), damage)
    scene.pods.files = {}
    scene.later(700)
    await scene.passes()
    assert not is_intact(scene.copies[name_of(DIGEST)], DIGEST)
    assert "copy" not in scene.status["model"], "no copy that one could rely on"
    assert "modelCopies" not in scene.status
    scene.pods.files = dict.fromkeys(ADDRESSES, V2)
    scene.later(700)
    await scene.passes()
    assert is_intact(scene.copies[name_of(DIGEST)], DIGEST)
    assert scene.status["modelCopies"] == [DIGEST]


async def test_a_deleted_copy_is_made_anew() -> None:
    scene = Scene()
    await scene.serve("v2", V2)
    scene.cluster.remove(api.CONFIG_MAP, config_map(DIGEST))
    await scene.passes()
    assert scene.copies == {}, "it is looked at now and then"
    scene.later(700)
    await scene.passes()
    assert is_intact(scene.copies[name_of(DIGEST)], DIGEST)


@pytest.mark.parametrize(
    "metadata",
    [{}, {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y",
                               "controller": True}]}],
    ids=["nobody's", "somebody else's"],
)  # fmt: skip
async def test_a_foreign_config_map_is_never_touched(metadata: Object) -> None:
    scene = Scene()
    whole = {"name": name_of(DIGEST), "namespace": NAMESPACE, "uid": "theirs", **metadata}
    scene.cluster.store(api.CONFIG_MAP, {"metadata": whole, "data": {"a": "b"}})
    await scene.serve("v2", V2)
    assert scene.copies[name_of(DIGEST)]["data"] == {"a": "b"}
    assert scene.status["model"]["copy"] == "Refused"
    (message,) = scene.told()
    assert f"ConfigMap {name_of(DIGEST)} exists and belongs to somebody else" in message
    assert scene.reason() == reasons.READY


async def test_the_copies_of_three_former_models_stay_and_older_ones_go() -> None:
    scene = Scene()
    versions = {f"v{n}": model(f"v{n}") for n in range(1, 7)}
    digests = [digest_of(files) for files in versions.values()]
    for version, files in versions.items():
        await scene.serve(version, files)
        scene.later(700)
    assert scene.status["modelCopies"] == digests[:1:-1]
    assert set(scene.copies) == {name_of(digest) for digest in digests[2:]}


async def test_a_revert_finds_its_copy_though_nothing_else_is_left() -> None:
    scene = Scene()
    former, latter = model("v1"), model("v2")
    await scene.serve("v1", former)
    await scene.serve("v2", latter)
    scene.restart()
    scene.cluster.calls.clear()
    await scene.serve("v1", former, reachable=False)
    assert scene.status["modelCopies"] == [digest_of(former), digest_of(latter)]
    assert scene.status["model"] == {
        "version": "v1", "digest": digest_of(former), "copy": "Kept",
    }  # fmt: skip
    assert len(scene.copies) == 2


async def test_copies_outlive_a_time_with_a_model_in_an_image() -> None:
    scene = Scene()
    await scene.serve("v2", V2)
    scene.declare(modelVersion="v3")
    await scene.synced_pass()
    scene.pods_up(2)
    await scene.passes()
    assert scene.status["modelCopies"] == [DIGEST]
    assert "model" not in scene.status
    await scene.serve("v2", V2, reachable=False)
    assert scene.status["model"]["copy"] == "Kept"


REFUSALS = {
    "no right": ApiError(403, "Forbidden", 'User "x" cannot create resource "configmaps"'),
    "no room": ApiError(403, "Forbidden", "exceeded quota: full, requested: configmaps=1"),
}


@pytest.mark.parametrize("error", REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_copy_is_told_once_and_tried_again_later(error: ApiError) -> None:
    scene = Scene()
    scene.cluster.fail("create", api.CONFIG_MAP, error)
    await scene.serve("v2", V2)
    assert scene.status["model"]["copy"] == "Refused"
    (message,) = scene.told()
    assert error.message in message
    scene.later(700)
    await scene.passes()
    assert scene.status["model"]["copy"] == "Kept"
    assert len(scene.told()) == 1


async def test_an_api_server_that_fails_is_asked_again() -> None:
    scene = Scene()
    scene.cluster.fail("get", api.CONFIG_MAP, ApiError(500, "InternalError", "etcd"))
    await scene.serve("v2", V2)
    assert scene.copies == {}
    scene.later(5)
    await scene.passes()
    assert is_intact(scene.copies[name_of(DIGEST)], DIGEST)


async def test_a_bug_in_a_look_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()

    async def broken(*_: Any) -> bytes:
        raise RuntimeError("a bug")

    scene.pods.read = broken  # type: ignore[method-assign, assignment]
    await scene.serve("v2", V2)
    assert scene.reason() == reasons.READY
    assert f"{KEY}: unexpected error with the copy of the model" in caplog.text


async def test_a_suspended_predictor_is_left_alone() -> None:
    scene = Scene()
    await scene.serve("v2", V2, reachable=False)
    scene.pods.asked.clear()
    scene.declare(modelVersion="v2", model={"digest": DIGEST, "source": PVC}, suspend=True)
    scene.later(700)
    await scene.passes()
    assert scene.pods.asked == []


async def test_of_a_predictor_that_is_gone_nothing_is_remembered() -> None:
    """The next one of its name starts anew; its copies were the former one's."""
    scene = Scene()
    await scene.serve("v2", V2)
    scene.cluster.remove(api.RISKPREDICTOR, KEY)
    await scene.sync()
    await scene.reconcile()
    assert scene.copier._known == {}


async def test_the_end_waits_for_nothing() -> None:
    scene = Scene()
    scene.pods.hangs = True
    scene.looked = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
    await scene.serve("v2", V2)
    assert len(scene.copier._tasks) == 1
    await scene.copier.close()
    assert scene.copies == {}
