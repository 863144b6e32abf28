"""A model version as pods run it, and what the pods of a Deployment are made of."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from riskpredictor_operator.core import api, slots
from riskpredictor_operator.core.compare import last_record
from riskpredictor_operator.core.model import SOURCES, ConfigMapKey, Model, parse_model
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.core.slots import CANDIDATE, STABLE, Slot
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body


@dataclass(frozen=True, slots=True)
class Release:
    """A model version, where it is, and the image of the server for it."""

    version: str
    image: str
    """Image reference of the server."""
    model: Model | None
    """The model from a store; None: it is in the image."""

    @property
    def digest(self) -> str:
        """The declared digest of the model; empty where it is in the image."""
        return self.model.digest if self.model else ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A release on trial beside the stable one, in the same pods."""

    release: Release
    rollout_id: str
    stage: str
    """Shadow, or Canary-10."""
    percent: float
    """Of the requests that the candidate answers."""
    sample: float
    """Percentage of the requests that the candidate scores, too."""
    guard: str
    subject_header: str | None
    cases: str | None
    """ConfigMap with the hospital's own cases."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What pods are made of."""

    stable: Release
    candidate: Candidate | None = None
    aborted: tuple[str, ...] = ()
    """Keys of the releases that were aborted, the latest first."""


def declared(rp: RiskPredictor, options: RenderOptions) -> Release:
    """The release that a RiskPredictor declares.

    The image is ``<repository>:<tag>``, and ``@<digest>`` if there is one. What the RiskPredictor
    leaves out comes from the operator's settings: the tag is modelVersion where the model is in the
    image, else that of the runtime image.
    """
    repository, tag, digest = options.image_repository, rp.model_version, rp.image.digest
    if rp.model is not None:
        repository, tag, of_runtime = _parts(options.runtime_image)
        if not (rp.image.repository or rp.image.tag or digest):
            digest = of_runtime
    tagged = f"{rp.image.repository or repository}:{rp.image.tag or tag}"
    return Release(rp.model_version, f"{tagged}@{digest}" if digest else tagged, rp.model)


def _parts(image: str) -> tuple[str, str, str | None]:
    """Repository, tag and digest of an image reference that has a tag."""
    tagged, _, digest = image.partition("@")
    repository, _, tag = tagged.rpartition(":")
    return repository, tag, digest or None


def shadow_of(rp: RiskPredictor, options: RenderOptions) -> Release | None:
    """The release of ``spec.shadow``; None where there is none.

    One from a store is fetched by the server's own image. One in an image has its version as tag.
    """
    if rp.shadow is None:
        return None
    version, model = rp.shadow.version, rp.shadow.model
    if model is not None:
        return Release(version, declared(rp, options).image, model)
    return Release(version, f"{rp.image.repository or options.image_repository}:{version}", None)


def to_document(release: Release) -> dict[str, Any]:
    """A release as JSON: ``{version, digest?, image, model?}``, the model as in ``spec.model``."""
    document: dict[str, Any] = {"version": release.version, "image": release.image}
    if (model := release.model) is None:
        return document
    described: dict[str, Any] = {"digest": model.digest, "source": {model.kind: dict(model.place)}}
    if model.credentials_secret:
        described["credentialsSecret"] = {"name": model.credentials_secret}
    if model.ca_bundle:
        described["caBundle"] = _key_document(model.ca_bundle)
    if model.public_key:
        described["signature"] = {"publicKey": _key_document(model.public_key)}
    return {**document, "digest": model.digest, "model": described}


def _key_document(entry: ConfigMapKey) -> dict[str, str]:
    return {"configMap": entry.config_map, "key": entry.key}


def from_document(document: Body) -> Release:
    """The release that ``to_document`` described.

    Raises:
        ValueError: it is none.
    """
    version, image = document.get("version"), document.get("image")
    if not (isinstance(version, str) and version and isinstance(image, str) and image):
        raise ValueError("a release has a version and an image")
    return Release(version, image, parse_model(document, "release"))


def escaped(value: str) -> str:
    """The value of a variable that means this text: Kubernetes replaces $(NAME), and makes one $ of
    two."""
    return value.replace("$", "$$")


