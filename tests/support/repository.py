"""A real Git repository made of a folder of this one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

_WHO = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "A Developer"), ("EMAIL", "developer@example.com"))
}


class Repository:
    """A repository with a work tree."""

    def __init__(self, folder: Path, tree: Path) -> None:
        """Begin one in a new folder, with a copy of a tree as the first commit."""
        self.folder = folder
        shutil.copytree(tree, folder)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("The example")

    def git(self, *arguments: str) -> str:
        """What git says; nobody's own configuration plays a part."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, capture_output=True, text=True, check=False,
            env={**os.environ, **_WHO, "GIT_CONFIG_GLOBAL": os.devnull,
                 "GIT_CONFIG_SYSTEM": os.devnull},
        )  # fmt: skip
        assert done.returncode == 0, f"git {' '.join(arguments)}:\n{done.stderr}"
        return done.stdout

    def commit(self, subject: str) -> None:
        """Commit the work tree as it is."""
        self.git("add", "--all")
        self.git("commit", "--quiet", f"--message={subject}")

    def commit_file(self, path: str, text: str) -> None:
        """Commit one more file."""
        (self.folder / path).write_text(text)
        self.commit(path)

    def promote(self, environment: str, version: str) -> None:
        """Commit that an environment serves a version: a change of one line, and of no other."""
        path = self.folder / environment / "health-predictor.yaml"
        line = re.compile(r"(?<=^  modelVersion: )\S+", re.MULTILINE)
        path.write_text(line.sub(version, path.read_text()))
        self.commit(f"{environment} serves {version}")
        changed = self.git("show", "--numstat", "--format=").split()
        assert changed == ["1", "1", f"{environment}/health-predictor.yaml"]

    def revert(self) -> None:
        """Take the last commit back, by another one."""
        self.git("revert", "--no-edit", "HEAD")

    def files(self) -> dict[str, str]:
        """What the last commit holds, by path."""
        names = self.git("ls-tree", "-r", "--name-only", "HEAD").splitlines()
        return {name: self.git("show", f"HEAD:{name}") for name in names}
