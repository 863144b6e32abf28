"""The reasons of conditions and Events.

The docstring of each constant is the only place that explains it: what it means, the symptom that
a user sees, the fix, and commands to run. ``make reference`` makes the tables of docs/OPERATIONS.md
and the advice of ``kubectl riskpredictor status`` from them. In a command, NAME and NAMESPACE stand
for those of the RiskPredictor.
"""

from __future__ import annotations

from typing import Final

# Ready and Reconciling
READY: Final = "Ready"
"""All pods serve the declared version, and at least `minReplicas` of them (or `replicas`) are
available. An autoscaler may want more: see Autoscaling.

Symptom: READY is True, and MODEL equals SERVING.
Fix: Nothing to do."""
ROLLING_OUT: Final = "RollingOut"
"""Pods of the declared version are replacing older ones, or are starting for the first time.

Symptom: MODEL and SERVING differ, or SERVING is empty; pods come and go.
Fix: Wait; if pods do not come up the reason changes to why.
Run: kubectl riskpredictor status NAME -n NAMESPACE -w"""
SCALING: Final = "Scaling"
"""There are fewer pods than `minReplicas`, or another number than `replicas` or the bounds allow,
after a change of these fields or the loss of a pod. What the load makes of the number between the
bounds is no such case.

Symptom: REPLICAS changes while MODEL equals SERVING.
Fix: Wait; if it does not end, look at the pods: nodes may be short of room.
Run: kubectl riskpredictor status NAME -n NAMESPACE -w
Run: kubectl describe pods -n NAMESPACE -l healthtech.dev/riskpredictor=NAME"""
SUSPENDED: Final = "Suspended"
"""``spec.suspend`` is true: the children keep running as they are and are not looked after.

Symptom: Changes of the spec have no effect; deleted children stay deleted.
Fix: Set `spec.suspend` to false, or remove it; in Git if it came from there."""
ROLLOUT_PAUSED: Final = "RolloutPaused"
"""Somebody paused the Deployment (``kubectl rollout pause``): its pods stay as they are until it is
resumed.

Symptom: A new `modelVersion` has no effect; pods stay as they are.
Fix: Resume it when its pods may change.
Run: kubectl rollout resume deployment/NAME -n NAMESPACE"""
WAITING_FOR_DELETION: Final = "WaitingForDeletion"
"""A child of an earlier RiskPredictor of this name is still being deleted.

Symptom: A RiskPredictor that was deleted and made again gets no children yet.
Fix: Wait; if it lasts, look for the finalizer that holds the old child.
Run: kubectl get deployment,service,hpa,pdb NAME -n NAMESPACE -o yaml"""
APPLY_FAILED: Final = "ApplyFailed"
"""The API server keeps failing at a child's write (an admission webhook that is down, for example);
it is tried again.

Symptom: Changes of the spec do not reach the pods; the operator's log repeats the error.
Fix: Mend what the message names: the webhook, the API server, or the network to it.
Run: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations
Run: kubectl logs -n riskpredictor-system -l app.kubernetes.io/name=riskpredictor-operator"""

