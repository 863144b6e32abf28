"""The two places for a model in a pod, and the names of what belongs to each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from riskpredictor_operator.core import api

MODELS: Final = "/models"
"""Where the volume with the models is mounted."""

CASES: Final = "/etc/riskpredictor/cases"
"""Where the predictor finds the hospital's own cases."""

COPY: Final = "copy"
CREDENTIALS: Final = "credentials"
CA: Final = "ca"
KEY: Final = "key"
SOURCE: Final = "source"
VOLUMES: Final = (COPY, CREDENTIALS, CA, KEY, SOURCE)
"""What the fetch step of a model may mount."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a model."""

    name: str
    """Of its folder."""
    incoming: str
    """Of the folder where an image's model is left for the fetch step."""
    prefix: str
    """Of the names of its volumes."""
    fetch_container: str
    """The init container that fetches the model from a store."""
    copy_container: str
    """The init container before it that copies the model out of an image."""
    version_label: str
    source_label: str
    digest_annotation: str
    optional: bool
    """Whether pods start without the model, too."""

    @property
    def folder(self) -> str:
        """Where the predictor finds the model."""
        return f"{MODELS}/{self.name}"

    @property
    def incoming_folder(self) -> str:
        """Where the fetch step finds the model of an image."""
        return f"{MODELS}/{self.incoming}"

    def volume(self, part: str) -> str:
        """The name of one of ``VOLUMES``."""
        return f"{self.prefix}-{part}"


STABLE: Final = Slot(
    name="stable",
    incoming="incoming",
    prefix="model",
    fetch_container="fetch-model",
    copy_container="copy-model",
    version_label=api.LABEL_MODEL_VERSION,
    source_label=api.LABEL_MODEL_SOURCE,
    digest_annotation=api.ANNOTATION_MODEL_DIGEST,
    optional=False,
)
CANDIDATE: Final = Slot(
    name="candidate",
    incoming="candidate-incoming",
    prefix="candidate",
    fetch_container="fetch-candidate",
    copy_container="copy-candidate",
    version_label=api.LABEL_CANDIDATE_VERSION,
    source_label=api.LABEL_CANDIDATE_SOURCE,
    digest_annotation=api.ANNOTATION_CANDIDATE_DIGEST,
    optional=True,
)
SLOTS: Final = (STABLE, CANDIDATE)
"""In the order in which their init containers run."""
