"""A machine that cannot do it says what it could do instead."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import support.debian
from localcluster import debian, prerequisites
from localcluster.console import ClusterError
from localcluster.record import Options


def test_not_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ClusterError, match="needs Linux, and this is darwin") as raised:
        prerequisites.check(Options("control-plane"))
    assert "CLUSTER=current CONTEXT=name" in raised.value.hint
    assert "CLUSTER=kind" in raised.value.hint


def test_a_node_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="a node needs root") as raised:
        prerequisites.check(Options())
    for way in ("sudo", "--profile control-plane", "CLUSTER=current", "CLUSTER=kind"):
        assert way in raised.value.hint


def test_neither_go_nor_built_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ClusterError, match="`go` was not found") as raised:
        prerequisites.check(Options("control-plane"))
    assert "CLUSTER=kind" in raised.value.hint


def test_a_control_plane_needs_no_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "go").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    prerequisites.check(Options("control-plane"))


@pytest.mark.parametrize("state", ["1\n", None], ids=["switched off", "not in the kernel"])
def test_ipv6_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str | None
) -> None:
    setting = tmp_path / "disable_ipv6"
    if state is not None:
        setting.write_text(state)
    monkeypatch.setattr(prerequisites, "_IPV6", setting)
    with pytest.raises(ClusterError, match="--ip-family dual: this machine has no IPv6") as raised:
        prerequisites.check(Options("control-plane", ip_family="dual"))
    assert "sysctl net.ipv6.conf.all.disable_ipv6=0" in raised.value.hint


def test_missing_packages_without_root_give_the_line_to_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(debian, "find", lambda program: None if program == "etcd" else "/bin/x")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(ClusterError, match="packages are missing: etcd-server") as raised:
        debian.ensure(debian.CONTROL_PLANE)
    assert raised.value.hint == (
        "run as root: apt-get update && apt-get install --no-install-recommends etcd-server"
    )


def test_no_apt_on_this_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "find", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ClusterError, match="containernetworking-plugins") as raised:
        debian.ensure(debian.NODE)
    assert "package manager" in raised.value.hint


def test_a_package_is_missing_once_however_many_of_its_programs_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(debian, "find", lambda _: None)
    assert debian.missing_packages({"b": "two", "a": "one", "c": "two"}) == ["one", "two"]


def test_packages_start_no_services_and_the_ban_ends_with_the_installation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(debian, "_POLICY", policy)
    seen = []

    def fail() -> None:
        seen.append((policy.read_text().endswith("exit 101\n"), os.access(policy, os.X_OK)))
        raise ClusterError("the installation failed")

    with pytest.raises(ClusterError), debian.no_services_started():
        fail()
    assert seen == [(True, True)]
    assert not policy.exists()


def test_what_tests_install_starts_no_services_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """HAProxy's package would start a proxy on a developer's machine."""
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(debian, "_POLICY", policy)
    monkeypatch.setattr(debian, "cache_root", lambda: tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    seen = {}

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        seen["install" if "install" in command else "update"] = policy.exists()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    support.debian._install("haproxy")
    assert seen["install"]
    assert not policy.exists()


def test_two_processes_that_need_a_package_unpack_it_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(support.debian, "cache_root", lambda: tmp_path)
    unpacked = []

    def unpack(package: str, home: Path) -> None:
        unpacked.append(package)
        time.sleep(0.5)
        (home / "usr").mkdir(parents=True)

    monkeypatch.setattr(support.debian, "_unpack", unpack)
    with ThreadPoolExecutor(2) as pool:
        homes = list(pool.map(support.debian.unpacked, ["nginx", "nginx"]))
    assert (homes, unpacked) == ([tmp_path / "nginx"] * 2, ["nginx"])


def test_a_policy_of_the_machine_s_own_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101 # mine\n")
    monkeypatch.setattr(debian, "_POLICY", policy)
    with debian.no_services_started():
        pass
    assert policy.read_text() == "#!/bin/sh\nexit 101 # mine\n"


def test_a_source_that_cannot_be_updated_does_not_stop_the_installation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    titles = []

    def run(title: str, *_: object, **__: object) -> None:
        titles.append(title)
        if title == "apt-get update":
            raise ClusterError("a source is gone")

    monkeypatch.setattr(debian, "run_logged", run)
    debian._install(["etcd-server"])
    assert titles == ["apt-get update", "installing etcd-server"]
