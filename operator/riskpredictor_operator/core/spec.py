"""A RiskPredictor as typed data. Mirrors crds/riskpredictors.yaml, where the defaults live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from riskpredictor_operator.core.model import Model, parse_model
from riskpredictor_operator.core.policy import (
    RolloutPolicy,
    ShadowSpec,
    parse_rollout,
    parse_shadow,
)
from riskpredictor_operator.core.quantity import canonical
from riskpredictor_operator.core.reading import (
    SpecError,
    filled,
    list_of,
    map_of,
    optional,
    required,
)
from riskpredictor_operator.core.resources import with_defaults
from riskpredictor_operator.kube import Body, Key, key_of


@dataclass(frozen=True, slots=True)
class Image:
    """Where the predictor image comes from; None means the operator's default."""

    repository: str | None
    tag: str | None
    digest: str | None
    pull_policy: str
    pull_secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """How the predictor is reached."""

    type: str
    port: int
    node_port: int | None
    annotations: Mapping[str, str] = field(default_factory=dict)
    load_balancer_class: str | None = None
    load_balancer_source_ranges: tuple[str, ...] = ()
    external_traffic_policy: str | None = None
    ip_family_policy: str | None = None


@dataclass(frozen=True, slots=True)
class ChildMetadata:
    """What every child carries besides the operator's own labels and annotations."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """Fields that are passed through to the pods."""

    termination_grace_period_seconds: int
    progress_deadline_seconds: int
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    env: tuple[Body, ...] = ()
    security_context: Body = field(default_factory=dict)
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
    child_metadata: ChildMetadata
    image: Image
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    service: ServiceSpec
    pod_template: PodTemplate
    rollout: RolloutPolicy
    suspend: bool
    model: Model | None = None
    """The model from a store; None: it is in the image."""
    shadow: ShadowSpec | None = None
    """A model that is compared with that one and never answers."""

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
        """The number of pods nearest to this that the autoscaler may choose: any, if it is not the
        operator's."""
        if not self.has_own_autoscaler:
            return replicas
        return min(max(replicas, self.min_replicas), self.max_replicas)


def parse(body: Body) -> RiskPredictor:
    """Typed form of a RiskPredictor object.

    Raises:
        SpecError: a field is missing, of another type or unusable; names its path.
    """
    spec = required(body, "spec", dict, "")
    resources = required(spec, "resources", dict)
    requests, limits = with_defaults(
        _quantities(resources, "requests"), _quantities(resources, "limits")
    )
    rp = RiskPredictor(
        key=key_of(body),
        uid=body["metadata"]["uid"],
        generation=body["metadata"]["generation"],
        model_version=required(spec, "modelVersion", str),
        min_replicas=required(spec, "minReplicas", int),
        max_replicas=required(spec, "maxReplicas", int),
        target_cpu_utilization=required(spec, "targetCPUUtilizationPercentage", int),
        scale_down_stabilization_seconds=required(spec, "scaleDownStabilizationSeconds", int),
        replicas=optional(spec, "replicas", int),
        autoscaler=required(spec, "autoscaler", str),
        disruption_budget=required(spec, "disruptionBudget", str),
        child_metadata=_child_metadata(optional(spec, "childMetadata", dict) or {}),
        image=_image(required(spec, "image", dict)),
        requests=requests,
        limits=limits,
        service=_service(required(spec, "service", dict)),
        pod_template=_pod_template(required(spec, "podTemplate", dict)),
        rollout=parse_rollout(spec),
        suspend=required(spec, "suspend", bool),
        model=parse_model(spec),
        shadow=parse_shadow(spec),
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
        repository=optional(image, "repository", str, path),
        tag=optional(image, "tag", str, path),
        digest=optional(image, "digest", str, path),
        pull_policy=required(image, "pullPolicy", str, path),
        pull_secrets=_pull_secrets(image),
    )


