"""What the operator's administrator chooses for all predictors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """Operator-wide inputs of the manifests."""

    image_repository: str = "health-predictor"
    """Image repository of predictors that name none."""
