"""``spec.model`` as typed data: a model that comes from a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from riskpredictor_operator.core.reading import SpecError, optional, required, without_nulls
from riskpredictor_operator.kube import Body

S3: Final = "s3"
GCS: Final = "gcs"
AZURE: Final = "azure"
HTTP: Final = "http"
OCI: Final = "oci"
PVC: Final = "pvc"
MLFLOW: Final = "mlflow"
IMAGE: Final = "image"
SOURCES: Final = (S3, GCS, AZURE, HTTP, OCI, PVC, MLFLOW, IMAGE)
"""The kinds of stores, by their fields in ``spec.model.source``."""

IN_CLUSTER: Final = frozenset({PVC, IMAGE})
"""Those that a pod gets from its node, without a connection of its own."""


@dataclass(frozen=True, slots=True)
class ConfigMapKey:
    """An entry of a ConfigMap in the RiskPredictor's namespace."""

    config_map: str
    key: str


@dataclass(frozen=True, slots=True)
class Model:
    """Which model is meant, where it is, and what proves that it is the right one."""

    digest: str
    """``sha256:`` and the SHA-256 of the bytes of card.json in hexadecimal digits."""
    kind: str
    """One of ``SOURCES``."""
    place: Body
    """The fields of that source, as in the spec."""
    credentials_secret: str | None = None
    ca_bundle: ConfigMapKey | None = None
    public_key: ConfigMapKey | None = None
    """The key that must have signed the model; None: no signature is asked for."""


def parse_model(parent: Body, at: str = "spec") -> Model | None:
    """The model that a spec declares; None where it is in the image.

    Args:
        parent: what has the field ``model``: a spec, or its ``shadow``.
        at: path of that, for errors.

    Raises:
        SpecError: a field is missing, of another type or unusable; names its path.
    """
    model = optional(parent, "model", dict, at)
    if model is None:
        return None
    path = f"{at}.model"
    source = without_nulls(required(model, "source", dict, path))
    kinds = [kind for kind in SOURCES if kind in source]
    if len(kinds) != 1:
        one_of = f"{', '.join(SOURCES[:-1])} and {SOURCES[-1]}"
        raise SpecError(f"{path}.source", f"must name exactly one of {one_of}")
    kind = kinds[0]
    place = required(source, kind, dict, f"{path}.source")
    for name in _NEEDED_HERE.get(kind, ()):
        required(place, name, str, f"{path}.source.{kind}")
    return Model(
        digest=required(model, "digest", str, path),
        kind=kind,
        place=place,
        credentials_secret=_secret(model, path),
        ca_bundle=_ca_bundle(model, path),
        public_key=_public_key(model, path),
    )


_NEEDED_HERE = {PVC: ("claimName",), IMAGE: ("reference",)}
"""Fields of a source that the pods are rendered with. The others are the fetch step's."""


def _secret(model: Body, path: str) -> str | None:
    secret = optional(model, "credentialsSecret", dict, path)
    return None if secret is None else required(secret, "name", str, f"{path}.credentialsSecret")


def _ca_bundle(model: Body, path: str) -> ConfigMapKey | None:
    bundle = optional(model, "caBundle", dict, path)
    return None if bundle is None else _config_map_key(bundle, f"{path}.caBundle")


def _public_key(model: Body, path: str) -> ConfigMapKey | None:
    signature = optional(model, "signature", dict, path)
    if signature is None:
        return None
    key = required(signature, "publicKey", dict, f"{path}.signature")
    return _config_map_key(key, f"{path}.signature.publicKey")


def _config_map_key(reference: Body, path: str) -> ConfigMapKey:
    return ConfigMapKey(
        config_map=required(reference, "configMap", str, path),
        key=required(reference, "key", str, path),
    )
