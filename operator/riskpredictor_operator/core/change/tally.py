"""Adds up the counts of pods that come, go and restart, so that nothing is counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from riskpredictor_operator.core.change.evidence import Counts, Evidence, PodReport, ReportError

UNREACHABLE_SECONDS: Final = 120.0
"""How long a pod may be silent before it is named."""


class NoReport(Enum):
    """Why there is no report of a pod."""

    SILENT = "silent"
    """It does not answer, or not in time."""
    UNAWARE = "unaware"
    """Its server knows no comparison (404)."""


SILENT: Final = NoReport.SILENT
UNAWARE: Final = NoReport.UNAWARE

Answer = PodReport | ReportError | NoReport
"""What came of reading a pod."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A pod as the API server lists it."""

    uid: str
    name: str
    ready: bool
    leaving: bool = False
    """It is being deleted."""


@dataclass
class _Pod:
    """What is known of a pod that exists."""

    listed: Listed
    instance: str = ""
    """The process whose report it gave last."""
    heard: bool = False
    """Whether it has ever answered."""
    unaware: bool = False
    refused: str = ""
    """Why its last answer was not counted."""
    silent_since: float | None = None


@dataclass
class Tally:
    """Counts of one roll-out.

    Counts belong to a process (``instance``), not to a pod: a container that restarts begins again
    at 0, and the address of a pod that is gone may soon be another's. Those of a process are in
    ``reports`` while a pod exists that gave them last, and in ``_left`` after it.
    """

    rollout_id: str
    seed: Counts
    """Counts of pods that were gone before this tally began."""
    _pods: dict[str, _Pod] = field(default_factory=dict, init=False)
    _reports: dict[str, PodReport] = field(default_factory=dict, init=False)
    _left: dict[str, Counts] = field(default_factory=dict, init=False)
    _levels: tuple[str, ...] = field(default=(), init=False)

    def misses(self, uids: Iterable[str]) -> bool:
        """Whether a pod that is known is not among these."""
        return not self._pods.keys() <= set(uids)

    def take(self, listed: Sequence[Listed], answers: Mapping[str, Answer], now: float) -> None:
        """Take in what one poll has found.

        Args:
            listed: all pods of the roll-out that exist. What others have counted is final.
            answers: by uid of the pod; one that does not answer keeps its counts.
            now: monotonic time in seconds.
        """
        self._pods = {each.uid: self._pods.get(each.uid) or _Pod(each) for each in listed}
        self._settle_levels(answers.values())
        for each in sorted(listed, key=lambda pod: pod.uid):
            pod = self._pods[each.uid]
            pod.listed = each
            answer = answers.get(each.uid, SILENT)
            if answer is not SILENT:
                self._hear(pod, answer)
            elif pod.silent_since is None or not (each.ready or pod.heard):
                # One that has never been ready is still starting.
                pod.silent_since = now
        self._part()

    def miss(self, now: float) -> None:
        """Note that the pods could not be listed: all are silent."""
        for pod in self._pods.values():
            if pod.silent_since is None:
                pod.silent_since = now

    def evidence(self, now: float) -> Evidence:
        """What is known at a time."""
        pods = sorted(self._pods.values(), key=lambda pod: pod.listed.name)
        staying = [pod for pod in pods if not pod.listed.leaving]
        return Evidence(
            rollout_id=self.rollout_id,
            reports=tuple(sorted(self._reports.values(), key=lambda report: report.pod)),
            carried=sum(self._left.values(), self.seed),
            unreachable=tuple(
                pod.listed.name
                for pod in staying
                if pod.silent_since is not None and now - pod.silent_since >= UNREACHABLE_SECONDS
            ),
            unaware=tuple(pod.listed.name for pod in pods if pod.unaware),
            unheard=tuple(pod.listed.name for pod in staying if pod.listed.ready and not pod.heard),
            refused=tuple(f"{pod.listed.name}: {pod.refused}" for pod in pods if pod.refused),
        )

    def _settle_levels(self, answers: Iterable[Answer]) -> None:
        """The levels are those that most of the first reports have."""
        fitting = [
            answer.levels
            for answer in answers
            if isinstance(answer, PodReport) and not self._problem(answer)
        ]
        if not self._levels and fitting:
            numbers = Counter(fitting)
            self._levels = min(fitting, key=lambda levels: (-numbers[levels], levels))

    def _problem(self, report: PodReport) -> str:
        """Why a report does not count; empty if it does."""
        if report.rollout_id != self.rollout_id:
            return f"it counts for roll-out {report.rollout_id or 'none'}"
        if not report.state:
            return "it has no candidate"
        if self._levels and report.levels != self._levels:
            return (
                f"its levels are {', '.join(report.levels)}, those of the others "
                f"{', '.join(self._levels)}"
            )
        if self.seed.matrix and len(report.levels) != len(self.seed.matrix):
            return f"it has {len(report.levels)} levels, pods before it {len(self.seed.matrix)}"
        return ""

    def _hear(self, pod: _Pod, answer: Answer) -> None:
        pod.heard, pod.silent_since = True, None
        pod.unaware, pod.refused = answer is UNAWARE, ""
        if isinstance(answer, ReportError):
            pod.refused = str(answer)
        elif isinstance(answer, PodReport):
            pod.refused = self._problem(answer)
            if not pod.refused:
                pod.instance = answer.instance
                self._left.pop(answer.instance, None)
                self._reports[answer.instance] = replace(answer, pod=pod.listed.name)

    def _part(self) -> None:
        """Carry on what was counted by processes that no pod has any more."""
        held = {pod.instance for pod in self._pods.values()}
        for instance in self._reports.keys() - held:
            self._left[instance] = self._reports.pop(instance).counts
