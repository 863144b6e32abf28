#!/usr/bin/env python3
"""Derives the module that builds another version of Kubernetes.

    python3 tools/cluster/make_kubernetes.py v1.30.14 FOLDER

writes FOLDER/kubernetes/go.mod and go.sum; with RISKPREDICTOR_KUBERNETES_TOOLS=FOLDER in the
environment, tools/cluster builds and runs that version. Check sums are those that the Go command
gets and checks (GOSUMDB); they are not kept, unlike those of the version that is pinned here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
_PACKAGES = [f"k8s.io/kubernetes/cmd/{program}" for program in PROGRAMS]
_ENVIRONMENT = {**os.environ, "GOWORK": "off", "CGO_ENABLED": "0"}


def main(argv: list[str]) -> int:
    """Write the module; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("version", type=_release, help="of Kubernetes, for example v1.30.14")
    parser.add_argument("folder", type=Path, help="gets the folder kubernetes/ with the module")
    options = parser.parse_args(argv)
    version, folder = options.version, options.folder / "kubernetes"
    folder.mkdir(parents=True, exist_ok=True)
    about = json.loads(_go("mod", "download", "-json", f"k8s.io/kubernetes@{version}"))
    (folder / "go.mod").write_text(module(version, Path(about["GoMod"]).read_text()))
    (folder / "go.sum").unlink(missing_ok=True)
    # Adds the requirements and check sums of all that the programs are made of.
    _go("list", "-mod=mod", "-deps", *_PACKAGES, folder=folder)
    return 0


def _release(text: str) -> str:
    if not re.fullmatch(r"v1\.\d+\.\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no release; write v1.MINOR.PATCH")
    return text


def module(version: str, upstream: str) -> str:
    """A go.mod that requires a release, from the release's own go.mod.

    That one takes its staging modules from folders beside it, which a requirement leaves out;
    they are published as v0.MINOR.PATCH.
    """
    go = re.search(r"^go \S+$", upstream, re.MULTILINE)
    staging = re.findall(r"^\t?(?:replace )?(\S+) => \./staging/", upstream, re.MULTILINE)
    if go is None or not staging:
        raise ValueError(f"the go.mod of Kubernetes {version} is not as expected")
    published = version.replace("v1.", "v0.", 1)
    replacements = "".join(f"\t{name} => {name} {published}\n" for name in staging)
    tools = "".join(f"\t{package}\n" for package in _PACKAGES)
    return (
        "module riskpredictor.local/kubernetes\n\n"
        # Lines "tool" are known from this version on.
        f"{max(go[0], 'go 1.24.0', key=_number)}\n\n"
        f"require k8s.io/kubernetes {version}\n\n"
        f"replace (\n{replacements})\n\n"
        f"tool (\n{tools})\n"
    )


def _number(line: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", line))


def _go(*arguments: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        ["go", *arguments], cwd=folder, env=_ENVIRONMENT, stdout=subprocess.PIPE, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
