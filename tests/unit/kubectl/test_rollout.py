"""The commands below ``rollout``: which change they are about, and what they refuse."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from unit.kubectl import bodies
from unit.kubectl.bodies import Body
from unit.kubectl.cards import OLD

from riskpredictor_kubectl.cli import cli
from riskpredictor_kubectl.client import Target
from riskpredictor_kubectl.commands import abort as abort_command
from riskpredictor_kubectl.commands import rollout as command
from riskpredictor_kubectl.errors import PluginError, ServerError
from riskpredictor_kubectl.history import REVISION

ABORT = "healthtech.dev/abort"
WHERE = "/apis/healthtech.dev/v1alpha1/namespaces/ward/riskpredictors/risk"


class Cluster:
    """A client of a cluster with one RiskPredictor."""

    namespace = "ward"
    target = Target()

    def __init__(self, predictor: Body) -> None:
        self.states = [predictor]
        """One for each time that it is read; the last one stays."""
        self.patches: list[tuple[str, Any]] = []
        self.conflicts = 0
        self.replica_sets: list[Body] = []

    def predictor(self, namespace: str, name: str) -> Body:
        assert (namespace, name) == ("ward", "risk")
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def merge_patch(self, path: str, change: Any) -> Body:
        self.patches.append((path, change))
        if self.conflicts:
            self.conflicts -= 1
            raise ServerError(409, "Conflict", "the object has been modified")
        return self.states[0]

    def find(self, path: str) -> Body:
        assert path.endswith("/deployments/risk")
        found = bodies.deployment()
        found["metadata"]["uid"] = "d"
        return found

    def items(self, path: str, **_: Any) -> list[Body]:
        assert path.endswith("/replicasets")
        return self.replica_sets


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Body], Cluster]:
    """Let the commands find a cluster with this RiskPredictor."""

    def cluster(predictor: Body) -> Cluster:
        found = Cluster(predictor)
        monkeypatch.setattr("riskpredictor_kubectl.options.client_of", lambda _: found)
        monkeypatch.setattr(abort_command, "ASK_SECONDS", 0.0)
        return found

    return cluster


Use = Callable[[Body], Cluster]


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["rollout", *words])


def refused(*words: str) -> str:
    """The error of a command that must fail."""
    done = run(*words)
    assert isinstance(done.exception, PluginError), done.output
    return str(done.exception)


def _recorded(*entries: Body, predictor: Body | None = None) -> Body:
    body = predictor or bodies.ready()
    body["status"]["history"] = list(entries)
    return body


ABORTED = bodies.entry("Aborted", reason="RolloutAborted", version="v3", changeRef="CHG-1")


# status


def test_status_is_text_or_data(use: Use) -> None:
    use(bodies.changing())
    assert "\nSTABLE      v1, sha256:111111111111\n" in run("status", "risk").output
    data = json.loads(run("status", "risk", "-o", "json").output)
    assert (data["rollout"]["step"], data["needs"]["pairs"]) == ("Canary 10%", 200)
    assert yaml.safe_load(run("status", "rp/risk", "-o", "yaml").output) == data


@pytest.mark.parametrize(
    ("last", "code"),
    [(bodies.ready(), 0), (bodies.changing("Aborted", "RolloutAborted"), 3)],
    ids=["promoted", "aborted"],
)
def test_a_watch_ends_with_the_roll_out(
    use: Use, monkeypatch: pytest.MonkeyPatch, last: Body, code: int
) -> None:
    shadow, stale = bodies.changing("Shadow", "Shadowing"), bodies.ready()
    stale["status"]["observedGeneration"] = 0
    later = copy.deepcopy(shadow)
    later["status"]["rollout"]["stepStartedAt"] = "2024-01-31T10:00:00Z"
    news: list[Any] = [
        stale,
        shadow,
        later,
        bodies.changing(),
        last,
        AssertionError("it has ended"),
    ]

    def changes(*_: object) -> Iterator[list[Body]]:
        for one in news:
            if isinstance(one, Exception):
                raise one
            yield [one]

    use(bodies.ready())
    monkeypatch.setattr(command, "changes", changes)
    done = run("status", "risk", "-w")
    assert done.exit_code == code, done.output
    _, _, table = done.output.rpartition("CANDIDATE   STEP")
    rows = [line.split()[:2] for line in table.splitlines()[1:]]
    assert rows[1:3] == [["v2", "Shadow"], ["v2", "Canary"]], "a later time is no news"
    assert len(rows) == 4


# history


def _sets(*templates: tuple[str, str]) -> list[Body]:
    """ReplicaSets of the Deployment, each of a stable model and a candidate."""
    found = []
    for number, (stable, candidate) in enumerate(templates, 1):
        labels = {"healthtech.dev/riskpredictor": "risk", "healthtech.dev/model-version": stable}
        labels |= {"healthtech.dev/candidate-version": candidate} if candidate else {}
        container = {"name": "predictor", "image": f"health-predictor:{stable}"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        metadata = {"annotations": {REVISION: str(number)}, "creationTimestamp": bodies.CREATED,
                    "ownerReferences": [{"uid": "d", "controller": True}]}  # fmt: skip
        found.append({"metadata": metadata, "spec": {"template": template}})
    return found


def test_the_changes_on_record_are_the_history(use: Use) -> None:
    use(_recorded(bodies.entry(), ABORTED, predictor=bodies.changing()))
    lines = run("history", "risk").output.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        ["now", "v2", "Canary"], ["1", "v2", "Promoted"], ["2", "v3", "Aborted"],
    ]  # fmt: skip
    data = json.loads(run("history", "risk", "-o", "json").output)["history"]
    assert [one["state"] for one in data] == ["Promoted", "Aborted"]


def test_one_that_was_aborted_is_in_the_history_once(use: Use) -> None:
    use(_recorded(ABORTED, predictor=bodies.changing("Aborted", "RolloutAborted")))
    assert len(run("history", "risk").output.splitlines()) == 2


@pytest.mark.parametrize(
    ("predictor", "flags"),
    [(bodies.ready(), ()), (_recorded(ABORTED), ("--revisions",))],
    ids=["nothing on record", "asked for"],
)
def test_the_revisions_of_the_pods(use: Use, predictor: Body, flags: tuple[str, ...]) -> None:
    use(predictor).replica_sets = _sets(("v1", ""), ("v1", "v2"))
    lines = run("history", "risk", *flags).output.splitlines()
    assert lines[0].split() == [
        "REVISION", "MODEL", "READY", "AGE", "STATE", "IMAGE", "CANDIDATE",
    ]  # fmt: skip
    assert [line.split()[-1] for line in lines[1:]] == ["<none>", "v2"]
    data = json.loads(run("history", "risk", *flags, "-o", "json").output)
    assert [one["candidate"] for one in data["revisions"]] == ["", "v2"]


# undo


def _undone(cluster: Cluster, *flags: str) -> tuple[str, Any]:
    text = run("undo", "risk", *flags).output
    return text.splitlines()[0], yaml.safe_load(text)["spec"]


@pytest.mark.parametrize(
    ("phase", "sets", "back"),
    [
        ("Canary", [("v0", ""), ("v1", ""), ("v1", "v2"), ("v1", "v2")], 2),
        ("Aborted", [("v0", ""), ("v1", "v2"), ("v1", "")], 3),
        ("Promoting", [("v1", ""), ("v1", "v2"), ("v2", "")], 1),
        ("Shadow", [("v0", ""), ("v1", "v2")], 2),
    ],
    ids=["on trial", "aborted", "while it is promoted", "its own revision is gone"],
)
def test_undo_declares_the_stable_model_again(
    use: Use, phase: str, sets: list[tuple[str, str]], back: int
) -> None:
    """And all else that its revision had, which is from before the change."""
    stable, candidate = ({"version": v, "image": f"health-predictor:{v}"} for v in ("v1", "v2"))
    predictor = bodies.changing(phase, stable=stable, candidate=candidate)
    cluster = use(predictor)
    cluster.replica_sets = _sets(*sets)
    first, spec = _undone(cluster)
    assert spec == {"modelVersion": "v1"}
    assert first.startswith("# From v2 (")
    assert first.endswith(f" back to {back} (v1).")
    # What the template does not show of the candidate, the spec does.
    predictor["spec"]["model"] = {"digest": "sha256:2", "source": {"oci": {"reference": "x"}}}
    assert _undone(cluster)[1] == {"modelVersion": "v1", "model": None}


def test_undo_of_a_stable_model_that_no_revision_has(use: Use) -> None:
    use(bodies.changing()).replica_sets = _sets(("v0", ""), ("v2", ""))
    assert refused("undo", "risk").startswith("error: no revision of risk with v1 is left;")


def test_undo_after_a_promotion_passes_over_its_steps(use: Use) -> None:
    cluster = use(bodies.predictor(modelVersion="v2"))
    cluster.replica_sets = _sets(("v1", ""), ("v1", "v2"), ("v1", "v2"), ("v2", ""))
    first, spec = _undone(cluster)
    assert (first, spec) == (
        "# From revision 4 (v2) back to 1 (v1).", {"modelVersion": "v1"},
    )  # fmt: skip
    cluster.replica_sets = cluster.replica_sets[1:]
    assert _undone(cluster)[0] == "# From revision 4 (v2) back to 3 (v1)."


# report


def _reported(*flags: str) -> tuple[str, str]:
    data = json.loads(run("report", "risk", "-o", "json", *flags).output)
    return data["to"]["version"], data["outcome"]


def test_a_report_is_of_the_one_under_way_or_of_the_one_that_is_named(use: Use) -> None:
    use(_recorded(bodies.entry(), ABORTED, predictor=bodies.changing()))
    assert _reported() == ("v2", "Canary")
    assert _reported("--entry", "2") == ("v3", "Aborted")
    assert _reported("--version", "v3") == ("v3", "Aborted")
    assert _reported("--version", "v2") == ("v2", "Canary")
    assert _reported("--entry", "1") == ("v2", "Promoted")


def test_one_that_has_ended_is_reported_from_the_record(use: Use) -> None:
    """It says more: who approved it, and which generation it was."""
    entry = bodies.entry("Aborted", generation=9)
    use(_recorded(entry, predictor=bodies.changing("Aborted", "RolloutAborted")))
    data = json.loads(run("report", "risk", "-o", "json").output)
    assert (data["generation"], data["endedAt"]) == (9, bodies.LATER)


def test_a_report_can_be_a_file(use: Use, tmp_path: Path) -> None:
    use(_recorded(bodies.entry()))
    printed = run("report", "risk").output
    file = tmp_path / "change.md"
    done = run("report", "risk", "-f", str(file))
    assert (done.output, done.exit_code) == ("", 0)
    assert file.read_text(encoding="utf-8") == printed
    assert printed.startswith("# Change of the model of risk: v1 to v2\n")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "error: risk has no roll-out under way, and none on record"),
        (("--entry", "1"), "error: risk has 0 changes on record, so no entry 1; see: "),
        (("--version", "v9"), "error: risk has no change to v9 on record; see: "),
    ],
)
def test_a_report_of_nothing_is_refused(
    use: Use, tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    use(bodies.ready())
    file = tmp_path / "change.md"
    assert refused("report", "risk", "-f", str(file), *flags).startswith(said)
    assert not file.exists()


# abort


def test_an_abort_names_the_roll_out_on_the_very_object_that_was_read(use: Use) -> None:
    cluster = use(bodies.changing())
    aborted = bodies.changing("Aborted", "RolloutAborted")
    cluster.states = [bodies.changing(), bodies.changing(), bodies.changing("Promoting"), aborted]
    done = run("abort", "risk", "--yes")
    assert done.exit_code == 0, done.output
    assert cluster.patches == [
        (WHERE, {"metadata": {"uid": bodies.UID, "resourceVersion": "7",
                              "annotations": {ABORT: "0123456789ab"}}})
    ]  # fmt: skip
    assert done.stdout == "risk: v2 was aborted, v1 is the model again\n"
    assert "Git still declares v2" in done.stderr
    assert "put v1 back there" in done.stderr


def test_an_abort_that_meets_a_write_of_the_operator_is_tried_again(use: Use) -> None:
    cluster = use(bodies.changing())
    cluster.conflicts = 2
    newer = bodies.changing()
    newer["metadata"]["resourceVersion"] = "8"
    cluster.states = [bodies.changing(), bodies.changing(), newer]
    assert run("abort", "risk", "-y", "--wait=false").exit_code == 0
    assert [c["metadata"]["resourceVersion"] for _, c in cluster.patches] == ["7", "8", "8"]
    cluster.conflicts = 99
    done = run("abort", "risk", "-y", "--wait=false")
    assert isinstance(done.exception, ServerError)
    assert len(cluster.patches) == 3 + abort_command.TRIES


def test_an_abort_is_of_the_roll_out_that_was_shown_and_no_other(use: Use) -> None:
    cluster = use(bodies.changing())
    cluster.states = [bodies.changing(), bodies.changing(id="ba9876543210")]
    assert refused("abort", "risk", "-y").startswith("error: another roll-out is under way now")
    assert cluster.patches == []


@pytest.mark.parametrize(
    ("predictor", "said"),
    [
        (bodies.ready(), "risk has no roll-out under way, so nothing to abort"),
        (bodies.changing("Aborted", message="errors"), "v2 was aborted already: errors"),
        (
            bodies.changing("Observing"),
            "v2 is only observed and answers nobody; remove spec.shadow",
        ),
    ],
    ids=["nothing", "aborted", "observed"],
)
def test_there_has_to_be_something_to_abort(use: Use, predictor: Body, said: str) -> None:
    cluster = use(predictor)
    assert refused("abort", "risk", "-y").startswith(f"error: {said}")
    assert cluster.patches == []


def test_nobody_is_asked_where_nobody_is(use: Use) -> None:
    cluster = use(bodies.changing())
    assert refused("abort", "risk") == "error: nobody can be asked here; add --yes"
    assert cluster.patches == []


@pytest.mark.parametrize(("answer", "patches"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_somebody_at_a_terminal_is_asked(
    use: Use, monkeypatch: pytest.MonkeyPatch, answer: str, patches: int
) -> None:
    cluster = use(bodies.changing())
    monkeypatch.setattr(abort_command, "_is_terminal", lambda: True)
    done = CliRunner().invoke(cli, ["rollout", "abort", "risk", "--wait=false"], input=answer)
    assert "Abort the roll-out of v2? [y/N]" in done.output
    assert len(cluster.patches) == patches
    assert (done.exit_code == 0) == bool(patches)


def test_an_abort_that_the_operator_does_not_see_ends_with_an_error(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = use(bodies.changing())
    clock = iter(range(0, 1000, 7))
    monkeypatch.setattr("riskpredictor_kubectl.commands.abort.time.monotonic", lambda: next(clock))
    said = refused("abort", "risk", "-y", "--timeout=20")
    assert said.startswith("error: the abort is asked for, and risk still says Canary 10% after 20")
    assert len(cluster.patches) == 1


def test_a_promotion_that_was_faster_is_told(use: Use) -> None:
    cluster = use(bodies.changing("Promoting"))
    promoted = _recorded(bodies.entry())
    cluster.states = [bodies.changing("Promoting"), bodies.changing("Promoting"), promoted]
    assert refused("abort", "risk", "-y") == (
        "error: the roll-out of risk ended before it could be aborted (v2: Promoted)"
    )


def test_an_abort_of_what_is_suspended_warns_and_does_not_wait(use: Use) -> None:
    predictor = bodies.changing()
    predictor["spec"]["suspend"] = True
    cluster = use(predictor)
    done = run("abort", "risk", "-y")
    assert done.exit_code == 0
    assert "warning: risk is suspended" in done.stderr
    assert len(cluster.patches) == 1


# diff


class Pod:
    """A predictor with a candidate."""

    def __init__(self, candidate: bool) -> None:
        self._candidate = candidate

    def card(self, *, candidate: bool = False) -> dict[str, Any]:
        if candidate and not self._candidate:
            raise PluginError("the predictor answers HTTP 404: no candidate")
        metrics = {"accuracy": 0.95 if candidate else 0.9, "records": 250}
        version = "v2" if candidate else "v1"
        digest = bodies.V2["digest"] if candidate else bodies.V1["digest"]
        return {**OLD, "model_version": version, "digest": digest, "metrics": metrics}


def _pods(monkeypatch: pytest.MonkeyPatch, pod: Pod) -> None:
    @contextmanager
    def forwarding(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(url="")

    monkeypatch.setattr(command, "forwarding", forwarding)
    monkeypatch.setattr(command, "Predictor", lambda _: pod)


def test_diff_has_the_cards_of_both_and_what_the_pods_counted(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(bodies.changing())
    _pods(monkeypatch, Pod(candidate=True))
    text = run("diff", "risk").output
    assert f"A: {bodies.V1['digest']}" in text
    assert "accuracy   0.900   0.950   +0.050" in text
    assert "2304 records: 2274 (98.7 %) get the same level, 18 (0.8 %) are upgraded" in text
    assert "12 (0.5 %) downgraded by v2" in text
    data = json.loads(run("diff", "risk", "-o", "json").output)
    assert [model["version"] for model in data["models"]] == ["v1", "v2"]
    assert data["metrics"]["accuracy"] == [0.9, 0.95]
    assert data["agreement"]["records"] == 2304


def test_before_anything_is_counted_diff_has_the_cards_alone(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = bodies.changing("Shadow")
    del predictor["status"]["rollout"]["evidence"]
    use(predictor)
    _pods(monkeypatch, Pod(candidate=True))
    assert "accuracy   0.900" in run("diff", "risk").output
    assert "agreement" not in json.loads(run("diff", "risk", "-o", "json").output)


def test_a_pod_without_the_candidate_is_told(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    use(bodies.changing())
    _pods(monkeypatch, Pod(candidate=False))
    assert refused("diff", "risk").startswith(
        "error: a pod of risk does not give the candidate's card (the predictor answers HTTP 404: "
    )


@pytest.mark.parametrize("role", ["stable", "candidate"])
def test_a_pod_of_another_roll_out_is_not_compared(
    use: Use, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    """While pods are replaced, the one that answers may still be of the one before."""
    model = {"version": "v3", "digest": f"sha256:{'3' * 64}"}
    use(bodies.changing(**{role: model}))
    _pods(monkeypatch, Pod(candidate=True))
    assert refused("diff", "risk").startswith(
        "error: the pod of risk that answered does not hold v3 (sha256:333333333333): "
    )


@pytest.mark.parametrize(
    ("predictor", "said"),
    [
        (bodies.ready(), "risk has no roll-out under way"),
        (bodies.changing("Aborted"), "the pods of risk hold no candidate (Aborted)"),
        (bodies.changing("Promoting"), "the pods of risk hold no candidate (Promoting)"),
    ],
    ids=["nothing", "aborted", "promoting"],
)
def test_diff_needs_a_candidate(use: Use, predictor: Body, said: str) -> None:
    use(predictor)
    assert refused("diff", "risk").startswith(f"error: {said}")
