"""What is said about a predictor, from objects alone."""

from __future__ import annotations

import re

import pytest
from unit.kubectl import bodies

from riskpredictor_kubectl.describe import Overview, describe
from riskpredictor_kubectl.remedies import REASONS, findings, readiness
from riskpredictor_kubectl.resources import Resources
from riskpredictor_kubectl.view import status_document, summaries, summary, tree


def _resources(predictor: bodies.Body, **children: object) -> Resources:
    parts = {
        "deployment": bodies.deployment(), "service": bodies.service(),
        "autoscaler": bodies.autoscaler(), **children,
    }  # fmt: skip
    return Resources(predictor, **parts)  # type: ignore[arg-type]


def test_the_tree_has_a_line_for_each_child() -> None:
    resources = _resources(bodies.ready(), pods=[bodies.pod("risk-a-1"), bodies.pod("risk-a-2")])
    lines = describe(resources, 0).splitlines()[1:7]
    assert [line.split()[0] for line in lines] == [
        "RiskPredictor/risk", "├─Deployment/risk", "│", "│", "├─Service/risk",
        "└─HorizontalPodAutoscaler/risk",
    ]  # fmt: skip
    assert lines[2].startswith("│ ├─Pod/risk-a-1 ")
    assert lines[2].endswith("v1, 0 restarts, on node-1")
    assert lines[3].startswith("│ └─Pod/risk-a-2 ")
    assert lines[5].endswith("CPU 12% of 70%, wants 3 of 2-5")


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ({}, "Complete"),
        ({"updatedReplicas": 1}, "RollingOut"),
        ({"replicas": 3}, "RollingOut"),
        ({"availableReplicas": 1}, "Waiting"),
        ({"conditions": [bodies.condition("Progressing", "False", "ProgressDeadlineExceeded")]},
         "Stalled"),
    ],
)  # fmt: skip
def test_a_deployment_is_told_in_a_word(status: bodies.Body, word: str) -> None:
    resources = _resources(bodies.ready(), deployment=bodies.deployment(**status))
    assert tree(resources).children[0].status == word


@pytest.mark.parametrize(
    ("active", "able", "word"),
    [
        (None, None, "Waiting"),
        (("True", "ValidMetricFound"), ("True", "ReadyForNewScale"), "Active"),
        (("False", "ScalingDisabled"), ("True", "SucceededGetScale"), "Waiting"),
        (("False", "FailedGetResourceMetric"), ("True", "SucceededGetScale"), "NoMetrics"),
        (("False", "AmbiguousSelector"), ("True", "SucceededGetScale"), "Failed"),
        (None, ("False", "FailedGetScale"), "Failed"),
        (("True", "ValidMetricFound"), ("False", "FailedUpdateScale"), "Failed"),
    ],
)
def test_an_autoscaler_has_the_state_that_the_operator_reports(
    active: tuple[str, str] | None, able: tuple[str, str] | None, word: str
) -> None:
    autoscaler = bodies.autoscaler()
    types = {"ScalingActive": active, "AbleToScale": able}
    autoscaler["status"]["conditions"] = [
        bodies.condition(name, *said) for name, said in types.items() if said is not None
    ]
    assert tree(_resources(bodies.ready(), autoscaler=autoscaler)).children[-1].status == word


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff"),
        ({"terminated": {"reason": "OOMKilled"}}, "OOMKilled"),
        ({"running": {}}, "Running"),
    ],
)
def test_a_pod_says_what_its_container_does(state: bodies.Body, word: str) -> None:
    pod = bodies.pod("risk-a-1", ready=False, state=state, restarts=1)
    (shown,) = tree(_resources(bodies.ready(), pods=[pod])).children[0].children
    assert (shown.ready, shown.status) == ("False", word)
    assert "1 restart," in shown.detail


@pytest.mark.parametrize(
    ("init", "main", "word"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff"}}, {"waiting": {"reason": "PodInitializing"}},
         "Init:CrashLoopBackOff (setup)"),
        ({"terminated": {"reason": "Error"}}, {"waiting": {"reason": "PodInitializing"}},
         "Init:Error (setup)"),
        ({"running": {}}, {"waiting": {"reason": "PodInitializing"}}, "PodInitializing"),
        ({"terminated": {"reason": "Completed"}}, {"running": {}}, "Running"),
        ({"terminated": {"reason": "Completed"}}, {"waiting": {"reason": "ErrImagePull"}},
         "ErrImagePull"),
    ],
)  # fmt: skip
def test_an_init_container_that_holds_up_a_pod_is_named(
    init: bodies.Body, main: bodies.Body, word: str
) -> None:
    pod = bodies.pod("risk-a-1", ready=False, state=main)
    pod["status"]["initContainerStatuses"] = [{"name": "setup", "state": init}]
    (shown,) = tree(_resources(bodies.ready(), pods=[pod])).children[0].children
    assert shown.status == word


