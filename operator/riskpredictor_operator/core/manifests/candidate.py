"""The parts of a pod that a candidate adds: its model beside the stable one, and what the predictor
is told of it."""

from __future__ import annotations

from typing import Any

from riskpredictor_operator.core import api
from riskpredictor_operator.core.manifests import model
from riskpredictor_operator.core.release import Candidate, Release
from riskpredictor_operator.core.slots import CANDIDATE, CASES
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.kube import Body


def with_candidate(template: Body, rp: RiskPredictor, candidate: Candidate) -> dict[str, Any]:
    """A pod template whose predictor compares a candidate with the stable model.

    Args:
        template: the template with the stable model alone.
        rp: what is declared.
        candidate: the candidate, and how it is tried.
    """
    release = candidate.release
    pod = model.with_models(template, _variables(candidate))
    if release.model is None:
        pod = _with_copy(pod, release)
    else:
        pod = model.with_fetch(pod, rp, CANDIDATE, release, release.model)
    if candidate.cases:
        pod = _with_cases(pod, candidate.cases)
    metadata = pod["metadata"]
    told = {
        api.ANNOTATION_STAGE: candidate.stage,
        api.ANNOTATION_ROLLOUT_ID: candidate.rollout_id,
    }
    return {
        **pod,
        "metadata": {
            "labels": {**metadata["labels"], CANDIDATE.version_label: release.version},
            "annotations": {**metadata["annotations"], **told},
        },
    }


def _variables(candidate: Candidate) -> dict[str, str]:
    variables = {
        "RISKPREDICTOR_CANDIDATE": CANDIDATE.folder,
        "RISKPREDICTOR_CANDIDATE_PERCENT": _number(candidate.percent),
        "RISKPREDICTOR_SAMPLE": _number(candidate.sample),
        "RISKPREDICTOR_GUARD": candidate.guard,
        "RISKPREDICTOR_ROLLOUT_ID": candidate.rollout_id,
    }
    if candidate.subject_header:
        variables["RISKPREDICTOR_SUBJECT_HEADER"] = candidate.subject_header
    if candidate.cases:
        variables["RISKPREDICTOR_CASES"] = CASES
    return variables


def _number(value: float) -> str:
    """A number as people write it, and to the last digit."""
    return repr(float(value)).removesuffix(".0")


def _with_copy(template: Body, release: Release) -> dict[str, Any]:
    """The template with an init container that copies the candidate's model out of its image."""
    spec = template["spec"]
    predictor = spec["containers"][0]
    copy = model.copy_container(
        CANDIDATE, release.image, model.IMAGE_PATH, CANDIDATE.folder, predictor
    )
    return {
        **template,
        "spec": {**spec, "initContainers": [*(spec.get("initContainers") or ()), copy]},
    }


def _with_cases(template: Body, config_map: str) -> dict[str, Any]:
    """The template whose predictor has the hospital's own cases, once they are there."""
    spec = template["spec"]
    predictor, *others = spec["containers"]
    mount = {"name": api.CASES_VOLUME, "mountPath": CASES, "readOnly": True}
    source = model.of_config_map({"name": config_map, "optional": True})
    return {
        **template,
        "spec": {
            **spec,
            "containers": [
                {**predictor, "volumeMounts": [*predictor["volumeMounts"], mount]}, *others,
            ],
            "volumes": [*spec["volumes"], {"name": api.CASES_VOLUME, **source}],
        },
    }  # fmt: skip
