"""The host's pip settings for use inside an image build: how to reach packages, nothing else."""

from __future__ import annotations

import configparser
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")

# Settings that say where packages come from. Others (targets, caches) are about the host.
FORWARDED = (
    "index-url",
    "extra-index-url",
    "no-index",
    "find-links",
    "trusted-host",
    "proxy",
    "timeout",
    "retries",
)


def config_files(environment: Mapping[str, str], home: Path) -> list[Path]:
    """pip's configuration files in the order in which later ones win."""
    explicit = environment.get("PIP_CONFIG_FILE")
    return [
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        home / ".config/pip/pip.conf",
        *([Path(explicit)] if explicit else []),
    ]


def collect(files: Iterable[Path], environment: Mapping[str, str]) -> dict[str, str]:
    """The forwarded settings; as with pip itself, the environment wins over files."""
    settings: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        parser.read(file)
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update(parser.items(section))
    settings.update(
        {
            name.removeprefix("PIP_").lower().replace("_", "-"): value
            for name, value in environment.items()
            if name.startswith("PIP_")
        }
    )
    return {name: settings[name] for name in FORWARDED if name in settings}


def local_folders(settings: Mapping[str, str]) -> list[Path]:
    """Folders of the host that ``find-links`` names: a build has to see them at the same path."""
    links = settings.get("find-links", "").split()
    return [Path(link) for link in links if link.startswith("/") and Path(link).is_dir()]


def render(settings: Mapping[str, str], *, ca_bundle: bool) -> str:
    """A pip.conf for the build."""
    parser = configparser.RawConfigParser()
    parser["global"] = {**settings, **({"cert": str(CA_BUNDLE)} if ca_bundle else {})}
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()
