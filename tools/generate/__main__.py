"""Writes every generated file; with ``--check``, fails and names those that are stale."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from generate import (
    ROOT,
    chart,
    crd_reference,
    dashboard,
    metrics_page,
    operations_page,
    reasons_table,
    shadow_model,
)

# The first completes the CRD, which others read. The chart comes last: it holds copies.
GENERATORS = (
    shadow_model,
    crd_reference,
    reasons_table,
    operations_page,
    metrics_page,
    dashboard,
    chart,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if one is stale")
    check = parser.parse_args(argv).check
    stale = [
        path
        for generator in GENERATORS
        for path, content in generator.files().items()
        if not _up_to_date(path, content, write=not check)
    ]
    for path in stale:
        print(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}")
    if check and stale:
        print("run make reference", file=sys.stderr)
    return 1 if check and stale else 0


def _up_to_date(path: Path, content: bytes, *, write: bool) -> bool:
    if path.is_file() and path.read_bytes() == content:
        return True
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return False


if __name__ == "__main__":
    sys.exit(main())