# Why pods do not come up. Reconciling until the progress deadline, then Stalled: most of them.
ROLLOUT_STALLED: Final = "RolloutStalled"
"""The progress deadline passed without a recognised cause in the pods: a slow node may still pull
the image.

Symptom: Ten minutes after a change (`spec.podTemplate.progressDeadlineSeconds`) not all pods are
new.
Fix: Look at the pods and their log; put the last good `modelVersion` back meanwhile, or give slow
nodes more time in `spec.podTemplate.progressDeadlineSeconds`.
Run: kubectl describe pods -n NAMESPACE -l healthtech.dev/riskpredictor=NAME
Run: kubectl logs -n NAMESPACE -l healthtech.dev/riskpredictor=NAME --tail=20
Run: kubectl riskpredictor rollout undo NAME -n NAMESPACE"""
IMAGE_PULL_FAILED: Final = "ImagePullFailed"
"""A node cannot get the image: wrong version or name, not pushed, or missing credentials.

Symptom: Pods in `ErrImagePull` or `ImagePullBackOff`.
Fix: Push the image, correct `spec.modelVersion` or `spec.image`, or name the credentials in
`spec.image.pullSecrets`. Or put the last good `modelVersion` back. The message says if the image is
that of a container which others add.
Run: kubectl riskpredictor rollout undo NAME -n NAMESPACE"""
CRASH_LOOPING: Final = "CrashLooping"
"""A container keeps exiting: the predictor, or the one that the message names.

Symptom: Pods in `CrashLoopBackOff` or `Init:CrashLoopBackOff`, RESTARTS grows.
Fix: Read the end of its log (`-c NAME` for another container than the predictor); if the model is
at fault, put the last good `modelVersion` back.
Run: kubectl logs -n NAMESPACE -l healthtech.dev/riskpredictor=NAME --tail=20 --previous
Run: kubectl riskpredictor rollout undo NAME -n NAMESPACE"""
OUT_OF_MEMORY: Final = "OutOfMemory"
"""A container was killed for exceeding its memory limit: the predictor, or one that the message
names.

Symptom: Pods restart with `OOMKilled`.
Fix: Raise `spec.resources.limits.memory` (of the predictor), or put the last good `modelVersion`
back.
Run: kubectl riskpredictor rollout undo NAME -n NAMESPACE"""
CONTAINER_START_FAILED: Final = "ContainerStartFailed"
"""A container cannot be created from its configuration, or its program cannot run.

Symptom: Pods in `CreateContainerConfigError`, `RunContainerError` or the like.
Fix: Mend what the message names: the image's entry point, user (a number other than 0) or processor
architecture, or a Secret or ConfigMap of `spec.podTemplate.env`.
Run: kubectl describe pods -n NAMESPACE -l healthtech.dev/riskpredictor=NAME"""
UNSCHEDULABLE: Final = "Unschedulable"
"""No node has room for, or is allowed to run, a pod. It stays Reconciling: a node may be added.

Symptom: Pods in `Pending`.
Fix: Change the field that the message names: `spec.resources.requests` where nodes are full,
`nodeSelector`, `affinity`, `tolerations` or `topologySpreadConstraints` of `spec.podTemplate` where
none fits. Or add nodes.
Run: kubectl describe nodes"""
PODS_NOT_READY: Final = "PodsNotReady"
"""Containers run, but GET /ready does not answer 200: the model failed its checks.

Symptom: Pods `Running` but not ready.
Fix: The pod's log says which check of the model failed: build the image anew, or put the last
good `modelVersion` back.
Run: kubectl logs -n NAMESPACE -l healthtech.dev/riskpredictor=NAME --tail=20
Run: kubectl riskpredictor rollout undo NAME -n NAMESPACE"""
PODS_BLOCKED: Final = "PodsBlocked"
"""Something other than the predictor keeps a pod from being ready: a volume or the pod network, an
init container, a sidecar, or a readiness gate. The message names it.

Symptom: Pods `Init:0/1`, `ContainerCreating`, or `Running` and not ready for long.
Fix: Look at what the message names: the log of that container, the controller that sets the gate,
the pod's Events.
Run: kubectl describe pods -n NAMESPACE -l healthtech.dev/riskpredictor=NAME"""
NODE_NOT_READY: Final = "NodeNotReady"
"""A pod's node does not report. It stays Reconciling: the node comes back, or Kubernetes replaces
the pod after some minutes.

Symptom: Pods `Running` and not ready, on a node that is `NotReady`.
Fix: Look at the node.
Run: kubectl get nodes"""
QUOTA_EXCEEDED: Final = "QuotaExceeded"
"""A ResourceQuota of the namespace leaves no room for a pod or child. It stays Reconciling: others
may go.

Symptom: Fewer pods than wanted; a ReplicaSet's Events say `exceeded quota`.
Fix: Raise the ResourceQuota, or lower `spec.resources` or the number of pods.
Run: kubectl describe resourcequota -n NAMESPACE"""
PODS_REFUSED: Final = "PodsRefused"
"""Admission (Pod Security, a LimitRange, a policy) refuses the pods.

Symptom: No new pods at all; a ReplicaSet's Events name what refuses them.
Fix: Change the field that the message names (`spec.podTemplate.serviceAccountName` where that does
not exist, `spec.resources` where a LimitRange bounds them), or the policy."""

