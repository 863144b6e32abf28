"""Runs Argo CD's health script in a real Lua interpreter."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from support import debian
from support.cluster import ROOT

SCRIPT = ROOT / "deploy" / "gitops" / "argocd" / "health.lua"


def health(body: Any) -> tuple[str, str]:
    """Status and message that the script gives an object."""
    program = (
        f"obj = {_literal(body)}\n"
        f"local verdict = (function() {SCRIPT.read_text()} end)()\n"
        'print(verdict.status) print(verdict.message or "")'
    )
    done = subprocess.run(
        [debian.ensure("lua5.4"), "-"], input=program, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    status, _, message = done.stdout.partition("\n")
    return status, message.strip()


def _literal(value: Any) -> str:
    """JSON as a Lua expression."""
    if isinstance(value, dict):
        return "{" + ",".join(f"[{json.dumps(k)}]={_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(map(_literal, value)) + "}"
    if isinstance(value, str):
        # Long brackets take any text but their own end.
        return "[====[" + value + "]====]"
    return "nil" if value is None else json.dumps(value)
