"""Runs the credential plug-in of a kubeconfig (``exec``) so that none outlives the wait for it.

The client library would leave a plug-in that hangs behind when the wait for it ends, and could wait
for ever for one that writes much to standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kubernetes.aio.config import kube_config
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.exec_provider import ExecProvider


@contextmanager
def plugins_that_end() -> Iterator[list[str]]:
    """The client library runs plug-ins this way in the block; gives the commands it has run."""
    commands: list[str] = []

    class Plugin(ExecProvider):  # type: ignore[misc]
        async def run(self, previous_response: Any = None) -> dict[str, Any]:
            commands.append(self.args[0])
            spec: dict[str, Any] = {"interactive": False}
            if previous_response:
                spec["response"] = previous_response
            info = {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec}
            output = await _run(self.args, {**self.env, "KUBERNETES_EXEC_INFO": json.dumps(info)})
            return _status(output, self.api_version)

    original = kube_config.ExecProvider
    kube_config.ExecProvider = Plugin
    try:
        yield commands
    finally:
        kube_config.ExecProvider = original


async def _run(command: list[str], environ: dict[str, str]) -> bytes:
    # In a session of its own: a plug-in is often a script, whose children have to end with it.
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    try:
        output, said = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode != 0:
        why = said.decode(errors="replace").strip()
        raise ConfigException(f"{command[0]} ended with exit code {process.returncode}: {why}")
    return output


def _status(output: bytes, api_version: str) -> dict[str, Any]:
    try:
        credential = json.loads(output)
        status, version = credential["status"], credential["apiVersion"]
    except (ValueError, KeyError, TypeError):
        raise ConfigException("the credential plug-in printed no ExecCredential") from None
    if version != api_version:
        raise ConfigException(
            f"the credential plug-in printed an ExecCredential of {version}; the kubeconfig names "
            f"{api_version}"
        )
    return dict(status)
