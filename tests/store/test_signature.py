"""Signatures of models, made by the OpenSSF model signer itself and verified by the fetch step."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
)
from unit.predictor.support import artifact

from riskpredictor_server.model.artifact import SIGNATURE
from riskpredictor_server.store.errors import SIGNATURE_INVALID, StoreError
from riskpredictor_server.store.signature import verify
from support.signing import sign, write_key

CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(),
}  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    curves = {**CURVES, "other": ec.SECP256R1(), "secp256k1": ec.SECP256K1()}
    for name, curve in curves.items():
        write_key(folder, name, ec.generate_private_key(curve))
    write_key(folder, "RSA", rsa.generate_private_key(public_exponent=65537, key_size=2048))
    return folder


Signed = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def signed(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """Makes a copy of a model's folder, signed with a key by the signer's command line."""
    made: dict[tuple[str, str], Path] = {}

    def made_for(version: str, key: str) -> Path:
        if (version, key) not in made:
            folder = tmp_path_factory.mktemp("signed") / version
            shutil.copytree(artifact(version), folder)
            sign(folder, keys / f"{key}.pem")
            made[version, key] = folder
        return made[version, key]

    return made_for


def content(folder: Path) -> dict[str, bytes]:
    """card.json and what it lists."""
    names = ["card.json", *json.loads((folder / "card.json").read_bytes())["files"]]
    return {name: (folder / name).read_bytes() for name in names}


def refusal(text: bytes, files: Mapping[str, bytes], public_key: bytes) -> str:
    """The message of the refusal."""
    with pytest.raises(StoreError) as caught:
        verify(text, files, public_key)
    assert caught.value.reason == SIGNATURE_INVALID
    return caught.value.message


@pytest.mark.parametrize("curve", CURVES)
def test_a_folder_signed_by_the_declared_key_is_verified(
    curve: str, signed: Signed, keys: Path
) -> None:
    folder = signed("v1", curve)
    assert len(content(folder)) >= 3
    verify(
        (folder / SIGNATURE).read_bytes(), content(folder), (keys / f"{curve}.pub.pem").read_bytes()
    )


@pytest.fixture
def good(signed: Signed, keys: Path) -> tuple[bytes, dict[str, bytes], bytes]:
    """Signature, files and public key that belong together."""
    folder = signed("v1", "P-256")
    public_key = (keys / "P-256.pub.pem").read_bytes()
    return (folder / SIGNATURE).read_bytes(), content(folder), public_key


Good = tuple[bytes, dict[str, bytes], bytes]


def test_another_key_is_told_with_both_digests(good: Good, keys: Path) -> None:
    text, files, public_key = good
    message = refusal(text, files, (keys / "other.pub.pem").read_bytes())
    hint = json.loads(text)["verificationMaterial"]["publicKey"]["hint"]
    assert "is by another key" in message
    assert hint in message
    assert "declare the signer's public key" in message
    # As a ConfigMap may hold it.
    assert refusal(text, files, (keys / "other.pub.pem").read_bytes().strip()) == message
    assert hint != hashlib.sha256((keys / "other.pub.pem").read_bytes()).hexdigest()
    assert hint == hashlib.sha256(public_key).hexdigest()


def test_the_hint_at_the_key_decides_nothing(good: Good, keys: Path) -> None:
    text, files, public_key = good
    other = (keys / "other.pub.pem").read_bytes()
    forged = changed(text, hint=hashlib.sha256(other).hexdigest())
    assert "is not by the declared key" in refusal(forged, files, other)
    verify(changed(text, hint="none"), files, public_key)


@pytest.mark.parametrize("name", ["card.json", "scorer.json", "model.joblib"])
def test_a_changed_file_is_named(name: str, good: Good) -> None:
    text, files, public_key = good
    files[name] += b" "
    message = refusal(text, files, public_key)
    assert f"is over another {name} than this one; sign the folder again" in message


def test_a_file_that_is_not_covered_is_named(good: Good) -> None:
    text, files, public_key = good
    message = refusal(text, {**files, "extra.json": b"{}"}, public_key)
    assert "does not cover extra.json; sign the whole folder: model_signing sign key" in message


def test_files_that_the_model_does_not_need_may_be_covered(good: Good) -> None:
    text, files, public_key = good
    verify(text, {"card.json": files["card.json"]}, public_key)


def test_a_signature_over_another_model_is_refused(good: Good, signed: Signed) -> None:
    _, files, public_key = good
    other = (signed("v2", "P-256") / SIGNATURE).read_bytes()
    assert "is over another card.json than this one" in refusal(other, files, public_key)


def test_a_changed_statement_is_refused(good: Good) -> None:
    text, files, public_key = good
    files["card.json"] = b"{}"
    statement = statement_of(text)
    for resource in statement["predicate"]["resources"]:
        resource["digest"] = hashlib.sha256(files.get(resource["name"], b"")).hexdigest()
    assert "is not by the declared key, or was changed" in refusal(
        changed(text, payload=encoded(statement)), files, public_key
    )


@pytest.mark.parametrize("key", ["secp256k1", "RSA"])
def test_only_three_curves_are_known(key: str, good: Good, keys: Path) -> None:
    text, files, _ = good
    message = refusal(text, files, (keys / f"{key}.pub.pem").read_bytes())
    assert (
        "is on the curve secp256k1" if key == "secp256k1" else "not an elliptic-curve key"
    ) in message
    assert "P-256, P-384 or P-521: openssl ec" in message


@pytest.mark.parametrize("what", ["a private key", "nothing", "damaged"])
def test_what_is_no_public_key_is_told(what: str, good: Good, keys: Path) -> None:
    text, files, public_key = good
    given = {
        "a private key": (keys / "P-256.pem").read_bytes(),
        "nothing": b"",
        "damaged": public_key.replace(b"M", b"N"),
    }[what]
    assert "is not a public key in PEM form" in refusal(text, files, given)


@pytest.mark.parametrize("share", [0, 0.3, 0.7, 0.99])
def test_a_truncated_signature_is_refused(share: float, good: Good) -> None:
    text, files, public_key = good
    cut = text[: int(len(text) * share)]
    assert "is damaged: it is not valid JSON" in refusal(cut, files, public_key)


def test_a_signature_with_a_certificate_or_keyless_is_named(good: Good) -> None:
    text, files, public_key = good
    keyless = changed(text, verificationMaterial={"certificate": {"rawBytes": ""}})
    assert "was made keyless" in refusal(keyless, files, public_key)
    chain = changed(text, verificationMaterial={"x509CertificateChain": {"certificates": []}})
    assert "with a certificate; only signatures by a key" in refusal(chain, files, public_key)


DAMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "no object": ({"whole": []}, "it is missing or of the wrong type"),
    "an older bundle": (
        {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.2"}, "not 'application/",
    ),
    "no material": ({"verificationMaterial": None}, "verificationMaterial is missing"),
    "no envelope": ({"dsseEnvelope": None}, "dsseEnvelope is missing"),
    "another payload": ({"payloadType": "text/plain"}, "holds 'text/plain', not"),
    "no signature": ({"signatures": []}, "must hold exactly one signature"),
    "two signatures": ({"signatures": [{"sig": ""}, {"sig": ""}]}, "exactly one signature"),
    "an odd signature": ({"signatures": ["x"]}, "signatures[0] is missing or of the wrong type"),
    "not base64": ({"payload": "!"}, "payload is not base64"),
    "empty signature": ({"signatures": [{"sig": ""}]}, "is not by the declared key"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_refused(damage: str, good: Good) -> None:
    text, files, public_key = good
    change, expected = DAMAGES[damage]
    assert expected in refusal(changed(text, **change), files, public_key)


STATEMENTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "type": (lambda s: {**s, "_type": "other"}, "has _type 'other'"),
    "the format before 1.0": (
        lambda s: {**s, "predicateType": "https://model_signing/Digests/v0.1"},
        "sign with model_signing 1.0 or newer",
    ),
    "no predicate": (lambda s: {**s, "predicate": 1}, "predicate is missing"),
    "parts of files": (
        lambda s: with_serialization(s, method="shards"), "hashes by method 'shards'",
    ),
    "another hash": (
        lambda s: with_serialization(s, hash_type="blake3"), "with 'blake3'; sign with method",
    ),
    "no names": (
        lambda s: {**s, "predicate": {**s["predicate"], "resources": [{"digest": ""}]}},
        "predicate.resources[0].name is missing",
    ),
    "not even an object": (lambda s: [s], "its statement is missing or of the wrong type"),
}  # fmt: skip


def with_serialization(statement: Any, **changes: str) -> Any:
    predicate = statement["predicate"]
    return {
        **statement,
        "predicate": {**predicate, "serialization": {**predicate["serialization"], **changes}},
    }


@pytest.mark.parametrize("case", STATEMENTS)
def test_a_statement_of_another_kind_is_refused_though_the_key_signed_it(
    case: str, good: Good, keys: Path
) -> None:
    text, files, public_key = good
    change, expected = STATEMENTS[case]
    payload = json.dumps(change(statement_of(text))).encode()
    kind = b"application/vnd.in-toto+json"
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    key = load_pem_private_key((keys / "P-256.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signed_by = base64.b64encode(key.sign(message, ec.ECDSA(hashes.SHA256()))).decode()
    again = changed(
        text, payload=base64.b64encode(payload).decode(), signatures=[{"sig": signed_by}]
    )
    assert expected in refusal(again, files, public_key)


def test_an_image_without_the_library_says_what_to_do(
    good: Good, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, files, public_key = good
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    message = refusal(text, files, public_key)
    assert "lacks the module cryptography" in message
    assert "take an image built with predictor/requirements.lock" in message


def test_the_library_is_loaded_only_to_verify() -> None:
    code = "import sys, riskpredictor_server.store.signature; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def statement_of(text: bytes) -> Any:
    return json.loads(base64.b64decode(json.loads(text)["dsseEnvelope"]["payload"]))


def encoded(statement: Any) -> str:
    return base64.b64encode(json.dumps(statement).encode()).decode()


def changed(text: bytes, **changes: Any) -> bytes:
    """The bundle with members replaced, wherever they are; ``whole`` replaces all of it."""
    bundle = json.loads(text)
    envelope, material = bundle["dsseEnvelope"], bundle["verificationMaterial"]
    for name, value in changes.items():
        holder = {"hint": material["publicKey"], "payload": envelope, "payloadType": envelope,
                  "signatures": envelope}.get(name, bundle)  # fmt: skip
        holder[name] = value
    return json.dumps(changes.get("whole", bundle)).encode()
