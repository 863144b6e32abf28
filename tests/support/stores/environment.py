"""The environment of MLflow's server and the OpenSSF model signer: build/stores."""

from __future__ import annotations

import subprocess
from pathlib import Path

from localcluster.run import file_lock
from support.cluster import ROOT


def python() -> Path:
    """Its Python; set up by one of the processes that run tests."""
    folder = ROOT / "build" / "stores"
    folder.parent.mkdir(exist_ok=True)
    with file_lock(folder.with_suffix(".lock"), f"the set-up of {folder}"):
        subprocess.run(["make", "--silent", "build/stores/.ready"], cwd=ROOT, check=True)
    return folder / "bin" / "python"
