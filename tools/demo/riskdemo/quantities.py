"""Amounts of CPU and memory as metrics-server writes them.

The forms are those of Kubernetes quantities (``k8s.io/apimachinery/pkg/api/resource``), of which
it uses a few.
"""

from __future__ import annotations

_CORES = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}
_BYTES = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def millicores(text: str) -> int:
    """``12345678n`` and the like in thousandths of a core."""
    return round(_amount(text, _CORES) * 1000)


def mebibytes(text: str) -> int:
    """``45056Ki`` and the like in MiB."""
    return round(_amount(text, _BYTES) / 2**20)


def _amount(text: str, units: dict[str, float]) -> float:
    digits = text.rstrip("numkKMGi")
    return float(digits) * units[text[len(digits) :]]
