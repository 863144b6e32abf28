"""What the operator's administrator chooses for all predictors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """Defaults of what a RiskPredictor may leave out."""

    image_repository: str = "health-predictor"
    """Image repository of predictors that name none; the model is in the image."""
    runtime_image: str = "health-predictor:runtime"
    """Image, with tag, of predictors whose model comes from a store: the server without a model.
    The tag does not follow the operator's version, so that an upgrade restarts nobody."""
