"""Writes golden/*.yaml anew from deploy/samples; look at the difference before you commit it:
PYTHONPATH=operator:tests python -m unit.operator.refresh_golden
"""

from __future__ import annotations

from pathlib import Path

import yaml
from unit.operator.builders import SAMPLES, Object, manifests, sample

FOLDER = Path(__file__).parent / "golden"


def expected(name: str) -> list[Object]:
    """The manifests on file for a sample."""
    return list(yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()))


def main() -> None:
    """Write one file per sample."""
    for name in SAMPLES:
        documents = list(manifests(sample(name)).values())
        text = yaml.safe_dump_all(documents, sort_keys=False)
        (FOLDER / f"{name}.yaml").write_text(text)


if __name__ == "__main__":
    main()
