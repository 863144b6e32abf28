"""Certificates of a cluster, by openssl and its own authority, and the kubeconfigs made of them."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .naming import service_address
from .record import Cluster
from .run import output

VALID_DAYS = "3650"
CURVE = "ec_paramgen_curve:P-256"


@dataclass(frozen=True)
class Certificate:
    """A key pair to make; ``group`` is what Kubernetes reads as the user's group."""

    file: str
    user: str
    group: str = ""
    server_names: tuple[str, ...] = ()

    def subject(self) -> str:
        return (f"/O={self.group}" if self.group else "") + f"/CN={self.user}"


def certificates(cluster: Cluster) -> list[Certificate]:
    """Every certificate of a cluster, see "PKI certificates and requirements" in its docs."""
    local = (f"IP:{cluster.address}", "IP:127.0.0.1", "DNS:localhost")
    return [
        Certificate(
            "apiserver",
            "kube-apiserver",
            server_names=(
                *local,
                *(f"IP:{service_address(family, 1)}" for family in cluster.families),
                "DNS:kubernetes",
                "DNS:kubernetes.default",
                "DNS:kubernetes.default.svc",
                "DNS:kubernetes.default.svc.cluster.local",
            ),
        ),
        Certificate("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Certificate("front-proxy-client", "front-proxy-client"),
        Certificate("admin", "kubernetes-admin", "system:masters"),
        Certificate("controller-manager", "system:kube-controller-manager", server_names=local),
        Certificate("scheduler", "system:kube-scheduler", server_names=local),
        *(
            Certificate(
                f"kubelet{node.suffix}",
                f"system:node:{node.name}",
                "system:nodes",
                tuple(f"IP:{address}" for address in node.addresses),
            )
            for node in cluster.nodes
        ),
        Certificate("kube-proxy", "system:kube-proxy"),
        Certificate(
            "metrics-server",
            "system:metrics-server",
            server_names=(*local, "DNS:metrics-server.kube-system.svc"),
        ),
        Certificate("kwok", "kwok", "system:masters"),
    ]


def ensure(cluster: Cluster) -> None:
    """Make the authority once, and the certificates that are missing."""
    target = cluster.paths.pki
    if not target.exists():
        folder = Path(tempfile.mkdtemp(dir=cluster.paths.root, prefix="pki-"))
        try:
            _certificate_authority(folder)
            _service_account_keys(folder)
            folder.replace(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    for certificate in certificates(cluster):
        if not (target / f"{certificate.file}.crt").exists():
            _issue(target, certificate)


def _certificate_authority(folder: Path) -> None:
    usage = "keyUsage=critical,keyCertSign,digitalSignature,cRLSign"
    _openssl(
        *("req", "-x509", "-days", VALID_DAYS, "-subj", "/CN=riskpredictor-local"),
        *("-out", folder / "ca.crt"),
        *_new_key(folder / "ca.key"),
        *("-addext", usage),
    )


def _service_account_keys(folder: Path) -> None:
    key, public = folder / "sa.key", folder / "sa.pub"
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", CURVE, "-out", key)
    _openssl("pkey", "-in", key, "-pubout", "-out", public)


def _issue(folder: Path, certificate: Certificate) -> None:
    made = folder / f"{certificate.file}.new"
    names = certificate.server_names
    usage = "clientAuth,serverAuth" if names else "clientAuth"
    _openssl(
        *("req", "-x509", "-days", VALID_DAYS, "-subj", certificate.subject()),
        *("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key"),
        *("-out", made),
        *_new_key(folder / f"{certificate.file}.key"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-addext", f"extendedKeyUsage={usage}"),
        *(("-addext", f"subjectAltName={','.join(names)}") if names else ()),
    )
    # Its name tells that the pair is complete.
    made.replace(folder / f"{certificate.file}.crt")


def _new_key(path: Path) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", CURVE, "-noenc", "-keyout", path)


def _openssl(*arguments: str | Path) -> None:
    hint = "OpenSSL 3.0 or newer is needed: `openssl version`"
    output("openssl", *arguments, what=f"openssl {arguments[0]} failed", hint=hint)


def kubeconfig(cluster: Cluster, user: str) -> str:
    """A kubeconfig with the certificates inside, so that the file can be copied elsewhere.

    It is JSON, which is YAML too.
    """
    pki = cluster.paths.pki
    name = f"riskpredictor-{cluster.name}"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": cluster.api_server,
                    "certificate-authority-data": _data(pki / "ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _data(pki / f"{user}.crt"),
                    "client-key-data": _data(pki / f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    return json.dumps(content, indent=2) + "\n"


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
