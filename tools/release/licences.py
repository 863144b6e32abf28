"""Licences of installed packages, as their metadata says, and which of them we may ship."""

from __future__ import annotations

import re
from importlib.metadata import Distribution

IDENTIFIERS = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "PSF-2.0",
    "Zlib",
}
"""By SPDX. Permissive, or (MPL) copyleft for changes of a package's own files; we change none."""
VAGUE = {
    "Apache Software License",
    "BSD License",
    "Python Software Foundation License",
}
"""Names in older metadata that leave the version open; each version is permissive."""
ALLOWED = IDENTIFIERS | VAGUE

_SAME = {
    "Apache 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""Other names that can only mean one licence."""


def declared(distribution: Distribution) -> list[str]:
    """An SPDX expression if the metadata has one, else the names in its classifiers.

    Several names hold together: nothing says that one may choose.
    """
    metadata = distribution.metadata
    if metadata["License-Expression"]:
        return [metadata["License-Expression"]]
    field = (metadata["License"] or "").strip()
    if _SAME.get(field, field) in IDENTIFIERS:
        return [_SAME.get(field, field)]
    lines = [line.split(" :: ") for line in metadata.get_all("Classifier") or []]
    return [_SAME.get(line[-1], line[-1]) for line in lines if line[0] == "License"]


def is_expression(licence: str) -> bool:
    """Whether it is SPDX, not a classifier's name."""
    return all(part in IDENTIFIERS for part in _parts(licence))


def refused(licences: list[str]) -> list[str]:
    """Those that are not allowed; of a package that names none, a word that says so.

    Every identifier of an expression must be allowed, those after OR too: stricter than it need
    be, and without a choice to write down.
    """
    if not licences:
        return ["no licence in its metadata"]
    parts = [part for licence in licences for part in _known(licence)]
    return [part for part in parts if part not in ALLOWED]


def _known(licence: str) -> list[str]:
    return [licence] if licence in ALLOWED else _parts(licence)


def _parts(expression: str) -> list[str]:
    return re.split(r"\s+(?:AND|OR)\s+", expression.replace("(", "").replace(")", ""))


def texts(distribution: Distribution) -> dict[str, str]:
    """The licence files that the package brings, by path."""
    files = [
        file
        for file in distribution.files or []
        if ".dist-info" in file.parts[0]
        and re.match(r"(?i)(licen[cs]e|copying|notice|authors)", file.name)
    ]
    return {str(file): file.read_text(encoding="utf-8") for file in files}
