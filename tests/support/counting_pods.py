"""Stands for pods that compare two models: each counts more pairs whenever it is asked."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Any, Self

from unit.operator.reports import report
from unit.operator.trial import AGREES, UNDER_TRIAGE, digest, times

from riskpredictor_operator.core import api as names
from riskpredictor_operator.core.api import POD
from riskpredictor_operator.kube import Key
from support.api import Api, Body, Refused
from support.pod_server import PodServer, serving

BAD = "bad"
"""How the versions of models begin that miss half of the high risks."""


class CountingPods:
    """The pods of a namespace that hold a candidate; a context manager.

    Fake nodes start pods without running them. Each one that is ready gets the address of a server
    of its own, as soon as it is seen, and keeps it until it is gone.
    """

    def __init__(self, api: Api, namespace: str, hundreds: int = 3, later: int = 0) -> None:
        """``hundreds`` of pairs are counted whenever a pod is asked, or ``later`` so many from the
        second time on."""
        self._api = api
        self._namespace = namespace
        self._stack = ExitStack()
        self._servers: dict[str, ExitStack] = {}
        self._addresses: dict[str, PodServer] = {}
        self._counted: Counter[str] = Counter()
        """Hundreds of pairs, by uid of the pod."""
        self._failed: list[Exception] = []
        self._lock = threading.Lock()
        self.hundreds = hundreds
        self._later = later
        self.more: Body = {}
        """Fields that the answers have besides, or instead."""
        self.hangs = threading.Event()
        """While it is set, no pod answers."""
        self.pairs: Counter[str] = Counter()
        """Pairs that all pods have counted, by id of the roll-out."""
        self.asked = 0
        """How often a pod was asked."""

    def __enter__(self) -> Self:
        self._stack.enter_context(self._api.following(POD, self._namespace, self._note))
        return self

    def __exit__(self, *_: object) -> None:
        self.hangs.clear()
        self._stack.close()
        for server in self._servers.values():
            server.close()
        assert not self._failed, self._failed

    def _note(self, event: str, pod: Body) -> None:
        """What fails in the thread that follows the pods, fails the test."""
        try:
            self._see(event, pod)
        except Exception as error:
            self._failed.append(error)
            raise

    def _see(self, event: str, pod: Body) -> None:
        metadata = pod["metadata"]
        uid, annotations = metadata["uid"], metadata.get("annotations") or {}
        if event == "DELETED":
            self._addresses.pop(uid, None)
            self._servers.pop(uid, ExitStack()).close()
            return
        conditions = (pod.get("status") or {}).get("conditions") or ()
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        if not ready or names.ANNOTATION_ROLLOUT_ID not in annotations:
            return
        if uid not in self._addresses:
            self._addresses[uid] = self._serve(uid, metadata)
        address = self._addresses[uid].server_address[0]
        if pod["status"].get("podIP") != address:
            status = {"podIP": address, "podIPs": [{"ip": address}]}
            with suppress(Refused):
                name = Key(metadata["namespace"], metadata["name"])
                self._api.patch(POD, name, {"status": status}, sub="status")

    def _serve(self, uid: str, metadata: Body) -> PodServer:
        self._servers[uid] = ExitStack()
        server = self._servers[uid].enter_context(serving({}))
        server.hangs = self.hangs
        server.answers["/rollout"] = lambda: self._report(uid, metadata)
        return server

    def _report(self, uid: str, metadata: Body) -> bytes:
        """What a pod answers, after it has counted some more."""
        labels, annotations = metadata["labels"], metadata["annotations"]
        stable = labels[names.LABEL_MODEL_VERSION]
        candidate = labels[names.LABEL_CANDIDATE_VERSION]
        rollout_id = annotations[names.ANNOTATION_ROLLOUT_ID]
        with self._lock:
            self.asked += 1
            more = self._later if self._later and uid in self._counted else self.hundreds
            self._counted[uid] += more
            self.pairs[rollout_id] += 100 * more
            counts = UNDER_TRIAGE if candidate.startswith(BAD) else AGREES
            matrix = times(counts, self._counted[uid])
        of_candidate: dict[str, Any] = {
            "version": candidate, "state": "Comparing", "reason": "", "message": "",
            "digest": annotations.get(names.ANNOTATION_CANDIDATE_DIGEST) or digest(candidate),
        }  # fmt: skip
        return json.dumps(
            report(
                uid, rollout_id=rollout_id, matrix=matrix,
                stable={"version": stable, "digest": digest(stable)}, candidate=of_candidate,
                errors={"raised": 0, "invalid": 0, "slow": 0},
                brier={"stable": 0.12, "candidate": 0.12},
            ) | self.more
        ).encode()  # fmt: skip
