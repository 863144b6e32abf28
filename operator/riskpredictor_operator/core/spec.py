"""A RiskPredictor as typed data. Mirrors crds/riskpredictors.yaml, where the defaults live.

The API server fills in the defaults, so a missing field means that the installed CRD is older than
the operator; the error says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from riskpredictor_operator.core.quantity import canonical
from riskpredictor_operator.kube import Body, Key, key_of

T = TypeVar("T")


class SpecError(ValueError):
    """A spec that cannot be used; names the field and what is wrong with it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Image:
    """Where the predictor image comes from; None means the operator's default."""

    repository: str | None
    tag: str | None
    pull_policy: str
    pull_secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """How the predictor is reached."""

    type: str
    port: int
    node_port: int | None


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """Fields that are passed through to the pods unchanged."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Body, ...] = ()
    affinity: Body = field(default_factory=dict)
    priority_class_name: str | None = None
    service_account_name: str | None = None
    topology_spread_constraints: tuple[Body, ...] = ()


@dataclass(frozen=True, slots=True)
class RiskPredictor:
    """What a user declares. Numbers of pods are counts, times are seconds."""

    key: Key
    uid: str
    generation: int
    model_version: str
    min_replicas: int
    max_replicas: int
    target_cpu_utilization: int
    scale_down_stabilization_seconds: int
    replicas: int | None
    autoscaler: str
    """Managed: by this operator; External: by somebody else, where ``replicas`` is None."""
    disruption_budget: str
    """Enabled or Disabled."""
    image: Image
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    service: ServiceSpec
    pod_template: PodTemplate
    suspend: bool

    @property
    def autoscaled(self) -> bool:
        """Whether an autoscaler sets the number of pods, the operator's or another."""
        return self.replicas is None

    @property
    def has_own_autoscaler(self) -> bool:
        """Whether the operator makes the autoscaler."""
        return self.autoscaled and self.autoscaler == "Managed"

    @property
    def has_disruption_budget(self) -> bool:
        """Whether there is a disruption budget: two or more pods may be wanted."""
        most = self.max_replicas if self.has_own_autoscaler else self.replicas
        return self.disruption_budget == "Enabled" and (most is None or most > 1)

    def within_bounds(self, replicas: int) -> int:
        """The number of pods nearest to this that the autoscaler may choose."""
        return min(max(replicas, self.min_replicas), self.max_replicas)


def parse(body: Body) -> RiskPredictor:
    """Typed form of a RiskPredictor object.

    Raises:
        SpecError: a field is missing, of another type or unusable; names its path.
    """
    spec = _get(body, "spec", dict, "")
    resources = _get(spec, "resources", dict)
    service = _get(spec, "service", dict)
    rp = RiskPredictor(
        key=key_of(body),
        uid=body["metadata"]["uid"],
        generation=body["metadata"]["generation"],
        model_version=_get(spec, "modelVersion", str),
        min_replicas=_get(spec, "minReplicas", int),
        max_replicas=_get(spec, "maxReplicas", int),
        target_cpu_utilization=_get(spec, "targetCPUUtilizationPercentage", int),
        scale_down_stabilization_seconds=_get(spec, "scaleDownStabilizationSeconds", int),
        replicas=_optional(spec, "replicas", int),
        autoscaler=_get(spec, "autoscaler", str),
        disruption_budget=_get(spec, "disruptionBudget", str),
        image=_image(_get(spec, "image", dict)),
        requests=_quantities(resources, "requests"),
        limits=_quantities(resources, "limits"),
        service=ServiceSpec(
            type=_get(service, "type", str, "spec.service"),
            port=_get(service, "port", int, "spec.service"),
            node_port=_optional(service, "nodePort", int, "spec.service"),
        ),
        pod_template=_pod_template(_get(spec, "podTemplate", dict)),
        suspend=_get(spec, "suspend", bool),
    )
    if rp.min_replicas > rp.max_replicas:
        raise SpecError(
            "spec.minReplicas",
            f"{rp.min_replicas} exceeds spec.maxReplicas {rp.max_replicas}",
        )
    return rp


def _image(image: Body) -> Image:
    path = "spec.image"
    return Image(
        repository=_optional(image, "repository", str, path),
        tag=_optional(image, "tag", str, path),
        pull_policy=_get(image, "pullPolicy", str, path),
        pull_secrets=_pull_secrets(image),
    )


def _pull_secrets(image: Body) -> tuple[str, ...]:
    secrets = _optional(image, "pullSecrets", list, "spec.image") or []
    for index, secret in enumerate(secrets):
        path = f"spec.image.pullSecrets[{index}]"
        if not isinstance(secret, Mapping):
            raise SpecError(path, "must be a reference such as {name: registry-credentials}")
        if not isinstance(secret.get("name"), str):
            raise SpecError(f"{path}.name", "must be the name of a Secret")
    return tuple(secret["name"] for secret in secrets)


def _pod_template(template: Body) -> PodTemplate:
    path = "spec.podTemplate"
    return PodTemplate(
        labels=_optional(template, "labels", dict, path) or {},
        annotations=_optional(template, "annotations", dict, path) or {},
        node_selector=_optional(template, "nodeSelector", dict, path) or {},
        tolerations=tuple(_optional(template, "tolerations", list, path) or ()),
        affinity=_optional(template, "affinity", dict, path) or {},
        priority_class_name=_optional(template, "priorityClassName", str, path) or None,
        service_account_name=_optional(template, "serviceAccountName", str, path) or None,
        topology_spread_constraints=tuple(
            _optional(template, "topologySpreadConstraints", list, path) or ()
        ),
    )


def _quantities(resources: Body, name: str) -> dict[str, str]:
    path = f"spec.resources.{name}"
    result = {}
    for key, value in _get(resources, name, dict, "spec.resources").items():
        try:
            result[key] = canonical(value)
        except ValueError as error:
            raise SpecError(f"{path}.{key}", str(error)) from None
    return result


def _get(parent: Body, name: str, kind: type[T], path: str = "spec") -> T:
    value = _optional(parent, name, kind, path)
    if value is None:
        where = f"{path}.{name}".lstrip(".")
        raise SpecError(where, "missing; apply the CRD of this operator version, it sets a default")
    return value


def _optional(parent: Body, name: str, kind: type[T], path: str = "spec") -> T | None:
    value: Any = parent.get(name)
    # bool is an int to Python, not to a user.
    if value is not None and (
        not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    ):
        where = f"{path}.{name}".lstrip(".")
        raise SpecError(where, f"must be of type {kind.__name__}, is {type(value).__name__}")
    return value
