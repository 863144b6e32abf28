"""Predictor and kubectl plug-in without what only Unix has, as far as Linux can show that."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from unit.kubectl import bodies
from unit.predictor.support import HEALTHY, ServerProcess, artifact

from support.cluster import ROOT

RUN = [
    sys.executable,
    "-P",
    "-X",
    "warn_default_encoding",
    str(ROOT / "tests/support/without_unix.py"),
]
PRODUCTS = {
    "riskpredictor_server": ROOT / "predictor",
    "riskpredictor_kubectl": ROOT / "tools/kubectl",
}
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PRODUCTS.values()))}


def run(module: str, *arguments: str, encoding: str = "cp1252", **environment: str) -> str:
    """What a module prints; ``encoding`` is that of Windows's code page."""
    done = subprocess.run(
        [*RUN, module, *arguments],
        env={**ENVIRONMENT, "PYTHONIOENCODING": encoding, **environment},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return done.stdout.decode("utf-8")


@pytest.mark.parametrize("package", PRODUCTS)
def test_every_module_can_be_imported(package: str) -> None:
    folder = PRODUCTS[package]
    modules = [
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in sorted(folder.glob("riskpredictor_*/**/*.py"))
    ]
    assert len(modules) > 20
    # wsgi.py loads a model at import, and logs it.
    serving = {"RISKPREDICTOR_MODEL": str(artifact()), "RISKPREDICTOR_LOG_LEVEL": "error"}
    run(",".join(modules), **serving)


def test_a_model_is_trained_and_is_the_same(tmp_path: Path) -> None:
    run("riskpredictor_server.train", "--model-version=v1", f"--out={tmp_path}", encoding="ascii")
    for name in ("card.json", "scorer.json"):
        assert (tmp_path / name).read_bytes() == (artifact() / name).read_bytes()


def test_the_predictor_starts_answers_and_ends() -> None:
    with ServerProcess(launcher=RUN, access_log="on", audit_log="on") as server:
        assert server.get("/health").status == 200
        assert server.post("/predict", HEALTHY).json()["risk_level"] == "Low"
        assert server.get("/").status == 200
        assert server.get("/metrics").status == 200
        server.terminate()
        assert server.process.wait(15) == 0
        assert "Traceback" not in server.log()
        assert "Warning" not in server.log()


class Cluster(http.server.BaseHTTPRequestHandler):
    """An API server that has a RiskPredictor with its Service, and nothing else."""

    def do_GET(self) -> None:
        *_, last = self.path.partition("?")[0].split("/")
        body: bodies.Body | None = {"metadata": {}, "items": []}
        if last == "risk":
            kind = self.path.split("/")[-2]
            body = {"riskpredictors": bodies.ready(), "services": bodies.child({})}.get(kind)
        data = json.dumps(body or {"reason": "NotFound", "message": '"risk" not found'}).encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def kubeconfig(folder: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cluster) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        path = folder / "config"
        path.write_text(
            "{current-context: x, contexts: [{name: x, context: {cluster: x, user: x,"
            " namespace: ward}}], users: [{name: x, user: {}}],"
            f" clusters: [{{name: x, cluster: {{server: 'http://127.0.0.1:{server.server_port}'}}}}]}}"
        )
        try:
            yield f"--kubeconfig={path}"
        finally:
            server.shutdown()
            thread.join()


def test_the_plugin_shows_and_predicts(tmp_path: Path) -> None:
    """Also what the code page lacks, as the lines of a tree."""
    assert "Commands:" in run("riskpredictor_kubectl", "--help")
    patients = tmp_path / "patients.csv"
    patients.write_text(
        "ward,heart_rate,blood_pressure,temperature,oxygen_level\nŁódź,85,120,98.6,97\n"
    )
    with kubeconfig(tmp_path) as config, ServerProcess() as predictor:
        told = run("riskpredictor_kubectl", "status", "risk", config)
        assert "├─Deployment/risk" in told
        kubectl = tmp_path / "kubectl"
        kubectl.write_text(
            f"#!/bin/sh\necho 'Forwarding from 127.0.0.1:{predictor.port} -> 5000'\nexec sleep 60\n"
        )
        kubectl.chmod(0o755)
        told = run(
            "riskpredictor_kubectl", "predict", "risk", f"--csv={patients}", "-o", "csv", config,
            PATH=f"{tmp_path}:{os.environ['PATH']}",
        )  # fmt: skip
        assert "Łódź,85,120,98.6,97,Low" in told


@pytest.mark.parametrize("path", sorted(ROOT.glob("**/requirements*.lock")), ids=lambda p: p.name)
def test_locks_have_no_package_that_cannot_be_installed_elsewhere(path: Path) -> None:
    """Of those that exist for some systems only, the lock says for which."""
    lines = [line for line in path.read_text().splitlines() if "==" in line]
    for requirement in (Requirement(line.partition("\\")[0]) for line in lines):
        if requirement.name in ("uvloop", "colorama", "pywin32", "winloop"):
            assert requirement.marker, requirement
            wanted = requirement.name != "uvloop"
            for system, name in (("win32", "nt"), ("linux", "posix")):
                environment = {"sys_platform": system, "os_name": name, "platform_system": system}
                if requirement.marker.evaluate(environment):
                    assert wanted == (system == "win32"), requirement
