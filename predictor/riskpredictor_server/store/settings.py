"""Settings of the fetch step: environment variables and flags of the same names."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from riskpredictor_server.settings import PREFIX, SettingsError, read, setting
from riskpredictor_server.store.sources import Place, from_json


def _digest(text: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise ValueError("must be sha256: and 64 hexadecimal digits, as sha256sum card.json prints")
    return text


def _source(text: str) -> str:
    from_json(text)
    return text


@dataclass(frozen=True)
class FetchSettings:
    """Settings of one fetch. Paths that are empty are of what is not used."""

    model: Path = setting(  # noqa: RUF009 - a field, whose default never changes
        Path("model"), "folder to write"
    )
    model_version: str = setting("", "version that the card must have (required)")
    model_digest: str = setting("", "sha256:... of card.json (required)", form=_digest)
    model_source: str = setting(
        "", 'where it is, as spec.model.source in JSON: {"s3": {...}} (required)', form=_source
    )
    model_ca: str = setting("", "PEM file of authorities trusted beside the system's")
    model_public_key: str = setting("", "PEM file of the key that must have signed model.sig")
    model_credentials: str = setting("", "folder with a file for each key of the Secret")
    model_copy: str = setting("", "folder of an earlier verified copy, used before the source")
    model_claim: Path = setting(  # noqa: RUF009
        Path("/models-source"), "where the claim of a pvc source is mounted"
    )
    model_incoming: Path = setting(  # noqa: RUF009
        Path("/models/incoming"), "where the files of an image source were copied to"
    )
    model_optional: str = setting(
        "off",
        "on: a model that cannot be had leaves its reason in a file ERROR of its folder, and 0",
        ("off", "on"),
    )
    fetch_timeout: float = setting(
        60.0, "seconds for everything that is asked of the store", bounds=(1, 3600)
    )
    fetch_idle_timeout: float = setting(
        10.0, "seconds of silence after which a transfer is tried again", bounds=(0.1, 300)
    )
    termination_log: Path = setting(  # noqa: RUF009
        Path("/dev/termination-log"), "file to write the reason of a failure to, if it exists"
    )
    log_format: str = setting("human", "json (one line each) or human", ("json", "human"))
    log_level: str = setting(
        "info", "debug, info, warning or error", ("debug", "info", "warning", "error")
    )

    def completed(self, environ: Mapping[str, str]) -> FetchSettings:
        """Raise SettingsError if one that is required is missing."""
        del environ
        for name in ("model_version", "model_digest", "model_source"):
            if not getattr(self, name):
                flag, variable = "--" + name.replace("_", "-"), PREFIX + name.upper()
                raise SettingsError(f"{flag} or {variable} is missing")
        return self

    @property
    def place(self) -> Place:
        """The source."""
        return from_json(self.model_source)


def parse(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> FetchSettings:
    """Read settings from flags, then environment, then defaults; raise SettingsError."""
    return read(
        FetchSettings,
        argv,
        environ,
        prog="python -m riskpredictor_server fetch",
        description="Copy a model from a store into a folder, verified by its digest.",
        epilog=f"Each flag can be set by environment too: --model-digest is {PREFIX}MODEL_DIGEST.",
    )


def optional_folder(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of an optional model, else None; other settings may be wrong."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name, default in (("model", FetchSettings.model), ("model_optional", "off")):
        variable = environ.get(PREFIX + name.upper(), default)
        parser.add_argument("--" + name.replace("_", "-"), default=variable)
    try:
        found, _ = parser.parse_known_args(argv)
    except argparse.ArgumentError:
        return None
    return Path(found.model) if found.model_optional == "on" else None
