"""Go modules of which tests need files (CRDs, for example) and no program."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Downloaded:
    """One version of a module. Nothing of it is built, so its checksum is here and in no go.sum."""

    module: str
    version: str
    sum: str

    def folder(self) -> Path:
        """Where its files are; downloads them into Go's own cache the first time."""
        done = subprocess.run(
            ["go", "mod", "download", "-json", f"{self.module}@{self.version}"],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert found["Sum"] == self.sum, f"{self.module} {self.version} is not what was looked at"
        return Path(found["Dir"])
