"""Specification of advice: each refusal of the cluster names the field of the spec that helps."""

from __future__ import annotations

import pytest

from riskpredictor_operator.core import remedies

SCHEDULING = {
    "full nodes": ("0/2 nodes are available: 2 Insufficient cpu.", "spec.resources.requests"),
    "too large": ("0/1 nodes are available: 1 Insufficient memory.", "spec.resources.requests"),
    "too many pods": ("0/1 nodes are available: 1 Too many pods.", "add nodes"),
    "node selector": (
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        "spec.podTemplate.nodeSelector",
    ),
    "taint": (
        "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}.",
        "spec.podTemplate.tolerations",
    ),
    "taint (Kubernetes 1.36)": (
        "0/1 nodes are available: 1 node(s) had untolerated taint(s).",
        "spec.podTemplate.tolerations",
    ),
    "pod affinity": (
        "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.",
        "spec.podTemplate.affinity",
    ),
    "anti-affinity of others": (
        "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.",
        "spec.podTemplate.affinity",
    ),
    "spread": (
        "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints.",
        "spec.podTemplate.topologySpreadConstraints",
    ),
    "cordoned": ("0/1 nodes are available: 1 node(s) were unschedulable.", "uncordon"),
    "host port": (
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
        "host port",
    ),
    "a volume": (
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "volumes"
    ),
    "no nodes": ("no nodes available to schedule pods", "add nodes"),
    "something new": ("0/1 nodes are available: 1 node(s) are on strike.", "add nodes"),
}  # fmt: skip


@pytest.mark.parametrize(("message", "fix"), SCHEDULING.values(), ids=SCHEDULING)
def test_a_pod_that_no_node_can_run(message: str, fix: str) -> None:
    assert fix in remedies.for_scheduling(message)


def test_only_what_is_in_the_way_is_named() -> None:
    assert remedies.for_scheduling("0/2 nodes are available: 2 Insufficient cpu.") == (
        "lower spec.resources.requests, or add nodes with room"
    )
    both = "1 Insufficient cpu, 1 node(s) had untolerated taint {gpu: true}"
    assert remedies.for_scheduling(both) == (
        "lower spec.resources.requests, or add nodes with room; or add spec.podTemplate.tolerations"
    )


ADMISSION = {
    "service account": (
        'error looking up service account shop/nobody: serviceaccount "nobody" not found',
        "spec.podTemplate.serviceAccountName",
    ),
    "priority class": (
        'pods "risk-" is forbidden: no PriorityClass with name high was found',
        "spec.podTemplate.priorityClassName",
    ),
    "pod security": (
        'pods "risk-" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        "spec.podTemplate.securityContext",
    ),
    "OpenShift": (
        'pods "risk-" is forbidden: unable to validate against any security context constraint',
        "spec.podTemplate.securityContext",
    ),
    "quota on limits": (
        'pods "risk-" is forbidden: failed quota: q: must specify limits.cpu for: predictor',
        "spec.resources",
    ),
    "limit range": (
        'pods "risk-" is forbidden: maximum cpu usage per Container is 500m, but limit is 1',
        "spec.resources",
    ),
    "limit range, ratio": (
        "cpu max limit to request ratio per Container is 2, but provided ratio is 5.0",
        "spec.resources",
    ),
    "webhook": (
        'admission webhook "validate.kyverno.svc" denied the request: no', "that webhook"
    ),
    "a policy": ("ValidatingAdmissionPolicy 'x' denied request: no", "the policy"),
}  # fmt: skip


@pytest.mark.parametrize(("message", "fix"), ADMISSION.values(), ids=ADMISSION)
def test_pods_that_admission_refuses(message: str, fix: str) -> None:
    assert fix in remedies.for_admission(message)
