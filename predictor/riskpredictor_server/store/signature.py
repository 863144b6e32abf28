"""Verifies an OpenSSF model signature (``model.sig``), made by ``model_signing sign key``."""

from __future__ import annotations

from collections.abc import Mapping

SIGNATURE = "model.sig"


def verify(signature: bytes, files: Mapping[str, bytes], public_key: bytes) -> None:
    """Verify that ``public_key`` (PEM) signed all of ``files``, by name; raises StoreError.

    ``files`` are card.json and what it lists; what the signature covers besides is ignored.
    """
    raise NotImplementedError
