"""Processes are recognised, marked and ended; a reused number is nobody we know."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster import cgroups, namespace
from localcluster.console import ClusterError
from localcluster.process import Running, child_of, marked, marked_running, spawn, wait_until
from localcluster.run import file_lock, run_logged, tail


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Running]:
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    process = spawn(["sleep", "60"], tmp_path / "log", marker=cluster)
    running = Running.of(process.pid)
    assert running is not None
    # The kernel shows a new program's environment a moment after the program has begun.
    assert wait_until(lambda: Path(f"/proc/{process.pid}/environ").read_bytes() != b"", 5)
    yield running
    process.kill()
    process.wait()


def test_a_process_is_remembered_and_found_again(sleeper: Running, tmp_path: Path) -> None:
    sleeper.save(tmp_path / "p.json")
    assert Running.load(tmp_path / "p.json") == sleeper


def test_a_process_that_is_ending_has_no_namespaces_to_enter() -> None:
    ending = subprocess.Popen(["true"])
    stat = Path(f"/proc/{ending.pid}/stat")
    try:
        assert wait_until(lambda: ") Z " in stat.read_text(), 5), "ended, not yet waited for"
        assert not namespace.has_namespaces(ending.pid)
        assert namespace.has_namespaces(os.getpid())
    finally:
        ending.wait()


def test_the_same_number_with_another_start_time_is_another_process(
    sleeper: Running, tmp_path: Path
) -> None:
    other = replace(sleeper, started=sleeper.started - 1)
    other.save(tmp_path / "p.json")
    assert Running.load(tmp_path / "p.json") is None
    other.kill(signal.SIGKILL)
    assert sleeper.alive()


def test_a_stopped_process_is_gone(sleeper: Running, tmp_path: Path) -> None:
    sleeper.save(tmp_path / "p.json")
    sleeper.stop()
    assert not sleeper.alive()
    assert Running.load(tmp_path / "p.json") is None


def test_a_process_that_does_not_listen_is_ended(tmp_path: Path) -> None:
    # One process: a child would outlive it.
    script = "trap '' TERM; echo ready; exec sleep 60"
    process = spawn(["sh", "-c", script], tmp_path / "log", marker=tmp_path)
    running = Running.of(process.pid)
    assert running is not None
    assert wait_until(lambda: "ready" in (tmp_path / "log").read_text(), 5)
    running.stop(grace=0.3)
    assert not running.alive()
    process.wait()


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}'])
def test_a_damaged_note_is_no_process(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    assert Running.load(tmp_path / "p.json") is None


def test_what_a_cluster_started_is_found_by_its_mark(sleeper: Running, tmp_path: Path) -> None:
    assert [process.pid for process in marked(tmp_path / "cluster")] == [sleeper.pid]
    assert [process.pid for process in marked(tmp_path)] == [sleeper.pid]
    assert marked(tmp_path / "other") == []
    assert marked(tmp_path / "cluste") == []


def test_a_process_that_nobody_noted_is_found_by_mark_and_command(
    sleeper: Running, tmp_path: Path
) -> None:
    assert marked_running(tmp_path, ["sleep", "60"]) == [sleeper]
    assert marked_running(tmp_path, ["sleep"]) == []
    assert marked_running(tmp_path / "other", ["sleep", "60"]) == []


def test_the_user_s_environment_does_not_reach_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "scheme://proxy")
    spawn(["env"], tmp_path / "log", marker=tmp_path).wait()
    assert "HTTPS_PROXY" not in (tmp_path / "log").read_text()
    assert f"RISKPREDICTOR_CLUSTER={tmp_path}" in (tmp_path / "log").read_text()


def test_the_process_behind_a_wrapper_is_found(tmp_path: Path) -> None:
    wrapper = spawn(["sh", "-c", "sleep 60; :"], tmp_path / "log", marker=tmp_path)
    try:
        child = child_of(wrapper.pid)
        assert child is not None
        # At first it is still a copy of the wrapper.
        assert wait_until(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n", 5)
    finally:
        for process in marked(tmp_path):
            process.kill(signal.SIGKILL)
        wrapper.wait()


def test_a_wrapper_that_ends_has_no_process_behind_it(tmp_path: Path) -> None:
    wrapper = spawn(["false"], tmp_path / "log", marker=tmp_path)
    assert child_of(wrapper.pid) is None
    wrapper.wait()


def test_a_lock_is_held_against_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from localcluster.run import file_lock\n"
        "with file_lock(Path(sys.argv[1]), 'it'):\n    print('held', flush=True); input()"
    )
    package = Path(sys.modules["localcluster"].__path__[0]).parent
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "lock")],
        env={"PYTHONPATH": str(package)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        refused = pytest.raises(ClusterError, match="another process has held it")
        with refused, file_lock(tmp_path / "lock", "it", timeout=0.1):
            pass
        holder.communicate(b"\n")
    with file_lock(tmp_path / "lock", "it", timeout=0.1):
        pass


def test_a_failed_long_step_shows_the_end_of_its_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(ClusterError, match=r"doing failed with exit code 3:\n    last words"):
        run_logged("doing", ["sh", "-c", "echo last words; exit 3"], log)


def test_the_tail_of_a_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(f"line {number}" for number in range(100)))
    assert tail(log, lines=2) == "    line 98\n    line 99"
    assert "no log at" in tail(tmp_path / "absent")


def test_control_group_mounts_of_both_versions_are_read() -> None:
    mountinfo = (
        "26 25 0:23 / / rw - ext4 /dev/vda rw\n"
        "30 26 0:27 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n"
        "31 26 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    )
    assert cgroups.hierarchies(mountinfo) == [
        ("cgroup", Path("/sys/fs/cgroup/cpu")),
        ("cgroup2", Path("/sys/fs/cgroup/unified")),
    ]
