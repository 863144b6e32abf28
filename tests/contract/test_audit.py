"""make audit against records of our own: what is vulnerable fails, and so does what is unknown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.cluster import ROOT

pytestmark = pytest.mark.usefixtures("audit_tools")

HASH = "0" * 64
LOCK = f"""\
some-package==1.4.2 ; python_full_version < '3.12' \\
    --hash=sha256:{HASH}
some-package==2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:{HASH}
sound==1.0 \\
    --hash=sha256:{HASH}
"""


def record(name: str = "Some_Package", ecosystem: str = "PyPI", **affected: Any) -> dict[str, Any]:
    """An advisory in the OSV format."""
    return {
        "id": "PYSEC-2026-1",
        "details": "It is bad.",
        "modified": "2026-01-01T00:00:00Z",
        "published": "2026-01-01T00:00:00Z",
        "affected": [{"package": {"name": name, "ecosystem": ecosystem}, **affected}],
    }


def span(*events: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


def audit(
    folder: Path, *records: dict[str, Any], lock: str = LOCK
) -> subprocess.CompletedProcess[str]:
    """What make audit ADVISORIES=folder says of a lock file."""
    (folder / "records").mkdir()
    for number, one in enumerate(records):
        (folder / "records" / f"{number}.json").write_text(json.dumps(one))
    (folder / "requirements.lock").write_text(lock)
    return _run("--advisories", folder / "records", folder / "requirements.lock")


def _run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "release.audit", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT / "tools", env={**os.environ, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


VULNERABLE = {
    "a version that is listed": record(versions=["1.4.2"]),
    "one of the other Python": record(versions=["2.0"]),
    "never mended": record(**span({"introduced": "0"})),
    "mended later": record(**span({"introduced": "1.0"}, {"fixed": "1.10"})),
    "the last one": record(**span({"introduced": "0"}, {"last_affected": "1.4.2"})),
    "back again": record(**span({"introduced": "0"}, {"fixed": "0.5"}, {"introduced": "1.4.0"})),
}
SOUND = {
    "mended before": record(**span({"introduced": "0"}, {"fixed": "1.4.2"})),
    "came later": record(**span({"introduced": "2.0.1"})),
    "the last one was before": record(**span({"introduced": "0"}, {"last_affected": "1.4.1"})),
    "of another language": record(ecosystem="npm", versions=["1.4.2"]),
    "of another package": record(name="some-package-2", versions=["1.4.2"]),
    "withdrawn": {**record(versions=["1.4.2"]), "withdrawn": "2026-02-01T00:00:00Z"},
}


@pytest.mark.parametrize("advisory", VULNERABLE.values(), ids=VULNERABLE)
def test_a_known_vulnerability_fails_and_is_named(advisory: Any, tmp_path: Path) -> None:
    done = audit(tmp_path, advisory)
    assert done.returncode == 1
    assert "PYSEC-2026-1" in done.stdout
    assert "some-package" in done.stdout
    assert "Nothing was proved" not in done.stderr


@pytest.mark.parametrize("advisory", SOUND.values(), ids=SOUND)
def test_what_does_not_concern_a_locked_version_passes(advisory: Any, tmp_path: Path) -> None:
    done = audit(tmp_path, advisory)
    assert done.returncode == 0, done.stdout + done.stderr


def test_records_in_yaml_are_read_too(tmp_path: Path) -> None:
    folder = tmp_path / "records" / "vulns"
    folder.mkdir(parents=True)
    # JSON is YAML.
    (folder / "PYSEC-2026-1.yaml").write_text(json.dumps(record(versions=["1.4.2"]), indent=1))
    (tmp_path / "requirements.lock").write_text(LOCK)
    done = _run("--advisories", tmp_path / "records", tmp_path / "requirements.lock")
    assert "PYSEC-2026-1" in done.stdout


def test_a_folder_without_advisories_is_no_pass(tmp_path: Path) -> None:
    done = audit(tmp_path)
    assert done.returncode == 1
    assert "holds no advisories" in done.stderr


def test_a_service_out_of_reach_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text(LOCK)
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = _run(tmp_path / "requirements.lock", **nowhere)
    assert done.returncode == 1
    assert "Nothing was proved" in done.stderr
    assert "ADVISORIES=" in done.stderr


@pytest.mark.parametrize(
    ("lock", "says"),
    [
        (f"some-package>=1 --hash=sha256:{HASH}\n", "is no NAME==VERSION"),
        ("some-package==1.0\n", "has no --hash=sha256"),
        (f"some-package @ file:///x --hash=sha256:{HASH}\n", "is no NAME==VERSION"),
    ],
    ids=["a range", "no hash", "a place"],
)
def test_a_lock_that_locks_nothing_is_refused(lock: str, says: str, tmp_path: Path) -> None:
    done = audit(tmp_path, record(versions=["1"]), lock=lock)
    assert done.returncode == 1
    assert says in done.stderr
