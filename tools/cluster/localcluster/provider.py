"""Clusters made here (``local``), made by kind, or existing ones (``current``).

An existing cluster is only ever used by its context's name. What other commands get is a
kubeconfig with that one context in it, so that nothing can reach another cluster by mistake.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from . import build, gobuild, images, lifecycle, record
from .console import ClusterError, say
from .naming import validate_name
from .paths import cache_root, state_root, write_private
from .record import Options
from .run import output, run_logged

Source = Literal["local", "kind", "current"]
SOURCES: tuple[Source, ...] = ("local", "kind", "current")

METRICS_API = "/apis/metrics.k8s.io/v1beta1"


class Provider(Protocol):
    """What the demo and the tests need from any cluster."""

    def up(self) -> None:
        """Make it usable; nothing to do if it is."""

    def down(self) -> None:
        """Remove what :meth:`up` made, and nothing else."""

    def kubeconfig(self) -> Path:
        """The file that reaches this cluster and no other. Raises if there is no cluster."""

    def load_image(self, items: Sequence[str]) -> None:
        """Make image archives or built images usable by pods."""


def choose(source: str, name: str, context: str, options: Options) -> Provider:
    """The provider for ``CLUSTER``, ``CONTEXT`` and the cluster's name."""
    validate_name(name)
    if context and source != "current":
        raise ClusterError(
            f"a context ({context}) was given with CLUSTER={source}",
            "use CLUSTER=current to work in an existing cluster, or give no context",
        )
    if source == "local":
        return LocalProvider(name, options)
    if options != Options(options.profile):
        raise ClusterError(
            "--kwok, --nodes, --ip-family and --assigned-users are for CLUSTER=local only"
        )
    if source == "kind":
        return KindProvider(name)
    if source == "current":
        return CurrentProvider(context)
    raise ClusterError(f"CLUSTER={source!r} is not known", f"one of: {', '.join(SOURCES)}")


@dataclass(frozen=True)
class LocalProvider:
    """A cluster of this package."""

    name: str
    options: Options = field(default_factory=Options)

    def up(self) -> None:
        lifecycle.up(self.name, self.options)

    def down(self) -> None:
        removed = lifecycle.down(self.name)
        say(f"cluster {self.name}: {'removed' if removed else 'there is none'}")

    def kubeconfig(self) -> Path:
        return record.existing(self.name).paths.kubeconfig

    def load_image(self, items: Sequence[str]) -> None:
        images.load(record.existing(self.name), items)


@dataclass(frozen=True)
class KindProvider:
    """A cluster in Docker containers, made by the ``kind`` command."""

    name: str

    @property
    def cluster(self) -> str:
        return f"riskpredictor-{self.name}"

    @property
    def _file(self) -> Path:
        return state_root() / "kind" / self.name / "kubeconfig"

    def up(self) -> None:
        _require_kind()
        if self.cluster not in output("kind", "get", "clusters").splitlines():
            # Without a file of its own kind would switch the user's current context.
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            target = ["--kubeconfig", str(self._file)]
            run_logged(
                f"kind makes cluster {self.cluster}",
                ["kind", "create", "cluster", "--name", self.cluster, "--wait", "120s", *target],
                cache_root() / "logs" / "kind.log",
            )
        write_private(self._file, output("kind", "get", "kubeconfig", "--name", self.cluster))
        _warn_without_metrics(self._file)

    def down(self) -> None:
        _require_kind()
        output("kind", "delete", "cluster", "--name", self.cluster, "--kubeconfig", str(self._file))
        shutil.rmtree(self._file.parent, ignore_errors=True)

    def kubeconfig(self) -> Path:
        return _existing(self._file, "CLUSTER=kind")

    def load_image(self, items: Sequence[str]) -> None:
        _require_kind()
        for item in items:
            with images.archive_of(item) as archive:
                output("kind", "load", "image-archive", str(archive), "--name", self.cluster)


def _require_kind() -> None:
    for program, where in (
        ("docker", "install Docker Engine or Docker Desktop"),
        ("kind", "install kind: `go install sigs.k8s.io/kind@latest`, or a package of it"),
    ):
        if shutil.which(program) is None:
            raise ClusterError(f"CLUSTER=kind needs `{program}`, which was not found", where)
    if not build.docker_answers():
        raise ClusterError("CLUSTER=kind needs a Docker engine, and none answers", "start Docker")


@dataclass(frozen=True)
class CurrentProvider:
    """A cluster that exists, by the name of its context in the user's kubeconfig."""

    context: str

    @property
    def _file(self) -> Path:
        # Context names may hold slashes and colons.
        digest = hashlib.sha256(self.context.encode()).hexdigest()[:12]
        return state_root() / "current" / digest / "kubeconfig"

    def up(self) -> None:
        known = output(_kubectl(), "config", "get-contexts", "-o", "name").splitlines()
        if not self.context:
            raise ClusterError(
                "CLUSTER=current needs the name of a context: nothing is deployed unasked",
                f"CONTEXT=name, one of: {', '.join(known) or '(your kubeconfig has none)'}",
            )
        if self.context not in known:
            raise ClusterError(
                f"your kubeconfig has no context {self.context!r}",
                f"one of: {', '.join(known) or '(it has none)'}",
            )
        view = ["config", "view", "--minify", "--flatten", "--output=json"]
        config = json.loads(output(_kubectl(), *view, f"--context={self.context}"))
        config["current-context"] = self.context
        write_private(self._file, json.dumps(config, indent=2))
        output(_kubectl(), f"--kubeconfig={self._file}", "--request-timeout=10s", "version")
        _warn_without_metrics(self._file)

    def down(self) -> None:
        """The cluster is the user's: only our copy of its access is removed."""
        shutil.rmtree(self._file.parent, ignore_errors=True)

    def kubeconfig(self) -> Path:
        return _existing(self._file, "CLUSTER=current CONTEXT=name")

    def load_image(self, items: Sequence[str]) -> None:
        raise ClusterError(
            f"images ({', '.join(items)}) cannot be loaded into somebody's cluster",
            "push them to a registry that it can reach and set IMAGE_REPOSITORY to their place",
        )


def _kubectl() -> str:
    found = shutil.which("kubectl")
    return found or str(gobuild.ensure(gobuild.KUBERNETES, ["kubectl"]) / "kubectl")


def _warn_without_metrics(kubeconfig: Path) -> None:
    asked = subprocess.run(
        [_kubectl(), f"--kubeconfig={kubeconfig}", "get", "--raw", METRICS_API],
        capture_output=True,
        check=False,
    )
    if asked.returncode != 0:
        say("this cluster serves no resource metrics: install metrics-server, or nothing scales")


def _existing(file: Path, how: str) -> Path:
    if not file.exists():
        raise ClusterError("this cluster was not prepared", f"`cluster.py up` with {how}")
    return file
