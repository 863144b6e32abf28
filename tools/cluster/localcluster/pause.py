"""The pause image, made from our own static binary and handed to containerd."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

from . import gobuild, supervise
from .errors import ClusterError

PAUSE_IMAGE = "docker.io/library/riskpredictor-pause:1"


def image_archive(program: Path, reference: str) -> bytes:
    """A one-file image in the format of ``docker save``; the same input gives the same bytes."""
    layer = _tar({"pause": (program.read_bytes(), 0o755)})
    config = json.dumps(
        {
            "architecture": gobuild.go_architecture(),
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "manifest.json": (json.dumps(manifest).encode(), 0o644),
            name: (config, 0o644),
            "layer.tar": (layer, 0o644),
        }
    )


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (data, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def ensure_image(holder: int) -> None:
    """Import the image unless containerd has it."""
    ctr = [*supervise.enter(holder), "ctr", "--namespace=k8s.io", "images"]
    listed = subprocess.run(
        [*ctr, "ls", "-q", f"name=={PAUSE_IMAGE}"], capture_output=True, text=True, check=False
    )
    if listed.returncode == 0 and PAUSE_IMAGE in listed.stdout.split():
        return
    archive = image_archive(gobuild.PAUSE.bin_dir() / "pause", PAUSE_IMAGE)
    done = subprocess.run([*ctr, "import", "-"], input=archive, capture_output=True, check=False)
    if done.returncode != 0:
        raise ClusterError(
            f"containerd refused the pause image: {done.stderr.decode().strip()}",
            "read the log of containerd",
        )
