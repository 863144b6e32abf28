"""Kubernetes Events: what ``kubectl describe`` tells a person about changes of state."""

from __future__ import annotations

import datetime
import logging
import uuid

from riskpredictor_operator.core import api
from riskpredictor_operator.core.api import Key
from riskpredictor_operator.core.errors import ApiError
from riskpredictor_operator.core.transitions import Transition
from riskpredictor_operator.runtime.client import Cluster

logger = logging.getLogger(__name__)

MESSAGE_LIMIT = 1024
"""Characters that the API server accepts in an Event's message."""


async def record(cluster: Cluster, key: Key, uid: str, transition: Transition) -> None:
    """Record an Event about a RiskPredictor. Best effort: a lost Event changes nothing."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "apiVersion": api.EVENT.api_version,
        "kind": api.EVENT.kind,
        "metadata": {"name": f"{key.name}.{uuid.uuid4().hex[:16]}", "namespace": key.namespace},
        "involvedObject": {
            "apiVersion": api.RISKPREDICTOR.api_version,
            "kind": api.KIND,
            "name": key.name,
            "namespace": key.namespace,
            "uid": uid,
        },
        "type": transition.type,
        "reason": transition.reason,
        "message": transition.message[:MESSAGE_LIMIT],
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "source": {"component": api.FIELD_MANAGER},
        "reportingComponent": f"{api.GROUP}/{api.FIELD_MANAGER}",
    }
    try:
        await cluster.create(api.EVENT, event)
    except ApiError as error:
        logger.info("%s: Event %s not recorded: %s", key, transition.reason, error)
