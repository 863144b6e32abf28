"""Models in a store, as far as the operator knows them: a card and the files that it lists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def model(version: str = "v2", **files: bytes) -> dict[str, bytes]:
    """The files of a model; ``scorer_json`` stands for scorer.json."""
    content = {"scorer.json": f"scorer of {version}".encode()}
    content |= {name.replace("_", "."): data for name, data in files.items()}
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    card = json.dumps({"model_version": version, "files": listed}).encode()
    return {"card.json": card, **content}


def digest_of(files: Mapping[str, bytes]) -> str:
    """The digest of a model."""
    return f"sha256:{hashlib.sha256(files['card.json']).hexdigest()}"
