"""The operator out of the cluster, with credentials of a plug-in that end while it works.

As with `aws eks get-token` and `gke-gcloud-auth-plugin`, whose tokens end after 15 and 60 minutes;
here those of the API server end within seconds.
"""

from __future__ import annotations

import datetime
import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml

from support.api import Api, eventually
from support.cluster import LocalCluster
from support.operator import ACCOUNT, SYSTEM, OperatorProcess
from support.predictors import Predictors

PLUGIN = """#!/bin/sh
echo x >> {folder}/calls
exec cat {folder}/credential
"""
SIGNING = """
[ca]
default_ca = it
[it]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
organizationName = optional
"""


class Plugin:
    """A credential plug-in that hands out what it was given last."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.program = folder, folder / "login-plugin"
        self.program.write_text(PLUGIN.format(folder=folder))
        self.program.chmod(0o755)

    def kubeconfig(self, cluster: LocalCluster) -> Path:
        """The cluster, with this plug-in."""
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        version = "client.authentication.k8s.io/v1"
        execute = {"apiVersion": version, "command": str(self.program), "interactiveMode": "Never"}
        config["users"][0]["user"] = {"exec": execute}
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def gives(self, **status: str) -> None:
        """What it hands out from now on."""
        version = "client.authentication.k8s.io/v1"
        body = {"apiVersion": version, "kind": "ExecCredential", "status": status}
        (self.folder / "credential").write_text(json.dumps(body))

    def calls(self) -> int:
        """How often it was asked."""
        return len((self.folder / "calls").read_text().split())


def tokens(cluster: LocalCluster, plugin: Plugin) -> Callable[[], None]:
    """Hand out a token that ends with a Secret; returns what ends it."""

    def token(secret: str) -> str:
        cluster.kubectl("-n", SYSTEM, "create", "secret", "generic", secret)
        bound = ("--bound-object-kind=Secret", f"--bound-object-name={secret}")
        return cluster.kubectl("-n", SYSTEM, "create", "token", ACCOUNT, *bound).strip()

    def end() -> None:
        plugin.gives(token=token("session-2"))
        cluster.kubectl("-n", SYSTEM, "delete", "secret", "session-1")

    plugin.gives(token=token("session-1"))
    return end


def certificates(cluster: LocalCluster, plugin: Plugin) -> Callable[[], None]:
    """Hand out a client certificate that ends in seconds; returns what hands out the next."""
    authority = cluster.kubeconfig.parent / "pki"
    folder = plugin.folder
    (folder / "signing.cnf").write_text(SIGNING.format(folder=folder))
    (folder / "index").touch()

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def give(name: str, seconds: int) -> None:
        key, request, certificate = (folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        subject = f"/O=system:masters/CN={name}"
        openssl(*("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"),
                *("-keyout", key, "-out", request, "-subj", subject))  # fmt: skip
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        openssl(*("ca", "-batch", "-notext", "-config", folder / "signing.cnf"),
                *("-cert", authority / "ca.crt", "-keyfile", authority / "ca.key"),
                *("-enddate", end.strftime("%Y%m%d%H%M%SZ"), "-in", request, "-out", certificate),
                )  # fmt: skip
        pair = {"clientCertificateData": certificate, "clientKeyData": key}
        plugin.gives(**{name: path.read_text() for name, path in pair.items()})

    give("first", 20)
    return partial(give, "second", 3600)


@pytest.mark.parametrize("kind", [tokens, certificates])
def test_credentials_that_end_are_asked_for_again_by_requests_and_watches(
    cluster: LocalCluster,
    api: Api,
    predictors: Predictors,
    tmp_path: Path,
    kind: Callable[[LocalCluster, Plugin], Callable[[], None]],
) -> None:
    plugin = Plugin(tmp_path)
    end = kind(cluster, plugin)
    process = OperatorProcess(plugin.kubeconfig(cluster), tmp_path / "log", "--lease-seconds=30")
    try:
        process.wait_for("listed ")
        end()
        eventually(lambda: plugin.calls() > 1, within=45, every=0.1, what="it is asked again")
        predictors.wait(predictors.create("after"))
        asked = plugin.calls()
        # It ends the watches, which began with the former credentials.
        cluster.component("restart", "kube-apiserver")
        predictors.wait(predictors.create("later"))
        assert plugin.calls() <= asked + 2, "and not for every request"
    finally:
        process.stop()
    assert "Traceback" not in process.says()
    assert "lost the lease" not in process.says()
