"""A RiskPredictor as typed data. Mirrors crds/riskpredictors.yaml, where the defaults live.

The API server fills in the defaults, so a missing field means that the installed CRD is older than
the operator; the error says so. A null counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from riskpredictor_operator.core.quantity import canonical
from riskpredictor_operator.core.resources import with_defaults
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
    spec = _get(body, "spec", dict, "")
    resources = _get(spec, "resources", dict)
    requests, limits = with_defaults(
        _quantities(resources, "requests"), _quantities(resources, "limits")
    )
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
        child_metadata=_child_metadata(_optional(spec, "childMetadata", dict) or {}),
        image=_image(_get(spec, "image", dict)),
        requests=requests,
        limits=limits,
        service=_service(_get(spec, "service", dict)),
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
        digest=_optional(image, "digest", str, path),
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


def _child_metadata(metadata: Body) -> ChildMetadata:
    path = "spec.childMetadata"
    return ChildMetadata(
        labels=_map(metadata, "labels", path),
        annotations=_map(metadata, "annotations", path),
    )


def _service(service: Body) -> ServiceSpec:
    path = "spec.service"
    return ServiceSpec(
        type=_get(service, "type", str, path),
        port=_get(service, "port", int, path),
        node_port=_optional(service, "nodePort", int, path),
        annotations=_map(service, "annotations", path),
        load_balancer_class=_optional(service, "loadBalancerClass", str, path),
        load_balancer_source_ranges=_list(service, "loadBalancerSourceRanges", path),
        external_traffic_policy=_optional(service, "externalTrafficPolicy", str, path),
        ip_family_policy=_optional(service, "ipFamilyPolicy", str, path),
    )


def _pod_template(template: Body) -> PodTemplate:
    path = "spec.podTemplate"
    return PodTemplate(
        termination_grace_period_seconds=_get(template, "terminationGracePeriodSeconds", int, path),
        progress_deadline_seconds=_get(template, "progressDeadlineSeconds", int, path),
        env=_env(_list(template, "env", path)),
        security_context=_filled(_map(template, "securityContext", path)),
        labels=_map(template, "labels", path),
        annotations=_map(template, "annotations", path),
        node_selector=_map(template, "nodeSelector", path),
        tolerations=_list(template, "tolerations", path),
        affinity=_map(template, "affinity", path),
        priority_class_name=_optional(template, "priorityClassName", str, path) or None,
        service_account_name=_optional(template, "serviceAccountName", str, path) or None,
        topology_spread_constraints=tuple(
            _filled(constraint, keep="labelSelector")
            for constraint in _list(template, "topologySpreadConstraints", path)
        ),
    )


def _env(variables: tuple[Any, ...]) -> tuple[Body, ...]:
    """The variables as the API server returns them, with its defaults: sources are atomic."""
    return tuple(_variable(entry, index) for index, entry in enumerate(variables))


def _variable(entry: Any, index: int) -> Body:
    path = f"spec.podTemplate.env[{index}]"
    if not isinstance(entry, Mapping):
        raise SpecError(path, "must be a variable such as {name: RISKPREDICTOR_LOG_LEVEL}")
    _get(entry, "name", str, path)
    _optional(entry, "value", str, path)
    source = _map(entry, "valueFrom", path)
    if "fieldRef" in source:
        source = {**source, "fieldRef": {"apiVersion": "v1", **source["fieldRef"]}}
    resource = _map(source, "resourceFieldRef", f"{path}.valueFrom")
    if resource:
        where = f"{path}.valueFrom.resourceFieldRef.divisor"
        unit = _quantity(resource.get("divisor", "0"), where)
        source = {**source, "resourceFieldRef": {**resource, "divisor": unit}}
    return {**entry, "valueFrom": source} if source else entry


def _quantities(resources: Body, name: str) -> dict[str, str] | None:
    if _optional(resources, name, dict, "spec.resources") is None:
        return None
    amounts = _map(resources, name, "spec.resources")
    return {k: _quantity(amount, f"spec.resources.{name}.{k}") for k, amount in amounts.items()}


def _quantity(amount: Any, path: str) -> str:
    try:
        return canonical(amount)
    except ValueError as error:
        raise SpecError(path, str(error)) from None


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


def _map(parent: Body, name: str, path: str) -> dict[str, Any]:
    """A map of the user's; empty if it is absent."""
    found: dict[str, Any] = _without_nulls(_optional(parent, name, dict, path) or {})
    return found


def _list(parent: Body, name: str, path: str) -> tuple[Any, ...]:
    """A list of the user's; empty if it is absent."""
    return tuple(_without_nulls(_optional(parent, name, list, path) or []))


def _filled(body: Body, keep: str = "") -> Body:
    """A copy without empty lists and maps, of which the API server keeps nothing.

    ``keep`` is a field in which empty means something else than absent.
    """
    return {k: v for k, v in body.items() if k == keep or v not in ({}, [])}


def _without_nulls(body: Any) -> Any:
    """A copy without the fields that are null."""
    if isinstance(body, Mapping):
        return {name: _without_nulls(item) for name, item in body.items() if item is not None}
    if isinstance(body, list):
        return [_without_nulls(item) for item in body]
    return body
