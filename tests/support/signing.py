"""Signs models as their owners do: with the command of the OpenSSF model signer."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from riskpredictor_server.model.artifact import SIGNATURE
from support.stores import environment


def write_key(folder: Path, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    """Write ``NAME.pem`` and ``NAME.pub.pem``."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pem").write_bytes(private)
    (folder / f"{name}.pub.pem").write_bytes(public)


def sign(model: Path, private_key: Path) -> None:
    """Put ``model.sig`` into the folder of a model."""
    done = subprocess.run(
        [environment.python(), "-m", "model_signing", "sign", "key", model,
         "--private_key", private_key, "--signature", model / SIGNATURE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
