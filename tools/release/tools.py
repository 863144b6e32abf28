"""The pinned tools of requirements-audit.lock, in an environment of their own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from release.locks import ROOT

LOCK = ROOT / "requirements-audit.lock"
HOME = ROOT / "build" / "audit"


def program(name: str) -> Path:
    """A tool's program; installs all of them when the lock file has changed."""
    stamp = HOME / "lock.sha256"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"setting up {HOME.relative_to(ROOT)} from {LOCK.name} ...", file=sys.stderr)
        venv.create(HOME, clear=True, with_pip=True)
        pip = [str(HOME / "bin" / "pip"), "--disable-pip-version-check", "install", "--quiet"]
        # Fixed arguments of our own.
        subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
        stamp.write_text(digest)
    return HOME / "bin" / name