# Why a model from a store does not come. The message has the store's words and names a pod.
MODEL_NOT_FOUND: Final = "ModelNotFound"
"""The store answers, and has no model at the place that ``spec.model.source`` names. Reconciling
until the progress deadline, then Stalled: somebody may still be pushing it.

Symptom: Pods in `Init:Error` or `Init:CrashLoopBackOff`; the versions before go on answering.
Fix: Push the model there, correct `spec.model.source`, or put the last good `modelVersion` back.
Run: kubectl logs -n NAMESPACE -l healthtech.dev/riskpredictor=NAME -c fetch-model --tail=20
Run: kubectl riskpredictor rollout undo NAME -n NAMESPACE"""
MODEL_FETCH_FAILED: Final = "ModelFetchFailed"
"""The store cannot be reached, or refuses: address, network, certificate or credentials.
Reconciling until the progress deadline, then Stalled. Pods of a model of which there is a copy in
the namespace (`status.modelCopies`) start without the store.

Symptom: Pods in `Init:Error` or `Init:CrashLoopBackOff`; the versions before go on answering.
Fix: Mend what the message names: the store, the NetworkPolicy to it, `spec.model.caBundle`, or the
Secret of `spec.model.credentialsSecret`.
Run: kubectl logs -n NAMESPACE -l healthtech.dev/riskpredictor=NAME -c fetch-model --tail=20"""
MODEL_DIGEST_MISMATCH: Final = "ModelDigestMismatch"
"""What the store holds is not the model that was declared: its card or one of its files has another
digest. Nothing of it was read. Stalled at once.

Symptom: Pods in `Init:Error` or `Init:CrashLoopBackOff`; the versions before go on answering.
Fix: Find out who changed the model in the store. If it is the one that is meant, declare its
`sha256sum card.json` as `spec.model.digest` with a new `modelVersion`.
Run: kubectl riskpredictor rollout undo NAME -n NAMESPACE"""
MODEL_SIGNATURE_INVALID: Final = "ModelSignatureInvalid"
"""The model has no signature (model.sig) by the key of ``spec.model.signature``, or signs something
else. Stalled at once.

Symptom: Pods in `Init:Error` or `Init:CrashLoopBackOff`; the versions before go on answering.
Fix: Have the model signed with that key, or name the right key in `spec.model.signature`.
Run: kubectl riskpredictor rollout undo NAME -n NAMESPACE"""
MODEL_REJECTED: Final = "ModelRejected"
"""The model is the declared one, and the server does not serve it: another version is in its card,
a golden case gives another answer, or this server does not know its format. Stalled at once.

Symptom: Pods in `Init:Error` or `Init:CrashLoopBackOff`; the versions before go on answering.
Fix: The message says which check failed: build the model anew, or choose an image of the server
that knows its format in `spec.image`.
Run: kubectl riskpredictor rollout undo NAME -n NAMESPACE"""

OF_THE_STORE: Final = frozenset({
    MODEL_NOT_FOUND, MODEL_FETCH_FAILED, MODEL_DIGEST_MISMATCH, MODEL_SIGNATURE_INVALID,
    MODEL_REJECTED,
})  # fmt: skip
"""Every reason of this group: what the container that fetches the model may tell."""
STALLED_AT_ONCE: Final = frozenset({MODEL_DIGEST_MISMATCH, MODEL_SIGNATURE_INVALID, MODEL_REJECTED})
"""Those that do not end by waiting, whatever the progress deadline."""

PODS_DO_NOT_COME_UP: Final = OF_THE_STORE | frozenset({
    ROLLOUT_STALLED, IMAGE_PULL_FAILED, CRASH_LOOPING, OUT_OF_MEMORY, CONTAINER_START_FAILED,
    UNSCHEDULABLE, PODS_NOT_READY, PODS_BLOCKED, NODE_NOT_READY, QUOTA_EXCEEDED, PODS_REFUSED,
})  # fmt: skip
"""Every reason of these two groups."""
PASSES_BY_ITSELF: Final = frozenset({UNSCHEDULABLE, NODE_NOT_READY, QUOTA_EXCEEDED})
"""Those of them that are never Stalled, because room may come without a person's doing: a
cluster autoscaler adds a node, other pods go, a node comes back."""

