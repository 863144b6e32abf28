"""Drives the change of one model on real pods: declares it, sends patients, waits for its steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import urllib3

from riskpredictor_operator.core.api import ANNOTATION_STAGE, POD
from riskpredictor_operator.core.pods import is_ready
from riskpredictor_operator.kube import Key
from riskpredictor_server.api.inference_protocol import example_tensors
from riskpredictor_server.model.artifact import load
from riskpredictor_server.model.schema import Schema
from riskpredictor_server.settings import Settings
from support.api import DEPLOYMENT, RISKPREDICTOR, Api, Body, eventually
from support.candidates import STABLE, distinct_patients
from support.cluster import LocalCluster
from support.fetch import digest_of
from support.predictors import Predictors
from support.stores.http import WebServer

SMALL = {"requests": {"cpu": "10m", "memory": "48Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}}
SUBJECT = "X-Subject-Key"
AT_ONCE = {"minPairs": 1, "minDuration": "0s"}
HELD = {"minPairs": 1, "minDuration": "1h"}
"""A step that the test ends by declaring it anew."""
OPEN = {
    f"max{gate}Percent": 100
    for gate in ("Downgrade", "SevereDowngrade", "MissedHigh", "Upgrade", "ClassShift")
}
"""Gates that let every candidate pass that can be scored."""
MODEL = Settings.model_name
BOUND = 240.0
"""Seconds that a step may take on a busy machine."""
SENDERS = 8
BATCH = 500


def policy(
    *steps: Mapping[str, Any], shadow: Mapping[str, Any] = AT_ONCE, **more: Any
) -> dict[str, Any]:
    """``spec.rollout``: these canary steps, without a guard; ``more`` are its other fields."""
    canary = {"steps": list(steps), "subjectHeader": SUBJECT, "guard": "None"}
    return {"strategy": "Progressive", "shadow": dict(shadow), "canary": canary, **more}


@dataclass
class Clinic:
    """A namespace, a store with models in it, and patients."""

    cluster: LocalCluster
    api: Api
    predictors: Predictors
    models: Mapping[str, Path]
    records: list[dict[str, Any]] = field(init=False)
    """Patients, all different."""
    schema: Schema = field(init=False)

    def __post_init__(self) -> None:
        self.records = distinct_patients(self.models[STABLE], 4000)
        self.schema = load(self.models[STABLE]).schema

    def model(self, store: WebServer, version: str, **changed: Any) -> Body:
        """``spec.model`` for one of the models, which the store gets; ``changed`` are its fields.

        A model that is in the store already stays as it is.
        """
        place = store.root / version
        if not place.exists():
            place.mkdir()
            for file in self.models[version].iterdir():
                (place / file.name).write_bytes(file.read_bytes())
        return {
            "digest": digest_of(self.models[version]),
            "source": {"http": {"url": f"{store.url}/{version}/"}},
            "credentialsSecret": {"name": "store"},
            "caBundle": {"configMap": "store-ca", "key": "ca.crt"},
            **changed,
        }

    def declare(self, name: str, store: WebServer, **spec: Any) -> Trial:
        """Declare a RiskPredictor that serves the stable model, with one pod; what ``spec`` says
        is None is left out.
        """
        defaults = {"replicas": 1, "resources": SMALL, "service": {"type": "NodePort"}}
        wanted = {"model": self.model(store, STABLE), **defaults, **spec}
        given = {field: value for field, value in wanted.items() if value is not None}
        key = self.predictors.create(name, **given)
        return Trial(self, store, key, iter(self.records))


@dataclass
class Trial:
    """A RiskPredictor whose model changes."""

    clinic: Clinic
    store: WebServer
    key: Key
    _new: Iterator[dict[str, Any]]
    """Patients that were not sent yet."""

    def ready(self, within: float = BOUND) -> Body:
        """Wait until it is Ready, and return its status."""
        status: Body = self.clinic.predictors.wait(self.key, within=within)["status"]
        return status

    def not_ready(self, reason: str, within: float = BOUND) -> Body:
        """Wait for a reason of Ready=False, and return that condition."""
        self.clinic.predictors.wait(self.key, "False", reason, within=within)
        return self.condition("Ready")

    def patch(self, **spec: Any) -> None:
        """Change its spec."""
        self.clinic.predictors.patch(self.key, **spec)

    def change_to(self, version: str, **spec: Any) -> None:
        """Declare another model, as a commit in Git would."""
        model = self.clinic.model(self.store, version)
        self.patch(**{"modelVersion": version, "model": model, **spec})

    @property
    def status(self) -> Body:
        """Its status as stored."""
        status: Body = self.clinic.api.need(RISKPREDICTOR, self.key).get("status") or {}
        return status

    @property
    def rollout(self) -> Body:
        """``status.rollout``; empty while nothing is under way."""
        return self.status.get("rollout") or {}

    @property
    def deployment_generation(self) -> int:
        """It rises with every change of the Deployment's spec."""
        return int(self.clinic.api.need(DEPLOYMENT, self.key)["metadata"]["generation"])

    def condition(self, name: str) -> Body:
        """One of its conditions."""
        return self.clinic.predictors.condition(self.key, name)

    def pods(self) -> list[Body]:
        """Its pods, those that are leaving included."""
        labels = f"healthtech.dev/riskpredictor={self.key.name}"
        return self.clinic.api.items(POD, self.key.namespace, labels)

    def at_stage(self, stage: str, within: float = BOUND) -> None:
        """Wait until every pod is of a stage, such as ``Canary-10``; empty: without a candidate.

        They are as many as declared, where a number is.
        """

        def there() -> bool:
            wanted = self.clinic.api.need(RISKPREDICTOR, self.key)["spec"].get("replicas")
            pods = self.pods()
            stages = {
                (pod["metadata"].get("annotations") or {}).get(ANNOTATION_STAGE, "") for pod in pods
            }
            return wanted in (None, len(pods)) and stages == {stage} and all(map(is_ready, pods))

        eventually(there, within=within, every=0.1, what=f"{self.key}: all pods at {stage!r}")

    def has_pairs(self, count: int, within: float = 60) -> Body:
        """Wait until the status tells of so many pairs, and return the evidence."""

        def told() -> Body:
            evidence: Body = self.rollout.get("evidence") or {}
            return evidence if evidence.get("pairs", 0) >= count else {}

        return eventually(told, within=within, every=0.1, what=f"{self.key}: {count} pairs")

    @property
    def url(self) -> str:
        """Where this machine reaches its Service."""
        return self.clinic.cluster.service_url(self.key)

    def send(self, records: Sequence[Mapping[str, Any]], subjects: Sequence[str] = ()) -> list[str]:
        """Ask for each record, with the subject of its place; returns who answered each.

        All must be answered.
        """
        url = f"{self.url}/predict"

        def ask(number: int) -> str:
            headers = {SUBJECT: subjects[number]} if subjects else {}
            record = records[number % len(records)]
            answer = http.request("POST", url, json=record, headers=headers, timeout=10)
            assert answer.status == 200, answer.data
            body = answer.json()
            assert answer.headers["X-Model-Version"] == body["model_version"]
            return str(body["model_version"])

        count = max(len(records), len(subjects))
        with (
            urllib3.PoolManager(maxsize=SENDERS, retries=False) as http,
            ThreadPoolExecutor(SENDERS) as pool,
        ):
            return list(pool.map(ask, range(count)))

    def send_new(self, count: int) -> Counter[str]:
        """Send so many patients that it has not seen, in batches; returns who answered how many."""
        records = list(islice(self._new, count))
        assert len(records) == count, "there are no more patients"
        return self.send_batches(records)

    def send_batches(self, records: Sequence[Mapping[str, Any]]) -> Counter[str]:
        """Send records by the inference protocol; returns which version answered how many."""
        alike: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for record in records:
            # A tensor has a value in each row: a value that is left out has none.
            alike.setdefault(tuple(record), []).append(record)
        answered: Counter[str] = Counter()
        url = f"{self.url}/v2/models/{MODEL}/infer"
        with urllib3.PoolManager(retries=False) as http:
            for rows in (b for same in alike.values() for b in _batches(same)):
                inputs = example_tensors(self.clinic.schema, rows[0])["inputs"]
                for each in inputs:
                    each["shape"], each["data"] = [len(rows)], [row[each["name"]] for row in rows]
                answer = http.request("POST", url, json={"inputs": inputs}, timeout=30)
                assert answer.status == 200, answer.data
                answered[answer.json()["model_version"]] += len(rows)
        return answered


def _batches(records: list[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    for start in range(0, len(records), BATCH):
        yield records[start : start + BATCH]
