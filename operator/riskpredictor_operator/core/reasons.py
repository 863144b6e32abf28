"""The reasons that conditions and Events give: one documented word each.

The docstring below each constant says when it is used; the operations guide is made from them.
"""

from __future__ import annotations

from typing import Final

# Ready and Reconciling
READY: Final = "Ready"
"""The declared version is served by as many pods as wanted."""
ROLLING_OUT: Final = "RollingOut"
"""Pods of the declared version are replacing older ones, or are starting for the first time."""
SCALING: Final = "Scaling"
"""The number of pods is changing, or pods of a finished roll-out are not available right now."""
SUSPENDED: Final = "Suspended"
"""``spec.suspend`` is true: the children keep running as they are and are not looked after."""
ROLLOUT_PAUSED: Final = "RolloutPaused"
"""Somebody paused the Deployment (``kubectl rollout pause``): its pods stay as they are until it is
resumed."""
WAITING_FOR_DELETION: Final = "WaitingForDeletion"
"""A child of an earlier RiskPredictor of this name is still being deleted."""
APPLY_FAILED: Final = "ApplyFailed"
"""The API server keeps failing at a child's write (an admission webhook that is down, for example);
it is tried again."""

# Why pods do not come up. Reconciling until the progress deadline, then Stalled.
ROLLOUT_STALLED: Final = "RolloutStalled"
"""The Deployment's progress deadline passed without a recognised cause in the pods."""
IMAGE_PULL_FAILED: Final = "ImagePullFailed"
"""A node cannot get the image: wrong version or name, not pushed, or missing credentials."""
CRASH_LOOPING: Final = "CrashLooping"
"""The predictor container keeps exiting."""
OUT_OF_MEMORY: Final = "OutOfMemory"
"""The predictor container was killed for exceeding its memory limit."""
CONTAINER_START_FAILED: Final = "ContainerStartFailed"
"""The container cannot be created from its configuration."""
UNSCHEDULABLE: Final = "Unschedulable"
"""No node has room for, or is allowed to run, a pod."""
PODS_NOT_READY: Final = "PodsNotReady"
"""Containers run, but GET /ready does not answer 200: the model failed its checks."""
QUOTA_EXCEEDED: Final = "QuotaExceeded"
"""A ResourceQuota of the namespace leaves no room for a pod or child."""
PODS_REFUSED: Final = "PodsRefused"
"""Admission (Pod Security, a policy) refuses the pods."""

PODS_DO_NOT_COME_UP: Final = frozenset({
    ROLLOUT_STALLED, IMAGE_PULL_FAILED, CRASH_LOOPING, OUT_OF_MEMORY, CONTAINER_START_FAILED,
    UNSCHEDULABLE, PODS_NOT_READY, QUOTA_EXCEEDED, PODS_REFUSED,
})  # fmt: skip
"""All of these."""

# What needs a person. Stalled.
NOT_OWNED: Final = "NotOwned"
"""An object with the name of a child exists and belongs to somebody else. It is not touched."""
INVALID_SPEC: Final = "InvalidSpec"
"""The spec cannot be used although the API server accepted it (an older CRD, for example)."""
APPLY_REFUSED: Final = "ApplyRefused"
"""The API server refuses a child as invalid or by policy."""
FORBIDDEN: Final = "Forbidden"
"""The operator's role lacks a permission in this namespace."""

# Available
PODS_AVAILABLE: Final = "PodsAvailable"
"""At least one pod answers predictions."""
NO_PODS_AVAILABLE: Final = "NoPodsAvailable"
"""No pod answers predictions."""

# Autoscaling
SCALING_ACTIVE: Final = "ScalingActive"
"""The autoscaler reads metrics and can change the number of pods."""
AWAITING_AUTOSCALER: Final = "AwaitingAutoscaler"
"""The autoscaler has not reported yet."""
METRICS_UNAVAILABLE: Final = "MetricsUnavailable"
"""The autoscaler gets no CPU metrics: pods keep running, their number does not follow the load."""
AUTOSCALING_FAILED: Final = "AutoscalingFailed"
"""The autoscaler cannot read or change the Deployment's scale."""
FIXED_SIZE: Final = "FixedSize"
"""``spec.replicas`` is set, so there is no autoscaler."""
