"""Programs that tests need, from Debian's packages where this user may install them."""

from __future__ import annotations

import os
import shutil
import subprocess


def ensure(program: str, package: str = "") -> str:
    """Path of a program; installs its package (of the same name, if none is given) as root.

    Fails the test with what to install where it may not.
    """
    package = package or program
    if shutil.which(program) is None:
        assert os.geteuid() == 0, f"{program} is missing: sudo apt-get install {package}"
        for command in (["update", "-qq"], ["install", "-y", "-qq", package]):
            done = subprocess.run(
                ["apt-get", *command],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"apt-get {' '.join(command)}: {done.stderr}"
    found = shutil.which(program)
    assert found is not None, f"package {package} brought no {program}"
    return found
