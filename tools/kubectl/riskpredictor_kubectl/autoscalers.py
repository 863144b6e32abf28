"""What an autoscaler measures, wants and does, in words.

It may be anybody's: of every type of metric, with several or none, before and after its first look.
"""

from __future__ import annotations

from collections.abc import Iterator

from riskpredictor_kubectl.names import CONTAINER, Body, condition

UNKNOWN = "<unknown>"

_FIELDS = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}
"""Where a metric of each type has its target and its present value."""


_UNITS = {"averageUtilization": ("%", ""), "averageValue": ("", " a pod"), "value": ("", "")}
"""How a number of each kind is written: what follows every number, and what follows the last."""


def text(autoscaler: Body) -> str:
    """Its metrics, and the number of pods that it wants."""
    spec, status = autoscaler["spec"], autoscaler.get("status") or {}
    bounds = f"{spec.get('minReplicas', 1)}-{spec['maxReplicas']}"
    # It reports 0 until it has metrics.
    desired = status.get("desiredReplicas")
    wants = f"wants {desired} of {bounds}" if desired else f"bounds {bounds}"
    return ", ".join([*_metrics(autoscaler), wants])


def status(autoscaler: Body) -> str:
    """What it does, by the rules of the operator's condition Autoscaling."""
    able, active = condition(autoscaler, "AbleToScale"), condition(autoscaler, "ScalingActive")
    failed = ("FailedGetScale", "FailedUpdateScale")
    if able.get("status") == "False" and able.get("reason") in failed:
        return "Failed"
    reason = active.get("reason", "")
    # It is switched off while the Deployment has 0 replicas, which the operator raises.
    if not active or reason == "ScalingDisabled":
        return "Waiting"
    if active["status"] == "True":
        return "Active"
    return "NoMetrics" if reason.startswith("FailedGet") else "Failed"


def cpu_percent(autoscaler: Body | None) -> int | None:
    """The CPU use of the predictor that it last saw, in percent of the request."""
    for metric in ((autoscaler or {}).get("status") or {}).get("currentMetrics") or ():
        name, container = _identity(metric)[1:3]
        percent = _values(metric, "current").get("averageUtilization")
        if name == "cpu" and container in ("", CONTAINER) and percent is not None:
            return int(percent)
    return None


def _metrics(autoscaler: Body) -> Iterator[str]:
    current = (autoscaler.get("status") or {}).get("currentMetrics") or ()
    # The entry of a metric that it could not get is empty.
    seen = {_identity(metric): _values(metric, "current") for metric in current}
    for metric in autoscaler["spec"].get("metrics") or ():
        target = _values(metric, "target")
        unit = next((unit for unit in _UNITS if unit in target), "")
        if not unit:
            yield f"metric of type {metric['type']}"
            continue
        value = seen.get(_identity(metric), {}).get(unit)
        sign, per = _UNITS[unit]
        present = UNKNOWN if value is None else f"{value}{sign}"
        yield f"{_name(metric)} {present} of {target[unit]}{sign}{per}"


def _part(metric: Body) -> Body:
    part: Body = metric.get(_FIELDS.get(metric.get("type", ""), "")) or {}
    return part


def _identity(metric: Body) -> tuple[str, str, str, str, str]:
    """What the target and the present value of a metric have in common."""
    part = _part(metric)
    named, about = part.get("metric") or {}, part.get("describedObject") or {}
    return (
        metric.get("type", ""),
        part.get("name") or named.get("name", ""),
        part.get("container", ""),
        str(named.get("selector")),
        f"{about.get('kind')}/{about.get('name')}",
    )


def _values(metric: Body, which: str) -> Body:
    values: Body = _part(metric).get(which) or {}
    return values


def _name(metric: Body) -> str:
    kind, name, container, _, about = _identity(metric)
    name = "CPU" if name == "cpu" and kind in ("Resource", "ContainerResource") else name
    if kind == "Object":
        return f"{name} of {about}"
    return name if container in ("", CONTAINER) else f"{name} of {container}"