# How a change of the model goes on (spec.rollout.strategy Progressive). Reconciling.
SHADOWING: Final = "Shadowing"
"""The declared model is compared with the one that serves, and answers nobody. The message says how
many pairs there are, what the gates say, and what comes next.

Symptom: MODEL and SERVING differ, CANDIDATE names the new version, STEP is `Shadow`.
Fix: Wait; to stop it, put the former `modelVersion` back in Git.
Run: kubectl riskpredictor rollout status NAME -n NAMESPACE"""
CANARY_RUNNING: Final = "CanaryRunning"
"""The declared model answers a share of the requests, and both score all of them.

Symptom: SERVING names two versions, STEP is `Canary 10%` or another share.
Fix: Wait; to stop it, put the former `modelVersion` back in Git.
Run: kubectl riskpredictor rollout status NAME -n NAMESPACE"""
PROMOTING: Final = "Promoting"
"""The declared model takes the place of the former one in all pods.

Symptom: STEP is `Promoting`; pods come and go.
Fix: Wait; if pods do not come up, it is aborted and the former model stays.
Run: kubectl riskpredictor status NAME -n NAMESPACE -w"""
INSUFFICIENT_DATA: Final = "InsufficientData"
"""The present step has lasted long enough, and there are too few pairs to decide; or the operator
cannot read the counts of the pods. Nothing is promoted and nothing fails. Stalled once
`spec.rollout.deadline` has passed.

Symptom: STEP stays as it is; the message says how many pairs are missing.
Fix: Wait for more traffic, or declare a limit that fewer pairs can show in `spec.rollout.gates`. If
counts cannot be read: let the operator reach port 5000 of the pods.
Run: kubectl riskpredictor rollout status NAME -n NAMESPACE"""
AWAITING_APPROVAL: Final = "AwaitingApproval"
"""The declared model has passed its gates, and `spec.rollout.approval.required` asks for a person.
Stalled once `spec.rollout.deadline` has passed.

Symptom: STEP is `Awaiting approval`.
Fix: Read the report, and set `spec.rollout.approval.digest` in Git to the digest in the message.
Run: kubectl riskpredictor rollout report NAME -n NAMESPACE"""

# How a change of the model ended without it. Stalled.
ROLLOUT_ABORTED: Final = "RolloutAborted"
"""A gate failed, the candidate made errors, somebody stopped it, or its pods did not come up. The
former model serves, and goes on serving whatever else changes in the spec.

Symptom: MODEL and SERVING differ, STEP is `Aborted`; the message has the numbers.
Fix: Put the former `modelVersion` back in Git, or declare another model. To try the same one again,
put another word into `spec.rollout.retry`.
Run: kubectl riskpredictor rollout report NAME -n NAMESPACE"""
CANDIDATE_REJECTED: Final = "CandidateRejected"
"""The declared model does not pass its own golden cases, or the hospital's
(`spec.rollout.gates.cases`), or this server does not know its format. The former model serves.

Symptom: STEP is `Aborted`; the message names the cases.
Fix: As for RolloutAborted.
Run: kubectl riskpredictor rollout report NAME -n NAMESPACE"""
CANDIDATE_NOT_COMPARABLE: Final = "CandidateNotComparable"
"""The declared model is not linear, has other levels, or does not take the same records: it was
changed by a rolling update after its golden cases and the gates on its card.

Symptom: No pairs are counted; `status.history` has this reason.
Fix: Nothing to do; for a comparison, train a linear model for the same records."""
GATES_PASSED: Final = "GatesPassed"
"""Of CandidateAccepted: the candidate keeps all limits of `spec.rollout.gates`.

Symptom: CandidateAccepted is True.
Fix: Nothing to do."""