def test_a_container_beside_the_predictor_that_does_not_run_is_named() -> None:
    pod = bodies.pod("risk-a-1", ready=False)
    beside = {"name": "proxy", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    pod["status"]["containerStatuses"].insert(0, beside)
    (shown,) = tree(_resources(bodies.ready(), pods=[pod])).children[0].children
    assert shown.status == "CrashLoopBackOff (proxy)"


@pytest.mark.parametrize(
    ("status", "why"),
    [({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
     ({"phase": "Failed"}, "Failed"), ({"phase": "Succeeded"}, "Succeeded")],
)  # fmt: skip
def test_a_pod_that_ended_is_history(status: bodies.Body, why: str) -> None:
    crashed = {"terminated": {"reason": "ContainerStatusUnknown"}}
    pod = bodies.pod("risk-a-0", ready=False, state=crashed)
    pod["status"] |= status
    (shown,) = tree(_resources(bodies.ready(), pods=[pod])).children[0].children
    assert (shown.ready, shown.status) == ("", "Ended")
    assert shown.detail == f"{why}, v1, 0 restarts, on node-1"


def test_a_service_shows_its_addresses_of_both_families() -> None:
    service = bodies.service()
    service["spec"]["clusterIPs"] = ["fd00::7", "10.0.0.7"]
    shown = tree(_resources(bodies.ready(), service=service)).children[1]
    assert shown.detail == "fd00::7, 10.0.0.7, port 80"


@pytest.mark.parametrize(("allowed", "word"), [(1, "SufficientPods"), (0, "InsufficientPods")])
def test_a_disruption_budget_says_how_many_pods_may_go(allowed: int, word: str) -> None:
    budget = bodies.disruption_budget(allowed)
    shown = tree(_resources(bodies.ready(), disruption_budget=budget)).children[1]
    assert (shown.kind, shown.status) == ("PodDisruptionBudget", word)
    assert shown.detail == f"maxUnavailable 1, {allowed} may be evicted now"


def test_a_missing_child_and_one_of_somebody_else() -> None:
    other = [{"kind": "Shop", "name": "till", "uid": "9", "controller": True}]
    service = bodies.service(other)
    nodes = tree(_resources(bodies.ready(), deployment=None, service=service)).children
    assert nodes[0].status == "Missing"
    assert (nodes[1].status, nodes[1].owned) == ("NotOwned", False)
    assert nodes[1].detail == "not of this RiskPredictor: controlled by Shop/till"


def test_a_fixed_size_misses_no_autoscaler() -> None:
    fixed = bodies.predictor(bodies.condition("Ready", "True", "Ready"), replicas=4)
    resources = _resources(fixed, autoscaler=None)
    assert [node.kind for node in tree(resources).children] == ["Deployment", "Service"]
    row = summary(fixed, None)
    assert (row.scaling, row.ready_of_wanted, row.cpu) == ("4", "2/4", "")


A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        ({}, "serving v1"),
        ({"model": {"version": "v2", "digest": A}, "servingVersion": "v2"}, "serving v2"),
        ({"model": {"version": "v1", "digest": B}}, "serving v1 sha256:bbbbbbbbbbbb"),
    ],
)
def test_a_model_from_a_store_is_shown_with_its_digest(serving: bodies.Body, said: str) -> None:
    source = {"s3": {"bucket": "models", "prefix": "risk/v2"}}
    stored = bodies.predictor(modelVersion="v2", model={"digest": A, "source": source})
    stored["status"] |= serving
    shown = tree(_resources(stored)).detail
    assert shown == f"model v2 sha256:aaaaaaaaaaaa from s3://models/risk/v2, {said}"
    assert summary(stored, None).digest == A, "scripts get the whole of it"


def test_the_wide_overview_has_the_digest_of_those_with_a_store() -> None:
    stored = bodies.predictor(model={"digest": A, "source": {"oci": {"reference": "x"}}})
    screen = Overview(namespaces=False, wide=True)
    lines = screen.table([summary(stored, None), summary(bodies.ready(), None)]).splitlines()
    assert [line.split()[-4] for line in lines] == ["DIGEST", "sha256:aaaaaaaaaaaa", "<none>"]


def test_a_change_of_the_model_has_columns_where_there_may_be_one() -> None:
    screen = Overview(namespaces=False, wide=False)
    plain = summary(bodies.ready(), None)
    assert "CANDIDATE" not in screen.table([plain])
    changing = summary(bodies.changing(), None)
    rows = [re.split(r" {3,}", line) for line in screen.table([changing, plain]).splitlines()]
    assert [row[4:7] for row in rows] == [
        ["SERVING", "CANDIDATE", "STEP"], ["v1", "v2", "Canary 10%"], ["v1", "<none>", "<none>"],
    ]  # fmt: skip
    progressive = bodies.ready()
    progressive["spec"]["rollout"] = bodies.POLICY
    idle = summary(progressive, None)
    assert "CANDIDATE" in screen.table([idle], room=True), "one may begin while it is watched"
    assert "   Canary 10%   " in screen.row(changing)


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        ("Canary", "v2 on trial beside v1: Canary 10% for "),
        ("Promoting", "v2 takes the place of v1"),
        ("Aborted", "v2 was aborted "),
        ("Observing", "v2 on trial beside v1: Shadow for "),
    ],
)
def test_a_change_of_the_model_is_told_with_where_to_read_more(phase: str, said: str) -> None:
    text = describe(_resources(bodies.changing(phase)), 0)
    (line,) = [line for line in text.splitlines() if line.startswith("Roll-out: ")]
    assert line.startswith(f"Roll-out: {said}")
    assert "\n    kubectl riskpredictor rollout status risk -n ward\n" in text
    assert "Roll-out" not in describe(_resources(bodies.ready()), 0)


