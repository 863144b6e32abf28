"""Argo CD, built from source: its application controller, repo server and Redis as processes."""

from __future__ import annotations

import os
import random
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import yaml

from localcluster.gobuild import GoModule, ensure
from riskpredictor_operator.kube import Key, Resource
from support import debian, kinds
from support.api import Api, Body, eventually
from support.cluster import ROOT, LocalCluster
from support.repository import Repository

PROGRAMS = GoModule(
    "argocd",
    "github.com/argoproj/argo-cd/v3",
    "riskpredictor.local/",
    tools=ROOT / "tests" / "tools",
)
NAMESPACE = "argocd"
APPLICATION = Resource("argoproj.io", "v1alpha1", "applications", "Application")
PROJECT = Resource("argoproj.io", "v1alpha1", "appprojects", "AppProject")
_ANYTHING = {
    "sourceRepos": ["*"],
    "destinations": [{"namespace": "*", "server": "*"}],
    "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
}
"""The project ``default`` of an Argo CD that was just installed."""


def redis() -> str:
    """Path of the cache that its programs share.

    The server and the checker of its files are one program, which the name decides. Its package
    brings no service that would start, unlike that of the server.
    """
    return debian.ensure("redis-check-rdb", "redis-tools")


def install_kinds(cluster: LocalCluster) -> None:
    """Its CRDs."""
    crds = kinds.of(PROGRAMS).folder() / "manifests" / "crds"
    for file, kind in (("application", APPLICATION), ("appproject", PROJECT)):
        kinds.install(cluster, crds / f"{file}-crd.yaml", f"{kind.plural}.{kind.group}")


def install(cluster: LocalCluster, api: Api) -> None:
    """What an installation has before its programs start: CRDs, settings, the default project."""
    install_kinds(cluster)
    cluster.kubectl("create", "namespace", NAMESPACE)
    settings = kinds.of(PROGRAMS).folder() / "manifests" / "base" / "config"
    cluster.kubectl("apply", "--namespace", NAMESPACE, "--kustomize", str(settings))
    # The web interface makes this key; without it the controller does not follow its settings.
    key = '{"stringData": {"server.secretkey": "of-a-test"}}'
    cluster.kubectl("patch", "--namespace", NAMESPACE, "secret/argocd-secret", "--patch", key)
    metadata = {"namespace": NAMESPACE, "name": "default"}
    api.create(PROJECT, {"metadata": metadata, "spec": _ANYTHING})


@contextmanager
def running(cluster: LocalCluster, folder: Path) -> Iterator[None]:
    """Argo CD at work, with an administrator's rights as it has them."""
    program = ensure(PROGRAMS, ["argocd"]) / "argocd"
    names = ("argocd-application-controller", "argocd-repo-server", "kustomize")
    for name in names:
        (folder / name).symlink_to(program)
    (folder / "redis-server").symlink_to(redis())
    cache, repositories, *metrics = _free_ports(4)
    environment = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "KUBECONFIG": str(cluster.kubeconfig),
        "ARGOCD_FAKE_IN_CLUSTER": "true",  # the cluster it runs in is the kubeconfig's
        "ARGOCD_GPG_ENABLED": "false",
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    for data in ("TLS", "SSH"):
        environment[f"ARGOCD_{data}_DATA_PATH"] = str(folder)
    use_cache = f"--redis=127.0.0.1:{cache}"
    commands: tuple[list[str | Path], ...] = (
        [folder / "redis-server", "--bind", "127.0.0.1", "--port", str(cache), "--save", "",
         "--dir", str(folder)],
        [folder / names[1], use_cache, "--disable-tls", "--address=127.0.0.1",
         f"--port={repositories}", "--metrics-address=127.0.0.1", f"--metrics-port={metrics[0]}"],
        [folder / names[0], use_cache, "--repo-server-plaintext", f"--namespace={NAMESPACE}",
         f"--repo-server=127.0.0.1:{repositories}", f"--metrics-port={metrics[1]}"],
    )  # fmt: skip
    log = folder / "argocd.log"
    with ExitStack() as stack:
        processes = [stack.enter_context(_process(each, environment, log)) for each in commands]

        def all_run() -> bool:
            assert [each.poll() for each in processes] == [None] * 3, log.read_text()[-2000:]
            return True

        ports = (cache, repositories, metrics[1])
        eventually(lambda: all_run() and all(map(_listens, ports)), within=60, every=0.1)
        yield
        all_run()


def _free_ports(count: int) -> list[int]:
    """Below those that the system gives to connections, which would take one in the meantime."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            probe, port = socket.socket(), random.randrange(12_000, 20_000)
            stack.callback(probe.close)
            with suppress(OSError):
                probe.bind(("0.0.0.0", port))
                found.append(port)
        return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _process(
    command: list[str | Path], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("a") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


class Delivery:
    """An Application of the example, at work on a repository of the test's own."""

    def __init__(self, api: Api, repository: Repository, shipped: Path, name: str) -> None:
        """Declare it as it is shipped, but for its name and the address of the repository.

        Args:
            api: the administrator's view.
            repository: what it deploys.
            shipped: the file.
            name: of the Application.
        """
        body = yaml.safe_load(shipped.read_text())
        body["metadata"]["name"] = name
        body["spec"]["source"]["repoURL"] = f"file://{repository.folder}"
        self._api = api
        self._repository = repository
        self.key = Key(NAMESPACE, name)
        api.create(APPLICATION, body)

    def body(self) -> Body:
        """The Application as it is now."""
        return self._api.need(APPLICATION, self.key)

    def refresh(self) -> None:
        """Have it look at the repository now, as a webhook would."""
        marks = {"argocd.argoproj.io/refresh": "normal"}
        self._api.patch(APPLICATION, self.key, {"metadata": {"annotations": marks}})

    def wait(self, health: str = "Healthy", sync: str = "Synced") -> Body:
        """Wait until it has compared the last commit, with this result."""
        revision = self._repository.git("rev-parse", "HEAD").strip()
        self.refresh()

        def check() -> Body | None:
            body = self.body()
            found = state(body)
            return body if found == (health, sync, revision) else None

        what = f"{self.key.name} is {health}, {sync} at {revision}"
        found = eventually(check, within=90, every=0.1, what=what)
        assert found is not None
        return found

    def end(self, *, cascade: bool = False) -> None:
        """Delete it if it is there; with ``cascade``, with all that it deployed."""
        if self._api.get(APPLICATION, self.key) is None:
            return
        if cascade:
            finalizers = {"finalizers": ["resources-finalizer.argocd.argoproj.io"]}
            self._api.patch(APPLICATION, self.key, {"metadata": finalizers})
        self._api.delete(APPLICATION, self.key)


def state(body: Body) -> tuple[str, str, str]:
    """An Application's health and sync status, and the revision that these are about."""
    status = body.get("status") or {}
    sync = status.get("sync") or {}
    health = (status.get("health") or {}).get("status", "")
    return health, sync.get("status", ""), sync.get("revision", "")


def resources(body: Body) -> dict[tuple[str, str], Body]:
    """What an Application says about each of its objects, by kind and name."""
    found = (body.get("status") or {}).get("resources") or ()
    return {(each["kind"], each["name"]): each for each in found}