def serving_of(deployment: Body) -> Serving | None:
    """What the pods of a Deployment are made of, by what the operator applied to it last and,
    without a record of that, by its live template; None where neither can be read."""
    for applied in (last_record(deployment), deployment):
        if applied is None:
            continue
        # Anybody may have written it.
        try:
            return _Applied(applied).serving()
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ):
            continue
    return None


class _Applied:
    """Reads a Deployment as this operator renders it; raises where it is not."""

    def __init__(self, deployment: Body) -> None:
        self._deployment = deployment
        template = deployment["spec"]["template"]
        self._labels: Body = template["metadata"].get("labels") or {}
        self._annotations: Body = template["metadata"].get("annotations") or {}
        pod = template["spec"]
        self._volumes = _by_name(pod.get("volumes"))
        self._init = _by_name(pod.get("initContainers"))
        self._predictor = _by_name(pod["containers"])[api.CONTAINER]

    def serving(self) -> Serving:
        annotations = self._deployment["metadata"].get("annotations") or {}
        aborted = str(annotations.get(api.ANNOTATION_ABORTED) or "")
        stable = Release(
            _text(self._labels[STABLE.version_label]),
            _text(self._predictor["image"]),
            self._model(STABLE),
        )
        return Serving(stable, self._candidate(), tuple(filter(None, aborted.split(","))))

    def _candidate(self) -> Candidate | None:
        """The candidate; None without an init container that brings it."""
        names = (CANDIDATE.fetch_container, CANDIDATE.copy_container)
        brought_by = next((self._init[name] for name in names if name in self._init), None)
        if brought_by is None:
            return None
        variables = _variables(self._predictor)
        cases = self._volumes.get(api.CASES_VOLUME)
        return Candidate(
            release=Release(
                _text(self._labels[CANDIDATE.version_label]),
                _text(brought_by["image"]),
                self._model(CANDIDATE),
            ),
            rollout_id=_text(self._annotations[api.ANNOTATION_ROLLOUT_ID]),
            stage=_text(self._annotations[api.ANNOTATION_STAGE]),
            percent=_number(variables["RISKPREDICTOR_CANDIDATE_PERCENT"]),
            sample=_number(variables["RISKPREDICTOR_SAMPLE"]),
            guard=variables["RISKPREDICTOR_GUARD"],
            subject_header=variables.get("RISKPREDICTOR_SUBJECT_HEADER"),
            cases=None if cases is None else _text(cases["configMap"]["name"]),
        )

    def _model(self, slot: Slot) -> Model | None:
        """The model from a store in a slot."""
        fetch = self._init.get(slot.fetch_container)
        if fetch is None:
            return None
        variables = _variables(fetch)
        ((kind, place),) = json.loads(variables["RISKPREDICTOR_MODEL_SOURCE"]).items()
        if kind not in SOURCES or not isinstance(place, dict):
            raise ValueError("no source of a model")
        secret = self._volumes.get(slot.volume(slots.CREDENTIALS))
        return Model(
            digest=variables["RISKPREDICTOR_MODEL_DIGEST"],
            kind=kind,
            place=place,
            credentials_secret=None if secret is None else _text(secret["secret"]["secretName"]),
            ca_bundle=self._entry(slot.volume(slots.CA)),
            public_key=self._entry(slot.volume(slots.KEY)),
        )

    def _entry(self, volume: str) -> ConfigMapKey | None:
        """The entry of a ConfigMap that a volume has."""
        if volume not in self._volumes:
            return None
        source = self._volumes[volume]["configMap"]
        (item,) = source["items"]
        return ConfigMapKey(_text(source["name"]), _text(item["key"]))


def _by_name(items: Any) -> dict[str, Body]:
    return {item["name"]: item for item in items or ()}


def _variables(container: Body) -> dict[str, str]:
    """The variables of a container that have values; ours come before the user's."""
    variables: dict[str, str] = {}
    for entry in container["env"]:
        if isinstance(value := entry.get("value"), str):
            variables.setdefault(entry["name"], value.replace("$$", "$"))
    return variables


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("no number")
    return value
