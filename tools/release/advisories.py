"""Answers a vulnerability scanner from a folder of advisories, where no such service is in reach.

The folder holds records in the OSV format, one a file, as YAML or JSON: a checkout of the Python
Packaging Advisory Database, or an unpacked export of osv.dev.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import Version

Record = dict[str, Any]

_LARGEST = 65_536
"""Bytes of a question."""


class Advisories:
    """Records about some packages."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        """Reads those of the packages ``names``; raises ValueError for a folder without any."""
        self._records: dict[str, list[Record]] = defaultdict(list)
        wanted, files = set(names), 0
        for path in sorted(folder.rglob("*")):
            if path.suffix not in (".yaml", ".yml", ".json"):
                continue
            text = path.read_text(encoding="utf-8")
            files += '"affected"' in text or "affected:" in text
            # Reading all of the records takes minutes, a look for the names seconds.
            plain = re.sub(r"[-_.]+", "-", text.lower())
            if any(name in plain for name in wanted):
                load = json.loads if path.suffix == ".json" else yaml.safe_load
                self._keep(load(text), wanted)
        if not files:
            raise ValueError(f"{folder}: holds no advisories in the OSV format")
        self.files = files

    def _keep(self, record: Any, wanted: set[str]) -> None:
        if not isinstance(record, dict):
            return
        for name in {_package(affected) for affected in record.get("affected", [])} & wanted:
            self._records[name].append(record)

    def of(self, name: str, version: str) -> list[Record]:
        """Those that affect a version of a package."""
        return [
            record
            for record in self._records[canonicalize_name(name)]
            if any(
                _package(affected) == canonicalize_name(name) and affects(affected, version)
                for affected in record["affected"]
            )
        ]


def _package(affected: Mapping[str, Any]) -> str:
    package = affected.get("package", {})
    return canonicalize_name(package["name"]) if package.get("ecosystem") == "PyPI" else ""


def affects(affected: Mapping[str, Any], version: str) -> bool:
    """Whether a version is listed, or lies in a range between a fault's coming and its mending."""
    if version in affected.get("versions", ()):
        return True
    return any(
        _inside(span["events"], Version(version))
        for span in affected.get("ranges", ())
        if span["type"] == "ECOSYSTEM"
    )


def _inside(events: Iterable[Mapping[str, str]], version: Version) -> bool:
    steps = [(Version(at), kind) for event in events for kind, at in event.items()]
    inside = False
    for at, kind in sorted(steps):
        if kind == "introduced" and version >= at:
            inside = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            inside = False
    return inside


@contextmanager
def serving(advisories: Advisories) -> Iterator[str]:
    """URL on loopback at which OSV's query is answered."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = min(int(self.headers.get("Content-Length", 0)), _LARGEST)
            asked = json.loads(self.rfile.read(size))
            found = advisories.of(asked["package"]["name"], asked["version"])
            body = json.dumps({"vulns": found} if found else {}, default=str).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the scanner reports."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
