"""make audit: what is vulnerable fails, and so does what could not be looked up."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from release.audit import lock_files, one_version_each
from support.cluster import ROOT

pytestmark = pytest.mark.usefixtures("audit_tools")

ADVISORY = {
    "id": "PYSEC-2026-1",
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "flask", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
        }
    ],
}


class AdvisoryService(BaseHTTPRequestHandler):
    """Answers like osv.dev; knows of one vulnerable package, or of none."""

    vulnerable = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = asked["package"]["name"] == self.vulnerable
        body = json.dumps({"vulns": [ADVISORY]} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), AdvisoryService) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audit(url: str, cache: object) -> subprocess.CompletedProcess[str]:
    """What make audit says."""
    arguments = f"ARGS=-s osv --osv-url {url} --cache-dir {cache}"
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return subprocess.run(
        ["make", "audit", arguments], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_a_known_vulnerability_fails_and_is_named_with_the_version_that_fixes_it(
    service: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AdvisoryService, "vulnerable", "flask")
    done = audit(service, tmp_path)
    assert done.returncode != 0
    (line,) = [line.split() for line in done.stdout.splitlines() if line.startswith("flask ")]
    assert (line[0], line[2], line[3]) == ("flask", "PYSEC-2026-1", "99.1")
    assert "not audited" not in done.stderr


def test_sound_packages_pass(service: str, tmp_path: object) -> None:
    done = audit(service, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_service_out_of_reach_is_no_pass_and_names_the_next_step(tmp_path: object) -> None:
    done = audit("http://127.0.0.1:9/v1/query", tmp_path)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert said[0].startswith("not audited: ")
    assert 'ARGS="-s osv' in said[0]


def test_every_pin_of_every_lock_file_is_audited_whatever_python_it_is_for() -> None:
    locks = [lock.read_text() for lock in lock_files()]
    lists = one_version_each(locks)
    pins = {(name, version) for pick in lists for name, version in pick.items()}
    assert len([name for name, _ in pins if name == "numpy"]) == 2
    for text in locks:
        for line in text.splitlines():
            if "==" in line.split(";")[0]:
                name, version = line.split(";")[0].strip(" \\").split("==")
                assert (name.split("[")[0], version) in pins
