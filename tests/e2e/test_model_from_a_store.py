"""Models that come from a store, on real pods: served, kept while the store is gone, or refused.

No image is built for any of them: all pods run the server without a model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography.hazmat.primitives.asymmetric import ec

from riskpredictor_operator.core.api import CONFIG_MAP, POD
from riskpredictor_operator.kube import Key, Resource
from support import foreign_model
from support.api import SECRET, Api, Body, eventually
from support.cluster import LocalCluster
from support.fetch import digest_of
from support.predictors import Predictors
from support.signing import sign, write_key
from support.stores import NAMES, Source, Store, serve

CLAIM = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}


NODE_PORT = {"type": "NodePort"}


@pytest.fixture(scope="module")
def address(cluster: LocalCluster) -> str:
    return cluster.machine_address


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Path]:
    """Two versions of a model that is not the demonstration's."""
    return {v: foreign_model.write(folder / "models" / v, v) for v in ("ward1", "ward2")}


@dataclass
class Ward:
    """Declares RiskPredictors whose model is in a store."""

    api: Api
    predictors: Predictors
    cluster: LocalCluster

    def declare(
        self,
        name: str,
        store: Store,
        source: Source,
        model: Path,
        credentials: Mapping[str, str] | None = None,
        **changed: Any,
    ) -> Key:
        """Declare one; ``changed`` are members of ``spec.model``."""
        key = Key(self.predictors.namespace, name)
        if store.credentials:
            data = dict(store.credentials if credentials is None else credentials)
            self.create(SECRET, f"{name}-store", {"stringData": data})
        if store.authority:
            self.create(CONFIG_MAP, f"{name}-ca", {"data": {"ca.crt": store.authority.read_text()}})
        version = json.loads((model / "card.json").read_bytes())["model_version"]
        return self.predictors.create(
            name,
            modelVersion=version,
            replicas=1,
            resources=SMALL,
            service=NODE_PORT,
            model=_model(key, store, source, model) | changed,
        )

    def create(self, resource: Resource, name: str, body: Body) -> None:
        """Create an object in the namespace."""
        metadata = {"name": name, "namespace": self.predictors.namespace}
        self.api.create(resource, {"metadata": metadata, **body})

    def predict(self, key: Key, record: Any) -> Any:
        """Ask through the Service."""
        with urllib3.PoolManager() as http:
            answer = http.request(
                "POST", f"{self.cluster.service_url(key)}/predict", json=record, timeout=10
            )
            return answer.json()

    def get(self, key: Key, path: str) -> bytes:
        """Read from the server through the Service."""
        with urllib3.PoolManager() as http:
            answer = http.request("GET", f"{self.cluster.service_url(key)}{path}", timeout=10)
            assert answer.status == 200, answer.data
            return answer.data

    def copies(self, key: Key) -> list[Body]:
        """The copies of its models in the cluster."""
        prefix = f"{key.name}-model-"
        bodies = self.api.items(CONFIG_MAP, key.namespace)
        return [body for body in bodies if body["metadata"]["name"].startswith(prefix)]


def _model(key: Key, store: Store, source: Source, model: Path) -> Body:
    spec: Body = {"digest": digest_of(model), "source": source}
    if store.credentials:
        spec["credentialsSecret"] = {"name": f"{key.name}-store"}
    if store.authority:
        spec["caBundle"] = {"configMap": f"{key.name}-ca", "key": "ca.crt"}
    return spec


@pytest.fixture(scope="module")
def ward(api: Api, predictors: Predictors, cluster: LocalCluster) -> Ward:
    return Ward(api, predictors, cluster)


@pytest.fixture(scope="module")
def stores(folder: Path, address: str) -> Iterator[dict[str, Store]]:
    """Every kind of store, reachable from pods."""
    with ExitStack() as running:
        found = {}
        for name in NAMES:
            home = folder / name
            home.mkdir()
            found[name] = running.enter_context(serve(name, address, home))
        yield found


def _signed_with(key: str) -> Body:
    """What to declare to demand a signature."""
    return {"signature": {"publicKey": {"configMap": "keys", "key": f"{key}.pub.pem"}}}


@pytest.fixture(scope="module")
def signed(ward: Ward, models: dict[str, Path], folder: Path) -> None:
    """The models signed with the key ``release``, and the public keys in the namespace."""
    for name in ("release", "other"):
        write_key(folder, name, ec.generate_private_key(ec.SECP256R1()))
    for model in models.values():
        sign(model, folder / "release.pem")
    keys = {path.name: path.read_text() for path in folder.glob("*.pub.pem")}
    ward.create(CONFIG_MAP, "keys", {"data": keys})


