"""A model version as pods run it, and what the pods of a Deployment are made of."""

from __future__ import annotations

from dataclasses import dataclass

from riskpredictor_operator.core.model import Model


@dataclass(frozen=True, slots=True)
class Release:
    """A model version, where it is, and the image of the server for it."""

    version: str
    image: str
    """Image reference of the server."""
    model: Model | None
    """The model from a store; None: it is in the image."""

    @property
    def digest(self) -> str:
        """The declared digest of the model; empty where it is in the image."""
        return self.model.digest if self.model else ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A release on trial beside the stable one, in the same pods."""

    release: Release
    rollout_id: str
    stage: str
    """Shadow, or Canary-10."""
    percent: float
    """Of the requests that the candidate answers."""
    sample: float
    """Percentage of the requests that the candidate scores, too."""
    guard: str
    subject_header: str | None
    cases: str | None
    """ConfigMap with the hospital's own cases."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What pods are made of."""

    stable: Release
    candidate: Candidate | None = None
    aborted: tuple[str, ...] = ()
    """Keys of the releases that were aborted, the latest first."""
