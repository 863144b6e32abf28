"""Verifies an OpenSSF model signature (``model.sig``), made by ``model_signing sign key``.

The file is a Sigstore bundle (v0.3) around a DSSE envelope around an in-toto statement, which
lists each file of the folder with its SHA-256. Only the payload of the envelope is signed; what
else is in the bundle, such as the hint at the key, decides nothing.

https://github.com/sigstore/model-transparency and https://github.com/secure-systems-lab/dsse
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

import orjson

from riskpredictor_server.model.artifact import SIGNATURE
from riskpredictor_server.store.errors import SIGNATURE_INVALID, StoreError

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
SIGN = "model_signing sign key FOLDER --private_key key.pem --signature FOLDER/model.sig"
"""The command that makes what is verified here."""
OTHER_KEYS = {
    "certificate": "keyless, with a certificate of Sigstore",
    "x509CertificateChain": "with a certificate",
}
"""Other methods of model_signing by their member of ``verificationMaterial``."""

T = TypeVar("T")


def verify(signature: bytes, files: Mapping[str, bytes], public_key: bytes) -> None:
    """Verify that ``public_key`` (PEM) signed all of ``files``, by name; raises StoreError.

    ``files`` are card.json and what it lists; what the signature covers besides is ignored.
    """
    material, envelope = _bundle(signature)
    payload = _bytes(envelope, "payload")
    if envelope.get("payloadType") != PAYLOAD:
        raise _invalid(f"holds {envelope.get('payloadType')!r}, not {PAYLOAD!r}")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise _invalid("must hold exactly one signature")
    signed = _bytes(_of(dict, signatures[0], "signatures[0]"), "sig")
    if not _is_signed(_pre_authentication_encoding(payload), signed, public_key):
        raise _by_another_key(material, public_key)
    digests = _digests(payload)
    for name, content in files.items():
        if name not in digests:
            raise _invalid(f"does not cover {name}; sign the whole folder: {SIGN}")
        if digests[name] != hashlib.sha256(content).hexdigest():
            raise _invalid(
                f"is over another {name} than this one; sign the folder again after its last"
                f" change: {SIGN}"
            )


def _bundle(signature: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the verification material and the envelope."""
    bundle = _of(dict, _json(signature, "it"), "it")
    if bundle.get("mediaType") != BUNDLE:
        raise _invalid(f"is {bundle.get('mediaType')!r}, not {BUNDLE!r}; make it with: {SIGN}")
    material = _of(dict, bundle.get("verificationMaterial"), "verificationMaterial")
    for member, method in OTHER_KEYS.items():
        if member in material:
            raise _invalid(f"was made {method}; only signatures by a key are verified: {SIGN}")
    return material, _of(dict, bundle.get("dsseEnvelope"), "dsseEnvelope")


def _pre_authentication_encoding(payload: bytes) -> bytes:
    """Return what is signed: the type and the payload, each after its length (DSSE v1)."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def _is_signed(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Verify an ECDSA signature; the hash belongs to the curve, as model_signing has it."""
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ModuleNotFoundError as error:
        raise StoreError(
            SIGNATURE_INVALID,
            f"the signature cannot be verified, for this image lacks the module {error.name}; take"
            " an image built with predictor/requirements.lock, which brings it, or remove"
            " spec.model.signature",
        ) from error

    curves: dict[str, hashes.HashAlgorithm] = {
        "secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512(),
    }  # fmt: skip
    try:
        key = load_pem_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _wrong_key("is not a public key in PEM form") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _wrong_key("is not an elliptic-curve key")
    if key.curve.name not in curves:
        raise _wrong_key(f"is on the curve {key.curve.name}")
    try:
        key.verify(signature, message, ec.ECDSA(curves[key.curve.name]))
    except InvalidSignature:
        return False
    return True


def _by_another_key(material: Mapping[str, Any], public_key: bytes) -> StoreError:
    named = material.get("publicKey")
    hint = named.get("hint") if isinstance(named, dict) else None
    # model_signing hashes the PEM text as cryptography writes it: with a line feed at the end.
    declared = hashlib.sha256(public_key.strip() + b"\n").hexdigest()
    if isinstance(hint, str) and hint != declared:
        return _invalid(
            f"is by another key: it names the key with SHA-256 {hint[:64]}, spec.model.signature"
            f" has {declared}; declare the signer's public key, or sign again with the key declared"
        )
    return _invalid(
        "is not by the declared key, or was changed after signing; fetch model.sig anew, or sign"
        f" again: {SIGN}"
    )


def _digests(payload: bytes) -> dict[str, str]:
    """Return the SHA-256 of each file by name from the statement."""
    statement = _of(dict, _json(payload, "its statement"), "its statement")
    for member, expected in (("_type", STATEMENT), ("predicateType", PREDICATE)):
        if statement.get(member) != expected:
            raise _invalid(
                f"has {member} {statement.get(member)!r}, not {expected!r}; sign with model_signing"
                f" 1.0 or newer: {SIGN}"
            )
    predicate = _of(dict, statement.get("predicate"), "predicate")
    how = _of(dict, predicate.get("serialization"), "predicate.serialization")
    if (how.get("method"), how.get("hash_type")) != ("files", "sha256"):
        raise _invalid(
            f"hashes by method {how.get('method')!r} with {how.get('hash_type')!r}; sign with"
            f" method files and sha256, the defaults of: {SIGN}"
        )
    resources = _of(list, predicate.get("resources"), "predicate.resources")
    digests: dict[str, str] = {}
    for number, each in enumerate(resources):
        where = f"predicate.resources[{number}]"
        resource = _of(dict, each, where)
        name = _of(str, resource.get("name"), f"{where}.name")
        digests[name] = _of(str, resource.get("digest"), f"{where}.digest")
    return digests


def _json(text: bytes, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"is damaged: {what} is not valid JSON ({error}); copy it again") from error


def _of(kind: type[T], value: Any, what: str) -> T:
    if not isinstance(value, kind):
        raise _invalid(f"is damaged: {what} is missing or of the wrong type; make it with: {SIGN}")
    return value


def _bytes(parent: Mapping[str, Any], member: str) -> bytes:
    text = _of(str, parent.get(member), member)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise _invalid(f"is damaged: {member} is not base64 ({error}); copy it again") from error


def _invalid(what: str) -> StoreError:
    return StoreError(SIGNATURE_INVALID, f"the signature {SIGNATURE} {what}")


def _wrong_key(what: str) -> StoreError:
    return StoreError(
        SIGNATURE_INVALID,
        f"the key of spec.model.signature.publicKey {what}; it must be on the curve P-256, P-384 or"
        " P-521: openssl ec -in key.pem -pubout",
    )