def _pull_secrets(image: Body) -> tuple[str, ...]:
    secrets = optional(image, "pullSecrets", list, "spec.image") or []
    for index, secret in enumerate(secrets):
        path = f"spec.image.pullSecrets[{index}]"
        if not isinstance(secret, Mapping):
            raise SpecError(path, "must be a reference such as {name: registry-credentials}")
        if not isinstance(secret.get("name"), str):
            raise SpecError(f"{path}.name", "must be the name of a Secret")
    return tuple(secret["name"] for secret in secrets)


def _child_metadata(metadata: Body) -> ChildMetadata:
    path = "spec.childMetadata"
    return ChildMetadata(
        labels=map_of(metadata, "labels", path),
        annotations=map_of(metadata, "annotations", path),
    )


def _service(service: Body) -> ServiceSpec:
    path = "spec.service"
    return ServiceSpec(
        type=required(service, "type", str, path),
        port=required(service, "port", int, path),
        node_port=optional(service, "nodePort", int, path),
        annotations=map_of(service, "annotations", path),
        load_balancer_class=optional(service, "loadBalancerClass", str, path),
        load_balancer_source_ranges=list_of(service, "loadBalancerSourceRanges", path),
        external_traffic_policy=optional(service, "externalTrafficPolicy", str, path),
        ip_family_policy=optional(service, "ipFamilyPolicy", str, path),
    )


def _pod_template(template: Body) -> PodTemplate:
    path = "spec.podTemplate"
    return PodTemplate(
        termination_grace_period_seconds=required(
            template, "terminationGracePeriodSeconds", int, path
        ),
        progress_deadline_seconds=required(template, "progressDeadlineSeconds", int, path),
        env=_env(list_of(template, "env", path)),
        security_context=filled(map_of(template, "securityContext", path)),
        labels=map_of(template, "labels", path),
        annotations=map_of(template, "annotations", path),
        node_selector=map_of(template, "nodeSelector", path),
        tolerations=list_of(template, "tolerations", path),
        affinity=map_of(template, "affinity", path),
        priority_class_name=optional(template, "priorityClassName", str, path) or None,
        service_account_name=optional(template, "serviceAccountName", str, path) or None,
        topology_spread_constraints=tuple(
            filled(constraint, keep="labelSelector")
            for constraint in list_of(template, "topologySpreadConstraints", path)
        ),
    )


def _env(variables: tuple[Any, ...]) -> tuple[Body, ...]:
    """The variables as the API server returns them, with its defaults: sources are atomic."""
    return tuple(_variable(entry, index) for index, entry in enumerate(variables))


def _variable(entry: Any, index: int) -> Body:
    path = f"spec.podTemplate.env[{index}]"
    if not isinstance(entry, Mapping):
        raise SpecError(path, "must be a variable such as {name: RISKPREDICTOR_LOG_LEVEL}")
    required(entry, "name", str, path)
    optional(entry, "value", str, path)
    source = map_of(entry, "valueFrom", path)
    if "fieldRef" in source:
        source = {**source, "fieldRef": {"apiVersion": "v1", **source["fieldRef"]}}
    resource = map_of(source, "resourceFieldRef", f"{path}.valueFrom")
    if resource:
        where = f"{path}.valueFrom.resourceFieldRef.divisor"
        unit = _quantity(resource.get("divisor", "0"), where)
        source = {**source, "resourceFieldRef": {**resource, "divisor": unit}}
    return {**entry, "valueFrom": source} if source else entry


def _quantities(resources: Body, name: str) -> dict[str, str] | None:
    if optional(resources, name, dict, "spec.resources") is None:
        return None
    amounts = map_of(resources, name, "spec.resources")
    return {k: _quantity(amount, f"spec.resources.{name}.{k}") for k, amount in amounts.items()}


def _quantity(amount: Any, path: str) -> str:
    try:
        return canonical(amount)
    except ValueError as error:
        raise SpecError(path, str(error)) from None