def test_a_pod_with_a_second_model_says_which() -> None:
    pod = bodies.pod("risk-a-1")
    pod["metadata"]["labels"]["healthtech.dev/candidate-version"] = "v2"
    (shown,) = tree(_resources(bodies.changing(), pods=[pod])).children[0].children
    assert shown.detail == "v1, candidate v2, 0 restarts, on node-1"


def test_an_autoscaler_that_the_spec_leaves_the_size_to_is_shown_as_what_it_is() -> None:
    external = bodies.predictor(bodies.condition("Ready", "True", "Ready"), autoscaler="External")
    keda = {"kind": "ScaledObject", "name": "queue", "uid": "9", "controller": True}
    queue = {"metric": {"name": "queue_length"}, "target": {"averageValue": "20"}}
    autoscaler = bodies.autoscaler_with([{"type": "External", "external": queue}], None)
    autoscaler["metadata"] |= {"name": "keda-hpa-queue", "ownerReferences": [keda]}
    autoscaler["status"]["desiredReplicas"] = 9
    shown = tree(_resources(external, autoscaler=autoscaler)).children[-1]
    assert (shown.name, shown.ready, shown.status) == ("keda-hpa-queue", "True", "Active")
    assert shown.detail == (
        "queue_length <unknown> of 20 a pod, wants 9 of 2-5, controlled by ScaledObject/queue"
    )
    row = summary(external, autoscaler)
    assert (row.scaling, row.wanted_pods, row.cpu) == ("external", 9, "")


def test_one_that_others_scale_misses_no_autoscaler() -> None:
    external = bodies.predictor(bodies.condition("Ready", "True", "Ready"), autoscaler="External")
    external["status"]["replicas"] = 1
    resources = _resources(external, autoscaler=None)
    assert [node.kind for node in tree(resources).children] == ["Deployment", "Service"]
    assert summary(external, None).wanted_pods == 1


def test_an_autoscaler_of_somebody_else_says_nothing_about_ours() -> None:
    foreign = bodies.autoscaler()
    foreign["metadata"]["ownerReferences"] = []
    (row,) = summaries([bodies.ready()], [foreign])
    assert (row.wanted_pods, row.cpu) == (2, "<unknown>/70%")
    assert summary(bodies.ready(), bodies.autoscaler()).wanted_pods == 3


