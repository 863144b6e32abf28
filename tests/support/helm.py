"""Helm, built from source, kubectl's kustomize, and the release: ways to the same objects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from localcluster.gobuild import KUBERNETES, GoModule, ensure
from support.cluster import ROOT

MODULE = GoModule("helm", "helm.sh/helm/v3", "helm.sh/helm/v3/cmd/", tools=ROOT / "tests/tools")
CHART = ROOT / "deploy" / "chart"

Object = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """The program, with caches of its own instead of somebody's."""

    program: Path
    home: Path
    kubeconfig: Path | None = None

    @classmethod
    def built(cls, home: Path, kubeconfig: Path | None = None) -> Helm:
        """Builds it if it is missing: a minute or two."""
        return cls(ensure(MODULE, ["helm"]) / "helm", home, kubeconfig)

    @property
    def environment(self) -> dict[str, str]:
        """What to run it with; a shell finds it as ``helm``."""
        own = {f"HELM_{kind}_HOME": str(self.home / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        own["PATH"] = f"{self.program.parent}{os.pathsep}{os.environ['PATH']}"
        if self.kubeconfig:
            own["KUBECONFIG"] = str(self.kubeconfig)
        return {**os.environ, **own}

    def attempt(
        self, *arguments: str | Path, values: Mapping[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it, whatever comes of it."""
        given = [] if values is None else ["--values", "-"]
        return subprocess.run(
            [self.program, *arguments, *given], input=json.dumps(values or {}),
            env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def __call__(self, *arguments: str | Path, values: Mapping[str, Any] | None = None) -> str:
        """Its output; fails the test with what it said."""
        done = self.attempt(*arguments, values=values)
        assert done.returncode == 0, f"helm {' '.join(map(str, arguments))}:\n{done.stderr}"
        return done.stdout

    def template(
        self,
        values: Mapping[str, Any] | None = None,
        chart: Path = CHART,
        namespace: str = "riskpredictor-system",
    ) -> list[Object]:
        """The chart's objects, as it would install them."""
        where = ("--namespace", namespace, "--kube-version", KUBERNETES.version())
        return documents(self("template", "riskpredictor", chart, *where, values=values or {}))


def kustomize(path: str | Path) -> str:
    """What kubectl makes of a folder or address with a kustomization."""
    kubectl = ensure(KUBERNETES, ["kubectl"]) / "kubectl"
    done = subprocess.run(
        [kubectl, "kustomize", path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def dist(out: Path) -> None:
    """What ``make dist`` runs, into another folder."""
    subprocess.run(
        [sys.executable, "-m", "release.dist", "--out", out], cwd=ROOT / "tools", check=True,
        env={**os.environ, "PYTHONPATH": "cluster"},
    )  # fmt: skip


def documents(text: str) -> list[Object]:
    """The objects of a YAML stream."""
    return [document for document in yaml.safe_load_all(text) if document]
