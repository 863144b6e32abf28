"""The story of a model change: a good model is promoted, a bad one is stopped in shadow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from riskdemo import model_store
from riskdemo.install import text
from riskdemo.load import Load
from riskdemo.shell import REPOSITORY, DemoError, foreground, run_python
from riskdemo.stage import Stage
from riskpredictor_kubectl import model_change, rollout_view
from riskpredictor_kubectl.loadgen import Demand
from riskpredictor_kubectl.model_change import ABORTED, CANARY, Change
from riskpredictor_kubectl.names import Body
from riskpredictor_kubectl.remedies import is_current, readiness

WARD: Final = "ward-predictor"
DECLARATION: Final = "tools/demo/ward.yaml"
OUT: Final = Path("build/model-change")
"""Records, the bad model, and the reports; below the repository."""
DEMAND: Final = Demand(users=8, seconds=400, think=0.03)
ENDS_SECONDS: Final = 240.0
"""Until a change has ended, on a slow machine."""
WIDTHS: Final = (6, 9, 11, 5, 12, 16, 17, 8, 6)
"""Of the columns of progress."""
LINE_SECONDS: Final = 5.0
"""Time between two lines of progress where nothing else is new."""


def tell(stage: Stage) -> None:
    """Declare a predictor, promote v2, and have v3 stopped, all under one load."""
    _declare(stage)
    address = _train(stage)
    with Load(stage.client, WARD, DEMAND) as load:
        stage.step("A good model: modelVersion v1 to v2, with rollout.strategy Progressive")
        stage.say("Both models score every request, in the same pods, and v1 answers. Then v2 gets")
        stage.say("its share, and may raise a level of v1 but not lower it. Gates decide.")
        stage.say("(The status has new counts when a gate changes or a step has its pairs.)")
        _promote(stage, load)
        stage.step("A bad model: modelVersion v2 to v3")
        stage.say("Pods fetch v3 from the web server, and check that it is what was declared.")
        _stop(stage, load, address)
        stage.step("git revert")
        stage.say("The declaration names v2 again, and nothing is left to do.")
        _revert(stage, load)


def _declare(stage: Stage) -> None:
    stage.step(f"A RiskPredictor that tries models first: kubectl apply -f {DECLARATION}")
    stage.console.print(text(DECLARATION), style="dim", highlight=False, markup=False)
    earlier = (f"riskpredictor/{WARD}", "--ignore-not-found", "--cascade=foreground")
    stage.kubectl("delete", *earlier, "--timeout=120s")
    stage.kubectl("apply", "-f", DECLARATION)
    _until(stage, lambda predictor: readiness(predictor)[0] == "True", seconds=120)


def _train(stage: Stage) -> str:
    """Train the bad model and publish it; returns its address."""
    stage.step("A model from the records of one ward, and a web server that hands it out")
    stage.say("The ward enters High from 7 points of NEWS2 on, and not from 5. No figure tells:")
    (REPOSITORY / OUT).mkdir(parents=True, exist_ok=True)
    records = REPOSITORY / OUT / "records.csv"
    records.write_text(run_python("tools/demo/ward_records.py"))
    stage.show_command(f"python tools/demo/ward_records.py > {OUT / 'records.csv'}")
    train = ("--model-version", "v3", "--data", str(OUT / "records.csv"), "--out", str(OUT / "v3"))
    stage.show_command(f"python -m riskpredictor_server.train {' '.join(train)}")
    foreground("-m", "riskpredictor_server.train", *train)
    image = stage.installation.image("v1")
    return model_store.publish(stage.kubectl, REPOSITORY / OUT / "v3", image)


def _promote(stage: Stage, load: Load) -> None:
    started = time.monotonic()
    _change(stage, "CHG-0001", {"modelVersion": "v2"})
    shown = False

    def look(change: Change) -> None:
        """Once, where both models answer."""
        nonlocal shown
        if change.state == CANARY and not shown:
            shown = True
            stage.run("get", "riskpredictors")

    last = _follow(stage, load, look)
    entry = model_change.past(last)[0]
    if entry.after.version != "v2" or entry.state != "Promoted":
        raise DemoError(f"v2 was not promoted: {entry.state} {entry.reason}: {entry.message}")
    stage.fact("v2, a good model", f"promoted after {time.monotonic() - started:.0f} s")
    stage.say(f"{entry.evidence.pairs} pairs, by the level of v1 (left) and that of v2 (above):")
    stage.console.print(rollout_view.matrix(entry), highlight=False, markup=False)
    _report(stage, "v2")


def _stop(stage: Stage, load: Load, address: str) -> None:
    started = time.monotonic()
    digest = model_store.digest(REPOSITORY / OUT / "v3")
    model = {"digest": digest, "source": {"http": {"url": address}}}
    _change(stage, "CHG-0002", {"modelVersion": "v3", "model": model})
    last = _follow(stage, load)
    change = model_change.current(last)
    if change is None or change.state != ABORTED:
        raise DemoError(f"v3 was not stopped: {readiness(last)[1]}: {readiness(last)[2]}")
    stage.fact("v3, a bad one", f"stopped after {time.monotonic() - started:.0f} s, in shadow")
    stage.say("What the engineer on call sees:")
    stage.run("get", "riskpredictors")
    stage.plugin("rollout", "status", WARD)
    _report(stage, "v3")
    if wrong := load.sums.versions["v3"]:
        raise DemoError(f"v3 answered {wrong} requests")


def _revert(stage: Stage, load: Load) -> None:
    _change(stage, "CHG-0003", {"modelVersion": "v2", "model": None})
    _until(stage, lambda one: is_current(one) and readiness(one)[0] == "True", seconds=ENDS_SECONDS)
    stage.plugin("rollout", "history", WARD)
    sums = load.sums
    served = ", ".join(f"{v}: {n:,}" for v, n in sorted(sums.versions.items()))
    stage.fact("requests meanwhile", f"{sums.ok:,} ({served}), {sums.failed} failed")
    if sums.failed:
        raise DemoError(f"{sums.failed} requests failed: {dict(sums.failures)}")


def _change(stage: Stage, reference: str, spec: dict[str, Any]) -> None:
    """What a commit would change, with the number of its change request."""
    annotations = {"healthtech.dev/change-ref": reference}
    patch = json.dumps({"metadata": {"annotations": annotations}, "spec": spec})
    stage.run("patch", f"riskpredictor/{WARD}", "--type=merge", f"--patch={patch}")


def _report(stage: Stage, version: str) -> None:
    file = OUT / f"report-{version}.md"
    stage.plugin("rollout", "report", WARD, "--version", version, "--file", str(file))
    stage.fact(f"report of {version}", str(file))


def _follow(stage: Stage, load: Load, look: Callable[[Change], None] = lambda _: None) -> Body:
    """Print a line for each change of step, gates or reason until none is under way."""
    header = ("TIME", *rollout_view.WATCHED, "REQUESTS", "FAILED")
    stage.console.print(line(header), style="bold", highlight=False, markup=False)
    started, printed = time.monotonic(), 0.0
    shown: tuple[str, ...] = ()

    def ended(predictor: Body) -> bool:
        nonlocal printed, shown
        change = model_change.current(predictor)
        cells = rollout_view.row(predictor)
        candidate, step, _, _, passed, reason = cells
        news, now = (candidate, step, passed, reason), time.monotonic()
        if news != shown or now - printed > LINE_SECONDS:
            counts = f"{load.sums.ok:,}", str(load.sums.failed)
            told = (f"{now - started:.0f} s", *cells, *counts)
            stage.console.print(line(told), highlight=False, markup=False)
            printed, shown = now, news
        if change is not None:
            look(change)
        return is_current(predictor) and (change is None or change.state == ABORTED)

    return _until(stage, ended, seconds=ENDS_SECONDS)


def line(cells: tuple[str, ...]) -> str:
    """A line of the table of progress."""
    padded = (cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True))
    return "  " + "  ".join(padded).rstrip()


def _until(stage: Stage, reached: Callable[[Body], bool], *, seconds: float) -> Body:
    """Read the RiskPredictor until a state is reached; returns it.

    Raises:
        DemoError: it was not reached in so many seconds; with the operator's reason.
    """
    deadline = time.monotonic() + seconds
    while True:
        predictor = stage.client.predictor(stage.client.namespace, WARD)
        if reached(predictor):
            return predictor
        if time.monotonic() > deadline:
            _, reason, message = readiness(predictor)
            raise DemoError(f"not reached in {seconds:.0f} s: {reason}: {message}")
        time.sleep(0.5)