@pytest.fixture(scope="module")
def claim(cluster: LocalCluster, home: str, folder: Path) -> None:
    """The claim ``models``, bound to a folder of the node."""
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{home}-models"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadOnlyMany"],
            "hostPath": {"path": str(folder / "pvc")},
            "claimRef": {"namespace": home, "name": "models"},
            "storageClassName": "",
        },
    }
    wanted = {
        "apiVersion": "v1",
        "kind": CLAIM.kind,
        "metadata": {"name": "models", "namespace": home},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    for body in (volume, wanted):
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(body))


@pytest.fixture(scope="module")
def served(
    ward: Ward, stores: dict[str, Store], models: dict[str, Path], claim: None, signed: None
) -> dict[str, Key]:
    """A RiskPredictor for each store, all declared at once; of each a signature is demanded."""
    demanded = _signed_with("release")
    return {
        name: ward.declare(name, store, store.put(models["ward1"]), models["ward1"], **demanded)
        for name, store in stores.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_store_serves_one_model(
    ward: Ward, served: dict[str, Key], models: dict[str, Path], name: str
) -> None:
    """By its digest, whatever the way that it came."""
    status = ward.predictors.wait(served[name], within=180)["status"]
    served_model = (status["model"]["version"], status["model"]["digest"])
    assert served_model == ("ward1", digest_of(models["ward1"]))
    assert status["image"] == "health-predictor:runtime"
    answer = ward.predict(served[name], foreign_model.ILL)
    assert (answer["risk_level"], answer["model_version"]) == ("Very high", "ward1")


def test_an_image_may_be_the_store(ward: Ward, api: Api) -> None:
    """One that was built with a model in it: its digest is that of the card in it."""
    baked = ward.predictors.create("baked", replicas=1, resources=SMALL, service=NODE_PORT)
    ward.predictors.wait(baked, within=120)
    card = ward.get(baked, "/model/files/card.json")
    digest = f"sha256:{hashlib.sha256(card).hexdigest()}"
    source = {"image": {"reference": "health-predictor:v1"}}
    key = ward.predictors.create(
        "from-an-image", replicas=1, resources=SMALL, service=NODE_PORT,
        model={"digest": digest, "source": source},
    )  # fmt: skip
    status = ward.predictors.wait(key, within=120)["status"]
    assert status["model"]["digest"] == digest
    assert status["image"] == "health-predictor:runtime"
    assert ward.get(key, "/model/files/card.json") == card


def test_stores_that_are_gone_harm_nobody_who_serves(
    ward: Ward, served: dict[str, Key], stores: dict[str, Store], models: dict[str, Path]
) -> None:
    """Neither a scale-out nor the loss of all pods, nor the way back to an earlier version."""
    for key in served.values():
        ward.predictors.wait(key, within=180)
    # The way back needs an earlier version.
    first = served["http"]
    spec = {"modelVersion": "ward2"}
    source = stores["http"].put(models["ward2"])
    model = {"digest": digest_of(models["ward2"]), "source": source}
    ward.predictors.patch(first, **spec, model=model)
    ward.predictors.wait(first, within=90)
    for name, key in served.items():
        wanted = 2 if name == "http" else 1
        what = f"{name}: the copy in the cluster"
        eventually(lambda key=key, n=wanted: len(ward.copies(key)) == n, within=60, what=what)  # type: ignore[misc]
    for store in stores.values():
        store.stop()
    for key in served.values():
        ward.predictors.patch(key, replicas=2)
    for key in served.values():
        ward.predictors.wait(key, within=180)
        _delete_pods(ward, key)
    model["digest"] = digest_of(models["ward1"])
    ward.predictors.patch(first, modelVersion="ward1", model=model)
    for key in served.values():
        status = ward.predictors.wait(key, within=180)["status"]
        assert (status["readyReplicas"], status["servingVersion"]) == (2, "ward1")
        assert ward.predict(key, foreign_model.ILL)["model_version"] == "ward1"


def _delete_pods(ward: Ward, key: Key) -> None:
    for pod in ward.api.items(POD, key.namespace, f"healthtech.dev/riskpredictor={key.name}"):
        ward.api.delete(POD, Key(key.namespace, pod["metadata"]["name"]))


@dataclass(frozen=True)
class Damage:
    """What is wrong with a model or its store, and what the status says."""

    reason: str
    says: str
    damage: Callable[[Path], None] = lambda _: None
    """What happens to the folder in the store after its digest was declared."""
    declared: Body = field(default_factory=dict)
    credentials: Body | None = None


def _change_a_byte(name: str) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        data = bytearray((model / name).read_bytes())
        data[len(data) // 2] ^= 1
        (model / name).write_bytes(data)

    return change


def _remove(name: str) -> Callable[[Path], None]:
    return lambda model: (model / name).unlink()


DAMAGES = {
    "scorer-changed": Damage("ModelDigestMismatch", "scorer.json", _change_a_byte("scorer.json")),
    "card-changed": Damage("ModelDigestMismatch", "card.json", _change_a_byte("card.json")),
    "scorer-missing": Damage("ModelNotFound", "scorer.json", _remove("scorer.json")),
    "card-missing": Damage("ModelNotFound", "card.json", _remove("card.json")),
    "other-digest": Damage(
        "ModelDigestMismatch", "0000", declared={"digest": f"sha256:{'0' * 64}"}
    ),
    "wrong-password": Damage(
        "ModelFetchFailed", "401", credentials={"username": "x", "password": "y"}
    ),
    "not-signed": Damage(
        "ModelSignatureInvalid",
        "has no model.sig",
        _remove("model.sig"),
        declared=_signed_with("release"),
    ),
    "signed-by-another": Damage(
        "ModelSignatureInvalid", "is by another key", declared=_signed_with("other")
    ),
    "unknown-authority": Damage("ModelFetchFailed", "certificate", declared={"caBundle": None}),
}


@pytest.fixture(scope="module")
def refused(
    ward: Ward, folder: Path, address: str, models: dict[str, Path], signed: None
) -> Iterator[tuple[Store, dict[str, Key]]]:
    """A web server, and a RiskPredictor for each damage, all declared at once."""
    home = folder / "damaged"
    home.mkdir()
    with serve("http", address, home) as store:
        keys = {}
        for name, case in DAMAGES.items():
            place = home / "site" / name
            shutil.copytree(models["ward1"], place)
            case.damage(place)
            url = store.absent()["http"]["url"].replace("risk/nowhere", name)
            source = {"http": {"url": url}}
            credentials = store.credentials if case.credentials is None else case.credentials
            keys[name] = ward.declare(
                name, store, source, models["ward1"], credentials=credentials, **case.declared
            )
        yield store, keys


def test_a_refused_model_leaves_the_former_one_serving(
    ward: Ward, refused: tuple[Store, dict[str, Key]], models: dict[str, Path], folder: Path
) -> None:
    """Here one that answers its golden cases otherwise than its training recorded."""
    store, _ = refused
    key = ward.declare("former", store, store.put(models["ward1"]), models["ward1"])
    ward.predictors.wait(key, within=120)
    wrong = [
        {"name": "well", "input": foreign_model.WELL, "probabilities": [0.25, 0.25, 0.25, 0.25]}
    ]
    other = foreign_model.write_artifact(
        folder / "models" / "ward3",
        foreign_model.FEATURES,
        foreign_model.FORM,
        "ward3",
        [{"title": "Well", "record": foreign_model.WELL}],
        golden_cases=wrong,
    )
    model = _model(key, store, store.put(other), other)
    ward.predictors.patch(key, modelVersion="ward3", model=model)
    body = ward.predictors.wait(key, "False", "ModelRejected", within=120)
    status = body["status"]
    (ready,) = [each for each in status["conditions"] if each["type"] == "Ready"]
    print(f"golden case: {ready['reason']}: {ready['message']}")
    assert "golden case 'well'" in ready["message"]
    assert (status["readyReplicas"], status["servingVersion"]) == (1, "ward1")
    assert ward.predict(key, foreign_model.ILL)["model_version"] == "ward1"


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_model_is_refused_with_the_reason(
    ward: Ward, refused: tuple[Store, dict[str, Key]], name: str
) -> None:
    body = ward.predictors.wait(refused[1][name], "False", DAMAGES[name].reason, within=120)
    ready = next(c for c in body["status"]["conditions"] if c["type"] == "Ready")
    print(f"{name}: {ready['reason']}: {ready['message']}")
    assert DAMAGES[name].says in ready["message"]
    assert body["status"].get("readyReplicas", 0) == 0
