"""crds/riskpredictors.yaml: the schema of ``spec.shadow.model``, which is that of ``spec.model``.

A copy, because the messages of its rules name the field, and CEL does not know where it stands. All
else in that file is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from generate import ROOT

CRD = ROOT / "crds" / "riskpredictors.yaml"

_BEGIN = "# From here on made by `make reference` from spec.model\n"
_END = "# Up to here\n"


def files() -> Mapping[Path, bytes]:
    """The CRD with its present text and a new copy."""
    return {CRD: with_copy(CRD.read_text()).encode()}


def with_copy(crd: str) -> str:
    """The CRD with a new copy between its marks.

    Raises:
        ValueError: a mark or ``spec.model`` is missing.
    """
    before, found, rest = crd.partition(_BEGIN)
    _, closed, after = rest.partition(_END)
    model = re.search(r"^( +)model:\n(?:\1 +.*\n)+", before, re.MULTILINE)
    if not found or not closed or not model:
        raise ValueError(f"{CRD.name} has no spec.model, or no {_BEGIN.strip()} ... {_END.strip()}")
    indent = before.rpartition("\n")[2]
    deeper = " " * (len(indent) - len(model[1]))
    copy = re.sub("^", deeper, model[0].removesuffix("\n"), flags=re.MULTILINE)
    copy = copy.replace("spec.model", "spec.shadow.model")
    return f"{before}{_BEGIN}{copy}\n{indent}{_END}{after}"
