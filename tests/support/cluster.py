"""Throw-away clusters for tests, made by the product's own tools/cluster."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from riskpredictor_operator.kube import Key
from support.api import eventually

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "cluster" / "cluster.py"


def tool(*arguments: str, quiet: bool = True) -> str:
    """Output of the cluster tool; fails the test with what it said."""
    done = subprocess.run(
        [sys.executable, str(TOOL), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"cluster.py {' '.join(arguments)}:\n{done.stderr}"
    return done.stdout


def build_image(tag: str, dockerfile: Path, *build_args: str, target: str = "") -> None:
    """Build an image in the repository's folder; build arguments are KEY=VALUE."""
    options = [f"--build-arg={argument}" for argument in build_args]
    options += [f"--target={target}"] if target else []
    tool(
        "build-image", f"--tag={tag}", f"--file={dockerfile}", f"--context={ROOT}", *options,
        quiet=False,
    )  # fmt: skip


@dataclass(frozen=True)
class LocalCluster:
    """A running cluster."""

    name: str
    kubeconfig: Path
    bin: Path
    audit_log: Path

    @classmethod
    def up(cls, name: str, *arguments: str) -> LocalCluster:
        """Make it; its progress shows, because the first time takes minutes.

        ``CLUSTER_SUFFIX`` in the environment keeps two runs of a suite out of each other's way, and
        the processes of one run (pytest-xdist) have a cluster each.
        """
        name += "".join(
            f"-{os.environ[part].removeprefix('-')}"
            for part in ("PYTEST_XDIST_WORKER", "CLUSTER_SUFFIX")
            if os.environ.get(part)
        )
        tool("up", "--name", name, *arguments, quiet=False)
        status = json.loads(tool("status", "--name", name, "--json"))
        return cls(name, Path(status["kubeconfig"]), Path(status["bin"]), Path(status["audit_log"]))

    def down(self) -> None:
        """Remove the cluster."""
        tool("down", "--name", self.name)

    def component(self, action: str, name: str) -> None:
        """``stop``, ``start`` or ``restart`` one of its components."""
        tool(action, "--name", self.name, name)

    def load_images(self, *images: str) -> None:
        """Bring built images into the node."""
        tool("load-image", "--name", self.name, *images, quiet=False)

    def await_crd(self, name: str) -> None:
        """Wait until a CustomResourceDefinition is served."""
        wait = ("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
        # kubectl takes one that has no conditions yet for an error, so it is asked again.
        eventually(lambda: self.try_kubectl(*wait).returncode == 0, within=60, what=name)

    def install_crd(self) -> None:
        """Install the RiskPredictor's as users do, and wait until it is served."""
        self.kubectl("apply", "-k", "crds")
        self.await_crd("riskpredictors.healthtech.dev")

    def install_operator(self) -> None:
        """Install it as users do, and wait until it is at work."""
        self.kubectl("apply", "-k", "deploy/operator")
        wait = ("rollout", "status", "deployment/riskpredictor-operator", "--timeout=300s")
        self.kubectl("-n", "riskpredictor-system", *wait)

    @property
    def node_address(self) -> str:
        """Where NodePorts answer."""
        status = json.loads(tool("status", "--name", self.name, "--json"))
        return str(status["nodes"][0]["addresses"][0])

    @property
    def machine_address(self) -> str:
        """Where pods reach what listens on this machine."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((self.node_address, 9))
            return str(probe.getsockname()[0])

    def service_url(self, key: Key) -> str:
        """Where this machine reaches a Service of type NodePort, at its first port."""
        get = ("get", "service", key.name, "-o", "jsonpath={.spec.ports[0].nodePort}")
        port = eventually(
            lambda: self.kubectl("-n", key.namespace, *get), within=30, what=f"{key}: a node port"
        )
        return f"http://{self.node_address}:{port}"

    def images(self) -> set[str]:
        """Names of the images in the node's containerd."""
        return set(tool("ctr", "--name", self.name, "--", "images", "ls", "-q").split())

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """kubectl's standard output; with ``check`` off, also its errors."""
        done = self.try_kubectl(*arguments, stdin=stdin)
        if not check:
            return done.stdout + done.stderr
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}:\n{done.stderr}"
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        """For programs that find kubectl on their path and mean this cluster."""
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig)}

    def try_kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """kubectl, whatever comes of it."""
        command = [str(self.bin / "kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments]
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, cwd=ROOT
        )

    def audit_lines(self) -> list[str]:
        """The API server's audit log so far, oldest first; also what it set aside for its size."""
        name = self.audit_log
        files = [*sorted(name.parent.glob(f"{name.stem}-*{name.suffix}")), name]
        lines = (line for file in files for line in file.read_text().splitlines())
        return [line for line in lines if line.endswith("}")]
