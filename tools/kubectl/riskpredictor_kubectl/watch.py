"""RiskPredictors as they change."""

from __future__ import annotations

import json
from collections.abc import Iterator

from riskpredictor_kubectl import names
from riskpredictor_kubectl.client import Client
from riskpredictor_kubectl.names import Body, path

WATCH_SECONDS = 300
"""A watch is renewed this often, in case its connection died unnoticed."""


def changes(client: Client, namespace: str, name: str | None) -> Iterator[list[Body]]:
    """All RiskPredictors, then those that changed, without end."""
    where = path(names.PREDICTORS, namespace)
    only = {"fieldSelector": f"metadata.name={name}"} if name else {}
    if name:
        client.predictor(namespace, name)
    while True:
        listed = client.get(where, **only)
        yield listed["items"]
        version = listed["metadata"]["resourceVersion"]
        while version:
            events = client.lines(
                where, WATCH_SECONDS + 30, watch="true", resourceVersion=version,
                timeoutSeconds=WATCH_SECONDS, allowWatchBookmarks="true", **only,
            )  # fmt: skip
            for line in events:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    # The resourceVersion is too old: list again.
                    version = ""
                    break
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield [event["object"]]