# What needs a person. Stalled.
NOT_OWNED: Final = "NotOwned"
"""An object with the name of a child exists and belongs to somebody else. It is not touched.

Symptom: The RiskPredictor has no children, or not all of them.
Fix: Delete or rename the other object, or give the RiskPredictor another name."""
INVALID_SPEC: Final = "InvalidSpec"
"""The spec cannot be used although the API server accepted it (an older CRD, for example).

Symptom: The spec was accepted, but nothing happens.
Fix: Correct the field that the message names, and apply the present CRD.
Run: kubectl apply -k crds"""
APPLY_REFUSED: Final = "ApplyRefused"
"""The API server refuses a child as invalid or by policy.

Symptom: The spec was accepted, but a child is not changed.
Fix: Change the field that the message names, or the policy that refuses it."""
FIELD_OVERRULED: Final = "FieldOverruled"
"""A mutating webhook or another manager changes a field of a child after every repair.

Symptom: The spec was accepted, but one field of a child keeps another value.
Fix: The message names field, value and who sets it: end that, or declare the same value in the
RiskPredictor. The operator goes on trying, up to five minutes apart.
Run: kubectl get mutatingwebhookconfigurations
Run: kubectl get deployment,service,hpa,pdb NAME -n NAMESPACE -o yaml --show-managed-fields"""
FORBIDDEN: Final = "Forbidden"
"""The operator's role lacks a permission in this namespace.

Symptom: Nothing happens in this namespace; the operator's log says 403.
Fix: Apply the operator's roles again ([INSTALL.md](INSTALL.md)). Where owner references are
guarded, as on OpenShift, grant what the message names.
Run: kubectl apply -k deploy/operator"""

# Available
PODS_AVAILABLE: Final = "PodsAvailable"
"""At least one pod answers predictions, and the Service leads to it.

Symptom: Predictions are answered.
Fix: Nothing to do."""
NO_PODS_AVAILABLE: Final = "NoPodsAvailable"
"""No pod answers predictions.

Symptom: `POST /predict` through the Service is refused or times out.
Fix: See the reason of Ready."""

NO_SERVICE: Final = "NoService"
"""Pods are ready, but there is no Service of this RiskPredictor: it was deleted while suspended, or
its name or port belongs to somebody else.

Symptom: `POST /predict` through the Service finds no host, or somebody else's.
Fix: See the reason of Ready.
Run: kubectl get service NAME -n NAMESPACE"""

# Autoscaling
SCALING_ACTIVE: Final = "ScalingActive"
"""The autoscaler reads metrics and can change the number of pods.

Symptom: `kubectl get hpa` shows a percentage.
Fix: Nothing to do."""
AWAITING_AUTOSCALER: Final = "AwaitingAutoscaler"
"""The autoscaler has not reported yet.

Symptom: `kubectl get hpa` shows `<unknown>` in the first seconds.
Fix: Wait: metrics-server needs two readings of a new pod, up to a minute."""
AWAITING_PODS: Final = "AwaitingPods"
"""No pod is ready, so there is no load that the autoscaler could measure.

Symptom: `kubectl get hpa` shows `<unknown>`, and no pod is ready.
Fix: See the reason of Ready."""
CPU_REQUEST_MISSING: Final = "CpuRequestMissing"
"""A container has no CPU request, so its use is no percentage: the number of pods does not follow
the load.

Symptom: `kubectl get hpa` shows `<unknown>`; `kubectl describe hpa` says `missing request for cpu`.
Fix: Set `spec.resources.requests.cpu`."""
AT_CAPACITY: Final = "AtCapacity"
"""The autoscaler wants more pods than there is room for: nodes are full, or a ResourceQuota is
used up. The pods that run keep serving; while there are `minReplicas`, Ready stays True.

Symptom: READY is True, pods are `Pending`, and REPLICAS is less than the autoscaler wants.
Fix: Add nodes or raise the ResourceQuota; or lower `spec.resources.requests` or `maxReplicas`.
Run: kubectl get pods -n NAMESPACE -l healthtech.dev/riskpredictor=NAME
Run: kubectl describe nodes"""
PODS_MISSING: Final = "PodsMissing"
"""The autoscaler wants more pods than come up, for another reason than room: some crash, or are
refused. While there are `minReplicas`, Ready stays True.

Symptom: READY is True, and some pods are not ready.
Fix: Mend what the message names; it is explained under the reasons why pods do not come up.
Run: kubectl describe pods -n NAMESPACE -l healthtech.dev/riskpredictor=NAME"""
METRICS_UNAVAILABLE: Final = "MetricsUnavailable"
"""The autoscaler gets no CPU metrics: pods keep running, their number does not follow the load.

Symptom: `kubectl get hpa` shows `<unknown>`; the number of pods does not follow the load.
Fix: Install or mend metrics-server, as the message says: `kubectl top pods` has to answer.
`spec.replicas` sets the number by hand meanwhile.
Run: kubectl get apiservice v1beta1.metrics.k8s.io"""
AUTOSCALING_FAILED: Final = "AutoscalingFailed"
"""The autoscaler cannot read or change the Deployment's scale.

Symptom: The number of pods does not follow the load; `kubectl describe hpa` says
`FailedGetScale`, `FailedUpdateScale` or `AmbiguousSelector`.
Fix: Mend what the message names: remove a second autoscaler on the same pods, or restore the
rights of the controller manager.
Run: kubectl describe hpa NAME -n NAMESPACE"""
FIXED_SIZE: Final = "FixedSize"
"""``spec.replicas`` is set, so there is no autoscaler.

Symptom: There is no HorizontalPodAutoscaler.
Fix: Remove `spec.replicas` to scale with the load again."""
EXTERNAL_AUTOSCALER: Final = "ExternalAutoscaler"
"""``spec.autoscaler`` is External: somebody else (KEDA, a HorizontalPodAutoscaler of yours) sets
the number of pods, and the operator does not know by what. The condition is Unknown.

Symptom: There is no HorizontalPodAutoscaler of the operator's.
Fix: For why the number is as it is, ask that autoscaler.
Run: kubectl get hpa -n NAMESPACE"""

