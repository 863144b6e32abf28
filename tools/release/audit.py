"""Looks for known vulnerabilities in every locked package, by pip-audit.

    python -m release.audit                        asks the package index's service
    python -m release.audit --advisories FOLDER    reads advisories from a folder

Exit status 1: a vulnerability, or a package that could not be looked up. Silence is not a pass.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from release.advisories import Advisories, serving
from release.locks import Pin, lock_files, read
from release.tools import program

_UNKNOWN = """\
Nothing was proved: the service could not look packages up. Where it is out of reach, name a folder
of advisories, a checkout of the Python Packaging Advisory Database: make audit ADVISORIES=FOLDER
"""


def main(argv: list[str]) -> int:
    """Audit lock files; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--advisories", type=Path, metavar="FOLDER", help="OSV records to read")
    parser.add_argument(
        "locks", nargs="*", type=Path, default=lock_files(), help="(default: all lock files)"
    )
    arguments = parser.parse_args(argv)
    try:
        pins = [pin for lock in arguments.locks for pin in read(lock)]
        if arguments.advisories:
            return _by_folder(pins, arguments.advisories)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return _audit(pins, ())


def _by_folder(pins: Sequence[Pin], folder: Path) -> int:
    advisories = Advisories(folder, {pin.name for pin in pins})
    print(f"{advisories.files} advisories in {folder}")
    os.environ["NO_PROXY"] = "127.0.0.1"
    with serving(advisories) as url, tempfile.TemporaryDirectory() as cache:
        # A cache of its own: answers of another folder are not to be taken for this one's.
        flags = ("--vulnerability-service=osv", f"--osv-url={url}", f"--cache-dir={cache}")
        return _audit(pins, flags)


def _audit(pins: Sequence[Pin], flags: Sequence[str]) -> int:
    failed = unknown = False
    for group in _one_version_each(pins):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.write("".join(f"{pin.plain}\n" for pin in group))
            requirements.flush()
            print(f"auditing {len(group)} packages ...", flush=True)
            # --strict: without it, a package that is not looked up counts as sound.
            command: list[str | Path] = [
                program("pip-audit"), "--strict", "--require-hashes", "--disable-pip",
                "--progress-spinner=off", *flags, "--requirement", requirements.name,
            ]  # fmt: skip
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        said = done.stderr.strip()
        print(said.splitlines()[-1] if "Traceback" in said else said, file=sys.stderr, flush=True)
        failed |= done.returncode != 0
        found = re.search(r"^Found \d+ known", said, re.MULTILINE)
        unknown |= done.returncode != 0 and not found
    if unknown:
        print(_UNKNOWN, end="", file=sys.stderr)
    return int(failed)


def _one_version_each(pins: Sequence[Pin]) -> list[list[Pin]]:
    """Every pin of every file, whatever Python it is for, in as few groups as its versions need.

    pip-audit would leave out what is not for its own Python, which is not that of the images.
    """
    groups: list[dict[str, Pin]] = []
    for pin in {(pin.name, pin.version): pin for pin in pins}.values():
        free = next((group for group in groups if pin.name not in group), None)
        if free is None:
            free = {}
            groups.append(free)
        free[pin.name] = pin
    return [list(group.values()) for group in groups]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
