"""The local cluster itself: it starts, repairs itself, shares the machine and leaves no trace.

Clusters of others on this machine are left alone and ignored.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localcluster import gobuild, images, prerequisites
from localcluster.paths import cache_root, state_root
from localcluster.process import MARKER, pids, wait_until
from localcluster.record import Cluster, load
from support.cluster import LocalCluster, build_image

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a node needs root")

CLUSTER_PY = Path(sys.modules["localcluster"].__path__[0]).parent / "cluster.py"
DAEMONS = re.compile(
    r"^\S*(etcd|kubelet|kube-|containerd|runc|nsenter|unshare|metrics-server|kwok)"
)
FRESH = f"t-fresh{os.environ.get('CLUSTER_SUFFIX', '')}"
IMAGE = "t-hello:1"
REPETITIONS = 5 if os.environ.get("CHAOS") == "long" else 1
"""How often the whole machine is compared before and after; each time takes half a minute."""
FAMILY = "dual" if prerequisites.has_ipv6() else "ipv4"
TWO = ("--nodes", "2", "--ip-family", FAMILY, "--assigned-users")
"""A cluster of everything that this machine has."""
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "hello", "labels": {"app": "hello"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "hello", "image": IMAGE, "imagePullPolicy": "Never"}],
    },
}


@dataclass(frozen=True)
class Tool:
    """The command line for one cluster."""

    name: str

    def run(self, command: str, *arguments: str) -> str:
        done = self.try_run(command, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, CLUSTER_PY, command, "--name", self.name, *arguments],
            capture_output=True, text=True, check=False, timeout=280,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.try_run("status", "--json").stdout)
        return status

    @property
    def address(self) -> str:
        """Of the first node."""
        return str(self.status()["nodes"][0]["addresses"][0])

    def pids(self) -> dict[str, int]:
        return {c["name"]: c["pid"] for c in self.status()["components"]}

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        status = self.status()
        done = subprocess.run(
            [f"{status['bin']}/kubectl", f"--kubeconfig={status['kubeconfig']}", *arguments],
            capture_output=True, text=True, check=False, timeout=90, input=stdin,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run_a_pod(self, archive: Path) -> None:
        self.run("load-image", str(archive))
        self.kubectl("apply", "-f", "-", stdin=json.dumps(POD))
        self.kubectl("wait", "--for=condition=Ready", "pod/hello", "--timeout=60s")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image archive with one small program in it."""
    program = gobuild.ensure(gobuild.PAUSE, ["pause"]) / "pause"
    path = tmp_path_factory.mktemp("image") / "hello.tar"
    path.write_bytes(images.image_archive(program, f"docker.io/library/{IMAGE}"))
    return path


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The first image built on a machine, with which the builder and the base image come."""
    dockerfile = tmp_path_factory.mktemp("empty") / "Dockerfile.empty"
    dockerfile.write_text("ARG BASE_IMAGE=python:3.13-slim\nFROM ${BASE_IMAGE}\n")
    build_image("t-empty:1", dockerfile)


@pytest.fixture(scope="module")
def shared() -> Iterator[Tool]:
    """A running node, for tests that leave it healthy."""
    # Without a time limit: the first one on a machine installs packages and builds programs.
    cluster = LocalCluster.up("t-shared", "--profile", "node")
    yield Tool(cluster.name)
    cluster.down()


@pytest.fixture
def fresh(shared: Tool) -> Iterator[Tool]:
    """A cluster that the test makes and that is gone afterwards, whatever happened.

    Beside another one, with which all packages came that change the machine for good.
    """
    tool = Tool(FRESH)
    tool.run("down")
    yield tool
    tool.run("down")


def _output(*argv: str) -> list[str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return sorted(done.stdout.splitlines())


def _others() -> re.Pattern[str]:
    """What in a listing belongs to other clusters, which come and go as they like."""
    clusters = [load(path.name) for path in (state_root() / "clusters").iterdir()]
    found = [c for c in clusters if isinstance(c, Cluster) and c.name != FRESH]
    parts = [
        rf"\briskpred{c.index}\b|198\.18\.{c.index}\.|fd00:198:18:{c.index:x}\d\d:|{node.cgroup}\b"
        for c in found
        for node in c.nodes
    ]
    return re.compile("|".join([re.escape(str(cache_root() / "images")), *parts]))


def _machine() -> dict[str, list[str]]:
    """Everything of this machine that a node could have changed."""
    lists = {
        "links": _output("ip", "-brief", "link"),
        "addresses": _output("ip", "-brief", "address"),
        "routes": [
            line
            for family in ("-4", "-6")
            for line in _output("ip", family, "route", "show", "table", "all")
        ],
        "rules": _output("ip", "rule"),
        "mounts": [
            line.split(" ", 2)[2]
            for line in sorted(Path("/proc/self/mountinfo").read_text().splitlines())
        ],
        "packet filter": [
            re.sub(r"\[\d+:\d+\]", "", line)
            for program in ("iptables-save", "ip6tables-save")
            for line in _output(program)
            if not line.startswith("#")
        ],
        "control groups": sorted(
            str(path) for path in Path("/sys/fs/cgroup").rglob("riskpredictor*") if path.is_dir()
        ),
        "folders": sorted(
            str(path) for top in ("/run", "/var/lib", "/opt") for path in Path(top).iterdir()
        ),
        "settings": [
            f"{path}={path.read_text().strip()}"
            for path in (
                Path("/proc/sys/net/ipv4/ip_forward"),
                Path("/proc/sys/net/ipv6/conf/all/forwarding"),
                Path("/proc/sys/net/ipv4/conf/all/route_localnet"),
                Path("/proc/sys/kernel/hostname"),
            )
        ],
        "processes": _daemons(),
    }
    others = _others()
    return {
        name: [line for line in lines if not others.search(line)] for name, lines in lists.items()
    }


def _daemons() -> list[str]:
    """Command lines of cluster programs that do not belong to another cluster.

    Programs in containers have no mark of their cluster, but are in another process namespace.
    """
    mine = re.compile(rf"{MARKER}={re.escape(str(state_root() / 'clusters' / FRESH))}[/\0]")
    found = []
    for pid in pids():
        folder = Path("/proc", str(pid))
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (folder / "environ").read_bytes().decode(errors="replace")
            on_host = (folder / "ns/pid").readlink() == Path("/proc/self/ns/pid").readlink()
        except OSError:
            continue
        nobodys = on_host and f"{MARKER}=" not in environment and DAEMONS.match(command)
        if mine.search(environment) or nobodys:
            found.append(command)
    return sorted(found)


@pytest.mark.parametrize("options", [(), TWO], ids=["one node", "two nodes"])
@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_after_down_the_machine_is_as_before(
    fresh: Tool, archive: Path, repetition: int, options: tuple[str, ...]
) -> None:
    before = _machine()
    fresh.run("up", "--profile", "node", *options)
    fresh.run_a_pod(archive)
    assert _machine() != before
    fresh.run("down")
    assert _machine() == before
    assert not (state_root() / "clusters" / FRESH).exists()


@pytest.mark.parametrize("moment", ["logs/namespaces.log", "processes/kube-apiserver.json"])
def test_down_of_a_half_made_node_leaves_nothing(fresh: Tool, moment: str) -> None:
    before = _machine()
    with _interrupted_up(fresh, state_root() / "clusters" / fresh.name / moment):
        fresh.run("down")
    assert _machine() == before


@pytest.mark.parametrize("moment", ["logs/namespaces.log", "processes/etcd.json"])
def test_up_after_a_half_made_node_completes_it(fresh: Tool, moment: str) -> None:
    root = state_root() / "clusters" / fresh.name
    with _interrupted_up(fresh, root / moment):
        fresh.run("up", "--profile", "node")
    assert fresh.status()["running"]
    assert [command for command in _daemons() if command.startswith("sleep")] == ["sleep infinity "]


@contextmanager
def _interrupted_up(tool: Tool, until: Path) -> Iterator[None]:
    """``up``, killed as soon as a file exists."""
    with subprocess.Popen(
        [sys.executable, CLUSTER_PY, "up", "--name", tool.name, "--profile", "node"],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        assert wait_until(until.exists, 60, interval=0.005)
        process.kill()
    yield


def test_a_second_up_takes_seconds_and_restarts_nothing(shared: Tool) -> None:
    before = shared.pids()
    start = time.monotonic()
    shared.run("up", "--profile", "node")
    assert time.monotonic() - start < 30
    assert shared.pids() == before


@pytest.mark.parametrize(
    "component", ["etcd", "kube-apiserver", "kube-scheduler", "containerd", "kubelet"]
)
def test_up_repairs_a_killed_component_and_leaves_the_others(shared: Tool, component: str) -> None:
    before = shared.pids()
    os.kill(before[component], signal.SIGKILL)
    assert wait_until(lambda: not shared.status()["running"], 60)
    shared.run("up", "--profile", "node")
    after = shared.pids()
    assert shared.status()["running"]
    # Without the API server these may end, too; then they are started as well.
    changed = {name for name in before if before[name] != after[name]}
    assert component in changed
    assert changed <= {component, "kube-controller-manager", "kube-scheduler"}


def test_up_replaces_a_process_whose_number_was_lost(shared: Tool) -> None:
    before = shared.pids()["kube-apiserver"]
    Path(shared.status()["state"], "processes", "kube-apiserver.json").unlink()
    shared.run("up", "--profile", "node")
    assert shared.status()["running"]
    assert shared.pids()["kube-apiserver"] != before
    assert not Path(f"/proc/{before}").exists()


def test_up_repairs_a_node_whose_namespaces_died(shared: Tool, archive: Path) -> None:
    shared.run_a_pod(archive)
    os.kill(shared.status()["nodes"][0]["namespace_pid"], signal.SIGKILL)
    assert wait_until(lambda: not shared.status()["running"], 60)
    shared.run("up", "--profile", "node")
    shared.kubectl("wait", "--for=condition=Ready", "pod/hello", "--timeout=90s")


def test_components_can_be_stopped_and_started_on_purpose(shared: Tool) -> None:
    shared.run("stop", "metrics-server")
    stopped = {c["name"]: c["running"] for c in shared.status()["components"]}
    assert [name for name, running in stopped.items() if not running] == ["metrics-server"]
    assert shared.try_run("status").returncode == 3
    shared.run("start", "metrics-server")
    before = shared.pids()["metrics-server"]
    shared.run("restart", "metrics-server")
    assert shared.pids()["metrics-server"] != before
    assert shared.try_run("status").returncode == 0


def test_an_unknown_component_is_named_with_those_that_exist(shared: Tool) -> None:
    done = shared.try_run("restart", "kubelett")
    assert done.returncode == 1
    assert "no component 'kubelett'" in done.stderr
    assert "kubelet, kube-proxy" in done.stderr


def test_two_nodes_live_side_by_side(shared: Tool, fresh: Tool, archive: Path) -> None:
    fresh.run("up", "--profile", "node")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hello"},
        "spec": {
            "type": "NodePort",
            "selector": {"app": "hello"},
            "ports": [{"port": 80, "nodePort": 30123}],
        },
    }
    for tool in (shared, fresh):
        tool.run_a_pod(archive)
        tool.kubectl("apply", "-f", "-", stdin=json.dumps(service))
    assert shared.address != fresh.address
    pods = json.loads(fresh.kubectl("get", "nodes", "-o", "json"))["items"]
    assert [pod["metadata"]["name"] for pod in pods] == [f"{FRESH}-node"]
    before = shared.pids()
    fresh.run("down")
    assert shared.pids() == before
    assert shared.status()["running"]
    assert shared.kubectl("get", "pod", "hello", "-o", "jsonpath={.status.phase}") == "Running"


def test_a_control_plane_lives_beside_a_node(shared: Tool, fresh: Tool) -> None:
    fresh.run("up", "--profile", "control-plane", "--kwok", "2")
    fresh.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")
    fresh.kubectl("create", "deployment", "x", "--image=never-pulled", "--replicas=3")
    fresh.kubectl("rollout", "status", "deployment/x", "--timeout=60s")
    assert fresh.status()["api_server"].startswith("https://127.0.0.1:")
    wrong = fresh.try_run("up", "--profile", "node")
    assert wrong.returncode == 1
    assert "exists with profile control-plane" in wrong.stderr
    assert shared.status()["running"]


def test_nothing_leads_out_of_the_node(shared: Tool) -> None:
    routes = shared.run("exec", "--", "ip", "route")
    assert "default" not in routes
    outside = shared.try_run("exec", "--", "ip", "route", "get", "198.51.100.1")
    assert outside.returncode != 0
    assert "unreachable" in outside.stderr


def test_metrics_of_the_node_are_served(shared: Tool) -> None:
    def served() -> bool:
        try:
            found = shared.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes")
        except AssertionError:
            # 503, as long as metrics-server starts.
            return False
        return bool(json.loads(found)["items"])

    assert wait_until(served, 180, interval=2)


def test_the_audit_log_tells_who_did_what(shared: Tool) -> None:
    shared.kubectl("create", "configmap", "t-audit")
    shared.kubectl("delete", "configmap", "t-audit")
    log = Path(shared.status()["audit_log"]).read_text()
    entries = [json.loads(line) for line in log.splitlines()]
    verbs = [
        entry["verb"]
        for entry in entries
        if entry["user"]["username"] == "kubernetes-admin"
        and entry.get("objectRef", {}).get("name") == "t-audit"
    ]
    assert "delete" in verbs
    reads = {"get", "list", "watch"}
    assert not any(
        entry["verb"] in reads and "system:nodes" in entry["user"]["groups"] for entry in entries
    )


@pytest.mark.usefixtures("builder")
def test_a_second_node_comes_to_a_running_one_and_their_pods_reach_each_other(fresh: Tool) -> None:
    fresh.run("up", "--profile", "node", "--ip-family", FAMILY)
    before = fresh.pids()
    fresh.run("up", "--profile", "node", "--nodes", "2")
    after = fresh.pids()
    assert set(after) - set(before) == {"containerd-2", "kubelet-2", "kube-proxy-2"}
    assert before.items() <= after.items()
    fresh.run("load-image", "t-empty:1")
    names = [node["name"] for node in fresh.status()["nodes"]]
    for name, node in zip(("one", "word"), names, strict=True):
        fresh.kubectl("apply", "-f", "-", stdin=json.dumps(_server(name, node)))
    fresh.kubectl("apply", "-f", "-", stdin=json.dumps(SERVICE))
    fresh.kubectl("wait", "--for=condition=Ready", "pod/one", "pod/word", "--timeout=90s")
    (one,) = json.loads(fresh.kubectl("get", "pods", "-l", "app=one", "-o", "json"))["items"]
    pods = [entry["ip"] for entry in one["status"]["podIPs"]]
    services = json.loads(fresh.kubectl("get", "services", "-l", "app=one", "-o", "json"))["items"]
    addresses = [*pods, *(address for s in services for address in s["spec"]["clusterIPs"])]
    assert [":" in address for address in addresses] == (
        [False, True] * 2 if FAMILY == "dual" else [False] * 2
    )
    for address in addresses:
        assert _in_pod(fresh, CONNECT.format(address=address, port=80)) == "connected", address
    assert _in_pod(fresh, CONNECT.format(address="10.96.0.1", port=443)) == "connected"
    for outside in (fresh.address.removesuffix("2") + "1", "198.51.100.1", "2001:db8::1"):
        assert _in_pod(fresh, CONNECT.format(address=outside, port=22)) == "refused at once"


def _server(name: str, node: str) -> dict[str, Any]:
    """A pod on a node that answers connections of both families."""
    command = ["python3", "-m", "http.server", "--bind", "::", "80"]
    container = {
        "name": "server", "image": "t-empty:1", "imagePullPolicy": "Never", "command": command,
        "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container],
        },
    }  # fmt: skip


SERVICE = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "one", "labels": {"app": "one"}},
    "spec": {
        "ipFamilyPolicy": "PreferDualStack", "selector": {"app": "one"}, "ports": [{"port": 80}],
    },
}  # fmt: skip


@pytest.mark.usefixtures("builder")
def test_a_dockerfile_becomes_a_running_pod(shared: Tool, tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile.x"
    dockerfile.write_text(
        "ARG BASE_IMAGE=python:3.13-slim\n"
        "FROM ${BASE_IMAGE}\n"
        "ARG WORD=none\n"
        'RUN python3 -c "import sys; assert sys.version_info >= (3, 11)" && python3 -m venv /v\n'
        "ENV WORD=${WORD}\n"
        'CMD ["python3", "-c", "import os, time; print(os.environ[\'WORD\'], flush=True); '
        'time.sleep(600)"]\n'
    )
    command = [sys.executable, str(CLUSTER_PY), "build-image", "--tag=t-word:1"]
    options = [f"--file={dockerfile}", f"--context={tmp_path}", "--build-arg=WORD=spoken"]
    subprocess.run([*command, *options], check=True, timeout=280)
    shared.run("load-image", "t-word:1")
    shared.kubectl("run", "word", "--image=t-word:1", "--image-pull-policy=Never")
    shared.kubectl("wait", "--for=condition=Ready", "pod/word", "--timeout=60s")
    assert shared.kubectl("logs", "word") == "spoken\n"
    # The image must not contain how this machine reaches packages.
    settings = (
        "from pathlib import Path; p = Path('/etc/pip.conf'); print(p.exists() and p.read_text())"
    )
    assert _in_pod(shared, settings) in {"", "False"}
    assert _in_pod(shared, CONNECT.format(address="10.96.0.1", port=443)) == "connected"
    # Pods reach neither the host nor anything beyond it.
    host = shared.address.removesuffix("2") + "1"
    assert _in_pod(shared, CONNECT.format(address=host, port=22)) == "refused at once"
    assert _in_pod(shared, CONNECT.format(address="198.51.100.1", port=80)) == "refused at once"
    shared.kubectl("delete", "pod", "word", "--grace-period=0", "--force")


CONNECT = """
import socket, time
start = time.monotonic()
try:
    socket.create_connection(("{address}", {port}), timeout=5)
    print("connected")
except OSError:
    print("refused at once" if time.monotonic() - start < 2 else "no answer")
"""


def _in_pod(tool: Tool, code: str) -> str:
    return tool.kubectl("exec", "word", "--", "python3", "-c", code).strip()
