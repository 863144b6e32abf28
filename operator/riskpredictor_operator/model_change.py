"""Joins the state machine of a model change with what a pass sees: Deployment, pods, counts."""

from __future__ import annotations

from dataclasses import dataclass

from riskpredictor_operator.core import api, conditions, reasons
from riskpredictor_operator.core.change.advance import Advanced, Moment, advance
from riskpredictor_operator.core.change.facts import Facts
from riskpredictor_operator.core.change.record import Who
from riskpredictor_operator.core.change.resolve import Resolved, resolve, same_pods
from riskpredictor_operator.core.change.state import COMPARING, OBSERVING, seconds_between
from riskpredictor_operator.core.observed import manager_of_version
from riskpredictor_operator.core.options import RenderOptions
from riskpredictor_operator.core.release import Serving, declared, serving_of, shadow_of
from riskpredictor_operator.core.rollout import rollout_of
from riskpredictor_operator.core.spec import RiskPredictor
from riskpredictor_operator.core.status import Observation
from riskpredictor_operator.evidence_reader import EvidenceReader
from riskpredictor_operator.kube import Body, Key

SNAPSHOT_POLLS = 6
"""Polls of the pods for each write of mere counts into the status."""


@dataclass
class ModelChanges:
    """Takes the change of each predictor's model through its steps, a pass at a time."""

    options: RenderOptions
    reader: EvidenceReader

    def resolve(self, rp: RiskPredictor, body: Body, deployment: Body | None, now: str) -> Resolved:
        """What the pods have to be made of.

        Args:
            rp: what is declared.
            body: the RiskPredictor as it is stored.
            deployment: its Deployment, if it has one.
            now: RFC 3339 time.
        """
        status = body.get("status") or {}
        live: Serving | None = None
        if deployment is not None and (rp.rollout.progressive or rp.shadow or _has_record(status)):
            live = serving_of(deployment)
        return resolve(
            rp,
            declared(rp, self.options),
            shadow_of(rp, self.options),
            live,
            status,
            _who(body),
            now,
        )

    def advance(
        self, rp: RiskPredictor, body: Body, resolved: Resolved, seen: Observation, now: str
    ) -> Advanced:
        """The next step, and what the status says of it."""
        state = resolved.record.state
        if state is None and not rp.rollout.progressive:
            # Most predictors: nothing is to be found out.
            self.reader.forget(rp.key)
            return Advanced(resolved.record)
        evidence = None
        if state is not None and state.phase in COMPARING | {OBSERVING}:
            self.reader.ask(rp, state.id, state.carried)
            evidence = self.reader.evidence(rp)
        else:
            self.reader.forget(rp.key)
        moment = Moment(now, _who(body), self.reader.poll_seconds * SNAPSHOT_POLLS)
        facts = _facts(rp, body, resolved, seen, now)
        model = declared(rp, self.options)
        return advance(rp, resolved.record, model, facts, evidence, moment)

    def forget(self, key: Key) -> None:
        """Forget a predictor that is gone."""
        self.reader.forget(key)


def _has_record(status: Body) -> bool:
    return any(status.get(field) for field in ("rollout", "aborted"))


def _who(body: Body) -> Who:
    annotations = body["metadata"].get("annotations") or {}
    return Who(
        manager=manager_of_version(body),
        change_ref=conditions.shortened(str(annotations.get(api.ANNOTATION_CHANGE_REF, "")), 256),
    )


def _facts(rp: RiskPredictor, body: Body, resolved: Resolved, seen: Observation, now: str) -> Facts:
    annotations = body["metadata"].get("annotations") or {}
    abort_id = str(annotations.get(api.ANNOTATION_ABORT, ""))
    deployment = seen.deployment
    if deployment is None:
        return Facts(settled=False, abort_id=abort_id)
    rollout = rollout_of(rp, deployment, seen.pods, now, template_seen=seen.template_seen)
    live = serving_of(deployment)
    fails = not rollout.as_declared and rollout.why.reason in reasons.PODS_DO_NOT_COME_UP
    return Facts(
        settled=rollout.as_declared and live is not None and same_pods(live, resolved.serving),
        wanted=rollout.wanted,
        ready=rollout.ready,
        trouble=rollout.why if fails else None,
        stalled=rollout.stalled,
        unavailable_seconds=_unavailable_seconds(deployment, now),
        abort_id=abort_id,
    )


def _unavailable_seconds(deployment: Body, now: str) -> float:
    available = conditions.in_status(deployment.get("status"), "Available")
    if available.get("status") != "False" or not available.get("lastTransitionTime"):
        return 0.0
    return seconds_between(available["lastTransitionTime"], now)