# Events alone
MODEL_NOT_COPIED: Final = "ModelNotCopied"
"""The namespace holds no copy of a model that comes from a store, so new pods need the store: the
model is larger than 900 KiB, or the ConfigMap is refused. ``status.model.copy`` says which. Ready
and the pods that run are not touched by it.

Symptom: `status.model.copy` is `TooLarge` or `Refused`.
Fix: Mend what the Event names: a ResourceQuota or policy, or a foreign ConfigMap of that name. For
a large model keep the store available, or put it into the image.
Run: kubectl get events -n NAMESPACE --field-selector reason=ModelNotCopied"""
ROLLOUT_STARTED: Final = "RolloutStarted"
"""Another model was declared, and its comparison with the present one has begun.

Symptom: CANDIDATE names the new version.
Fix: Nothing to do; to stop it, put the former `modelVersion` back in Git.
Run: kubectl riskpredictor rollout status NAME -n NAMESPACE"""
STEP_REACHED: Final = "StepReached"
"""A change of the model has reached its next step.

Symptom: STEP changes.
Fix: Nothing to do.
Run: kubectl riskpredictor rollout status NAME -n NAMESPACE"""
ROLLOUT_PROMOTED: Final = "RolloutPromoted"
"""A model has become the one that answers. ``status.history`` keeps what was seen of it.

Symptom: MODEL equals SERVING, CANDIDATE is empty.
Fix: Nothing to do.
Run: kubectl riskpredictor rollout history NAME -n NAMESPACE"""
ROLLOUT_REVERTED: Final = "RolloutReverted"
"""The former model was declared again: while its successor was on trial, or after the promotion.

Symptom: MODEL is the former version; `status.history` has the outcome Reverted or Withdrawn.
Fix: Nothing to do.
Run: kubectl riskpredictor rollout history NAME -n NAMESPACE"""
SUPERSEDED: Final = "Superseded"
"""Another model, another word in `spec.rollout.retry`, or `strategy: RollingUpdate` was declared
while a model was on trial, which has ended therefore.

Symptom: CANDIDATE names the third version; `status.history` has the outcome Superseded.
Fix: Nothing to do.
Run: kubectl riskpredictor rollout history NAME -n NAMESPACE"""
GATES_CHANGED: Final = "GatesChanged"
"""``spec.rollout`` was changed while a model was on trial. What was counted stays; the new limits
hold from now on, and an aborted model stays aborted.

Symptom: `status.rollout.policyDigest` changes.
Fix: If nobody meant to, look in Git for who changed the limits.
Run: kubectl riskpredictor rollout status NAME -n NAMESPACE"""
