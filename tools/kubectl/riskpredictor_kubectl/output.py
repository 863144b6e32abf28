"""``-o json`` and ``-o yaml``."""

from __future__ import annotations

import json
from typing import Any

import click
import yaml


def emit(data: Any, form: str, *, several: bool = False) -> None:
    """Print plain data; ``several`` parts documents that follow each other."""
    if form == "json":
        click.echo(json.dumps(data, indent=4))
        return
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    click.echo(("---\n" if several else "") + text, nl=False)
