"""Decides by the evidence of a comparison whether a candidate keeps its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PASSED: Final = "Passed"
PENDING: Final = "Pending"
FAILED: Final = "Failed"
NOT_APPLICABLE: Final = "NotApplicable"


@dataclass(frozen=True, slots=True)
class GateResult:
    """What came of one gate so far; the texts are for people."""

    name: str
    state: str
    observed: str
    """Such as ``0.52 % of 2304``."""
    bound: str
    """What the true value is between, such as ``0.21 to 0.98 %``."""
    limit: str
    """Such as ``2 %``."""
