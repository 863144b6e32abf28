"""Asks pip-audit for known vulnerabilities in every locked package: ``make audit``.

Options are handed to pip-audit, for example ``-s osv --osv-url URL``.
Exit status 1: a vulnerability was found. 2: not every package could be looked up.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEXT_STEP = (
    "Run it where an advisory service can be reached: PyPI's (default),"
    ' osv.dev (ARGS="-s osv"), or a mirror of it (ARGS="-s osv --osv-url URL").'
)


def main(options: list[str]) -> int:
    """Audit all lock files; returns the exit status."""
    status = 0
    for pins in one_version_each([lock.read_text() for lock in lock_files()]):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.writelines(f"{name}=={version}\n" for name, version in pins.items())
            requirements.flush()
            print(f"auditing {len(pins)} packages ...", flush=True)
            # Without --strict a package that cannot be looked up passes as sound.
            command: list[str | Path] = [
                Path(sys.executable).with_name("pip-audit"), "--strict", "--no-deps",
                "--disable-pip", "--progress-spinner=off", *options, "-r", requirements.name,
            ]  # fmt: skip
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        report = done.stderr.strip()
        if done.returncode != 0 and not re.search(r"^Found \d+ known", report, re.MULTILINE):
            last = report.splitlines()[-1] if report else f"pip-audit ended with {done.returncode}"
            why = last.removeprefix("ERROR:pip_audit._cli:").rstrip(".")[:250]
            print(f"not audited: {why}. {NEXT_STEP}", file=sys.stderr)
            return 2
        print(report, file=sys.stderr)
        status |= done.returncode
    return status


def lock_files() -> list[Path]:
    """All lock files of the repository, those of the tools and of training too."""
    folders = (ROOT, ROOT / "operator", ROOT / "predictor", ROOT / "tools/kubectl")
    return sorted(path for folder in folders for path in folder.glob("requirements*.lock"))


def one_version_each(locks: list[str]) -> list[dict[str, str]]:
    """All pins, in as few lists as possible that name no package twice.

    Environment markers are ignored: pip-audit would leave out what is locked for another Python
    than its own, and it refuses a list with two versions of a package.
    """
    pins = {pin for lock in locks for pin in re.findall(r"(?m)^([\w.-]+)[^\s=]*==([^\s;]+)", lock)}
    lists: list[dict[str, str]] = []
    for name, version in sorted(pins):
        pick = next((pick for pick in lists if name not in pick), None)
        if pick is None:
            lists.append(pick := {})
        pick[name] = version
    return lists


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