def test_one_that_is_not_ready_is_told_why_and_what_to_do() -> None:
    text = describe(_resources(bodies.broken("ImagePullFailed")), 0)
    assert "\nNot ready: ImagePullFailed\n  A node cannot get the image" in text
    assert "\n  ImagePullFailed: so it is\n" in text
    assert "\nWhat to do:\n" in text
    assert "\n    kubectl riskpredictor rollout undo risk -n ward" in text
    assert "nothing will change until somebody acts" in text
    assert text.count("ImagePullFailed: so it is") == 1


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_words_and_commands_that_can_be_copied(reason: str) -> None:
    (finding,) = findings(bodies.broken(reason))
    assert finding.meaning.endswith(".")
    assert not [command for command in finding.commands if "{" in command]


def test_a_reason_of_a_newer_operator_is_shown_all_the_same() -> None:
    text = describe(_resources(bodies.broken("Possessed")), 0)
    assert "Not ready: Possessed\n  Possessed: so it is" in text
    assert "Update the plug-in" in text


@pytest.mark.parametrize(
    ("predictor", "words"),
    [
        (bodies.predictor(seen=-1), "has not looked at it yet"),
        (bodies.predictor(bodies.condition("Ready", "True", "Ready"), seen=0), "the present spec"),
    ],
)
def test_a_status_that_is_not_about_the_present_spec_is_none(
    predictor: bodies.Body, words: str
) -> None:
    assert readiness(predictor)[:2] == ("Unknown", "NotSeen")
    text = describe(_resources(predictor), 0)
    assert words in text
    assert "kubectl get pods -A -l app.kubernetes.io/name=riskpredictor-operator" in text


def test_one_that_is_ready_but_does_not_scale_is_told_so() -> None:
    without = bodies.condition("Autoscaling", "False", "MetricsUnavailable", "no CPU metrics")
    well = bodies.condition("Ready", "True", "Ready")
    text = describe(_resources(bodies.predictor(well, without)), 0)
    assert "\nNot scaling: MetricsUnavailable\n  The autoscaler gets no CPU metrics" in text
    assert "\n  no CPU metrics\n" in text
    assert "\n    kubectl get apiservice v1beta1.metrics.k8s.io" in text
    assert "ot ready" not in text
    fixed = bodies.condition("Autoscaling", "False", "FixedSize", "spec.replicas fixes the size")
    text = describe(_resources(bodies.predictor(well, fixed, replicas=2), autoscaler=None), 0)
    assert text.splitlines()[-1].endswith("spec.replicas fixes the size")


def test_on_a_narrow_terminal_a_message_has_lines_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("riskpredictor_kubectl.output.columns", lambda: 80)
    text = describe(
        _resources(bodies.ready(), events=[bodies.event("Pod", "risk-5f7-x", "B" * 20)]), 1
    )
    assert text.splitlines()[-2].endswith("Pod/x")
    assert text.splitlines()[-1] == "    it happened"


def test_the_last_events_name_their_object_shortly() -> None:
    resources = _resources(
        bodies.ready(),
        events=[
            bodies.event("Pod", "risk-5f7-abcde", "BackOff"),
            bodies.event("RiskPredictor", "risk", "RollingOut"),
            bodies.event("HorizontalPodAutoscaler", "risk", "FailedGetScale"),
        ],
    )
    lines = describe(resources, 2).splitlines()[-3:]
    assert lines[0].split() == ["EVENT", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert lines[1].split()[1:4] == ["Warning", "BackOff", "Pod/abcde"]
    assert lines[2].split()[1:4] == ["Warning", "RollingOut", "RiskPredictor"]


def test_rows_that_come_later_stay_below_their_headings() -> None:
    screen = Overview(namespaces=True, wide=False)
    head = screen.table([summary(bodies.ready(), bodies.autoscaler())], room=True).splitlines()
    later = screen.row(summary(bodies.broken("MetricsUnavailable"), None))
    assert head[0].index("READY") == head[1].index("True") == later.index("False")
    assert head[0].index("PODS") == head[1].index("2/3") == later.index("2/2")
    assert head[0].index("AGE") == later.rindex(" ") + 1


def test_machines_get_the_same_as_plain_data() -> None:
    data = status_document(_resources(bodies.broken("OutOfMemory"), pods=[bodies.pod("risk-a-1")]))
    assert data["ready"] == "False"
    assert data["findings"][0]["steps"]
    assert data["tree"]["children"][0]["children"][0]["name"] == "risk-a-1"
