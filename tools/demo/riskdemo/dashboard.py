"""Draws a snapshot in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from riskdemo.snapshot import Event, Pod, Predictor, Snapshot
from riskpredictor_kubectl.output import age

BAR = 20
"""Characters of the CPU bar, which ends at twice the target."""


def render(snapshot: Snapshot) -> RenderableType:
    """The RiskPredictors with their pods, then the Events."""
    parts: list[RenderableType] = [Text(f"RiskPredictors at {snapshot.time}", style="bold")]
    if snapshot.metrics_problem:
        parts.append(Text(f"! {snapshot.metrics_problem}", style="yellow"))
    if not snapshot.predictors:
        parts.append(
            Text("none here; declare one: kubectl apply -f deploy/samples/minimal.yaml", "dim")
        )
    for predictor in snapshot.predictors:
        parts += [Text(), *_predictor(predictor)]
    if snapshot.events:
        parts += [Text(), _events(snapshot.events)]
    return Group(*parts)


def _predictor(predictor: Predictor) -> list[RenderableType]:
    good = predictor.ready == "True"
    head = Text.assemble(
        (f"{predictor.namespace}/{predictor.name}", "bold"),
        f"  model {predictor.model}, serving {predictor.serving or 'nothing yet'}  ",
        ("Ready" if good else f"not Ready: {predictor.reason}", "green" if good else "red"),
    )
    fixed = predictor.cpu_target is None
    bounds = f"{predictor.scaling} fixed" if fixed else predictor.scaling.replace("-", " to ")
    up = sum(pod.ready == "True" for pod in predictor.pods)
    size = f"  pods {up} of {predictor.wanted_pods} ready ({bounds})  "
    lines = [head, Text.assemble(size, _cpu(predictor))]
    if not good and predictor.message:
        lines.append(Text(f"  {predictor.message}", style="red"))
    return [*lines, _pods(predictor.pods)]


def _cpu(predictor: Predictor) -> Text:
    if predictor.cpu_target is None:
        return Text("")
    if predictor.cpu_percent is None:
        return Text("CPU ? of the request", style="dim")
    full = min(BAR, round(BAR * predictor.cpu_percent / (2 * predictor.cpu_target)))
    hot = predictor.cpu_percent > predictor.cpu_target
    return Text.assemble(
        "CPU ",
        ("█" * full + "░" * (BAR - full), "red" if hot else "green"),
        f" {predictor.cpu_percent} % of the request (scales out above {predictor.cpu_target} %)",
    )


def _pods(pods: tuple[Pod, ...]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name in ("pod", "version", "state", "ready"):
        table.add_column(name, no_wrap=True)
    for name in ("restarts", "CPU", "memory", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    for pod in pods:
        table.add_row(
            pod.name,
            pod.version,
            pod.status,
            Text("yes", "green") if pod.ready == "True" else Text("no", "red"),
            str(pod.restarts),
            "?" if pod.cpu is None else f"{pod.cpu}m",
            "?" if pod.memory is None else f"{pod.memory}Mi",
            age(pod.created),
        )
    return table


def _events(events: tuple[Event, ...]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name in ("ago", "event", "about", "what happened"):
        table.add_column(name, no_wrap=name != "what happened")
    for event in events:
        style = "yellow" if event.type == "Warning" else ""
        about = f"{event.namespace}/{event.object.partition('/')[2]}"
        table.add_row(age(event.time), Text(event.reason, style), about, event.message)
    return table
