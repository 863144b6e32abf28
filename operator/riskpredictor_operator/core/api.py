"""Constants of the Kubernetes API: the kinds that the operator reads and writes, and the labels,
annotations, field managers and container name that it uses in them."""

from __future__ import annotations

from riskpredictor_operator.kube import Resource

GROUP = "healthtech.dev"
VERSION = "v1alpha1"
KIND = "RiskPredictor"
PLURAL = "riskpredictors"

RISKPREDICTOR = Resource(GROUP, VERSION, PLURAL, KIND)
DEPLOYMENT = Resource("apps", "v1", "deployments", "Deployment")
SERVICE = Resource("", "v1", "services", "Service")
AUTOSCALER = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
DISRUPTION_BUDGET = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
POD = Resource("", "v1", "pods", "Pod")
EVENT = Resource("", "v1", "events", "Event")
CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")

CHILDREN = (DEPLOYMENT, SERVICE, AUTOSCALER, DISRUPTION_BUDGET)
"""The kinds that the operator makes, each under the name of its RiskPredictor."""

LABEL_PREDICTOR = f"{GROUP}/riskpredictor"
"""On every child and pod: the name of the RiskPredictor. Selector of the pods, so never changed."""
LABEL_MODEL_VERSION = f"{GROUP}/model-version"
"""On every pod: the model version that it serves."""
LABEL_MODEL_SOURCE = f"{GROUP}/model-source"
"""On every pod whose model comes from a store: the kind of store. NetworkPolicies select by it."""
ANNOTATION_MODEL_DIGEST = f"{GROUP}/model-digest"
"""On every pod whose model comes from a store: the digest that it was verified against."""
LABEL_CANDIDATE_VERSION = f"{GROUP}/candidate-version"
"""On every pod that compares two models: the version of the candidate."""
LABEL_CANDIDATE_SOURCE = f"{GROUP}/candidate-source"
"""On every pod whose candidate comes from a store: the kind of store, as ``LABEL_MODEL_SOURCE``."""
ANNOTATION_CANDIDATE_DIGEST = f"{GROUP}/candidate-digest"
"""On every pod whose candidate comes from a store: the digest that it was verified against."""
ANNOTATION_STAGE = f"{GROUP}/stage"
"""On every pod that compares two models: ``Shadow``, or ``Canary-10``."""
ANNOTATION_ROLLOUT_ID = f"{GROUP}/rollout-id"
"""On every pod that compares two models: the id of the comparison."""
ANNOTATION_ABORTED = f"{GROUP}/aborted"
"""On a Deployment: keys of the candidates that were aborted, comma-separated, the latest first."""
ANNOTATION_ABORT = f"{GROUP}/abort"
"""On a RiskPredictor, by a person: the id of the roll-out to abort."""
ANNOTATION_CHANGE_REF = f"{GROUP}/change-ref"
"""On a RiskPredictor, by whoever changes it: what the change is called, such as a pull request."""
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
ANNOTATION_HASH = f"{GROUP}/applied-hash"
"""On every child: digest of what was applied, so that a restart knows that nothing changed."""
ANNOTATION_LAST_APPLIED = f"{GROUP}/last-applied"
"""On every child: labels, annotations and spec as they were applied, so that what leaves the spec
leaves the child, whoever else claims it by then."""

WATCHED = {RISKPREDICTOR: "", **dict.fromkeys(CHILDREN, LABEL_PREDICTOR)}
"""The kinds that the operator watches, with the label selector of each."""

FIELD_MANAGER = "riskpredictor-operator"
HANDOVER_MANAGER = "riskpredictor-operator-handover"
"""Owns ``spec.replicas`` of a Deployment from when the operator gives it up until the autoscaler
takes it: a field that no manager owns would fall back to its default, 1."""
OWN_MANAGERS = (FIELD_MANAGER, HANDOVER_MANAGER)

CONTAINER = "predictor"
MODELS_VOLUME = "models"
"""The volume that the init containers fill and the predictor reads."""
CASES_VOLUME = "candidate-cases"
"""The volume with the hospital's own cases."""
CANDIDATE_ENV = frozenset({
    "RISKPREDICTOR_CANDIDATE", "RISKPREDICTOR_CANDIDATE_PERCENT", "RISKPREDICTOR_CASES",
    "RISKPREDICTOR_GUARD", "RISKPREDICTOR_ROLLOUT_ID", "RISKPREDICTOR_SAMPLE",
    "RISKPREDICTOR_SUBJECT_HEADER",
})  # fmt: skip
"""Variables that tell the predictor which model to compare with its own, and how."""
RESERVED_ENV = CANDIDATE_ENV | {"POD_NAME", "RISKPREDICTOR_POD_NAME", "RISKPREDICTOR_PORT"}
"""Variables of that container which nobody else may set: operator and probes rely on them."""
FETCH_ENV = frozenset({
    "RISKPREDICTOR_MODEL", "RISKPREDICTOR_MODEL_CA", "RISKPREDICTOR_MODEL_CLAIM",
    "RISKPREDICTOR_MODEL_COPY", "RISKPREDICTOR_MODEL_CREDENTIALS", "RISKPREDICTOR_MODEL_DIGEST",
    "RISKPREDICTOR_MODEL_INCOMING", "RISKPREDICTOR_MODEL_OPTIONAL",
    "RISKPREDICTOR_MODEL_PUBLIC_KEY", "RISKPREDICTOR_MODEL_SOURCE", "RISKPREDICTOR_MODEL_VERSION",
    "RISKPREDICTOR_TERMINATION_LOG",
})  # fmt: skip
"""Variables that tell the fetch step what to fetch; nobody else may set them beside a store."""
CONTAINER_PORT = 5000
