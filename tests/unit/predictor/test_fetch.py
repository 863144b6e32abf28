"""Nothing but the declared model ever stands in the folder, and what is wrong has a reason."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.predictor.support import artifact, changed_copy
from unit.predictor.test_artifact import Damage, edit, flip, other_weights

from riskpredictor_server.__main__ import main
from riskpredictor_server.model.artifact import load
from riskpredictor_server.store import place, signature
from riskpredictor_server.store.errors import StoreError
from riskpredictor_server.store.fetch import TERMINATION_BYTES, fetch, termination_line
from riskpredictor_server.store.folder import Folder
from riskpredictor_server.store.settings import FetchSettings
from riskpredictor_server.store.verification import CARD_LIMIT, TOTAL_LIMIT, Wanted, read_artifact

FILES = ["card.json", "model.joblib", "scorer.json"]
NOWHERE = {"folder": {"path": "/nowhere"}}


def digest_of(folder: Path) -> str:
    return "sha256:" + hashlib.sha256((folder / "card.json").read_bytes()).hexdigest()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the model is to be."""
    return tmp_path / "models" / "stable"


def settings(target: Path, folder: Path, **changed: object) -> FetchSettings:
    """What a pod would have that declares the model of ``folder``, which is also the source."""
    values: dict[str, object] = {
        "model": target,
        "model_version": "v1",
        "model_digest": digest_of(folder),
        "model_source": json.dumps({"folder": {"path": str(folder)}}),
    }
    return FetchSettings(**{**values, **changed})  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_declared_model_stands_in_the_folder_and_nothing_beside_it(target: Path) -> None:
    fetch(settings(target, artifact()), {})
    assert names(target.parent) == ["stable"]
    assert names(target) == FILES
    assert load(target).version == "v1"


def test_any_user_can_read_it_and_nobody_writes_it(target: Path) -> None:
    fetch(settings(target, artifact()), {})
    assert target.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o444}


def test_each_step_is_logged(target: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fetch(settings(target, artifact()), {})
    first, *files, last = caplog.messages
    assert first == f"fetching v1, {digest_of(artifact())}, from {artifact()}"
    size = (artifact() / "card.json").stat().st_size
    assert files[0].startswith(f"card.json: {size} bytes in ")
    assert len(files) == len(FILES)
    assert last.startswith(f"v1, {digest_of(artifact())}, is in {target} after ")


def write_card(data: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / "card.json").write_bytes(data)

    return damage


def files_of_card(change: Callable[[dict[str, object]], object]) -> Damage:
    return edit(lambda card: change(card["files"]))


DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "a flipped bit": (flip("scorer.json"), "ModelDigestMismatch", r"scorer.json of .* card says"),
    "a file that is missing": (
        lambda folder: (folder / "scorer.json").unlink(),
        "ModelNotFound",
        r"card.json of .* lists scorer.json, which is not there",
    ),
    "a card that is no JSON": (write_card(b"{"), "ModelRejected", r"card.json of .* is no JSON"),
    "a card that nests too deep": (
        write_card(b"[" * 200_000), "ModelRejected", r"card.json of .* is no JSON",
    ),
    "a card that is a list": (write_card(b"[]"), "ModelRejected", "has no model_version"),
    "a card without files": (
        edit(lambda card: card.update(files={})), "ModelRejected", "lists no files",
    ),
    "a file of another name": (
        files_of_card(lambda files: files.update({"weights.bin": "0" * 64})),
        "ModelRejected",
        r"lists 'weights.bin'; an artifact has scorer.json and model.joblib only",
    ),
    "a name that leaves the folder": (
        files_of_card(lambda files: files.update({"../../etc/passwd": "0" * 64})),
        "ModelRejected",
        r"lists '../../etc/passwd'",
    ),
    "a digest that is none": (
        files_of_card(lambda files: files.update({"scorer.json": "?"})),
        "ModelRejected",
        "gives no SHA-256 of scorer.json",
    ),
    "another version": (
        edit(lambda card: card.update(model_version="v9")),
        "ModelRejected",
        r"calls itself 'v9', spec.modelVersion is 'v1'",
    ),
    "a golden case that fails": (other_weights, "ModelRejected", r"golden case .* answers"),
    "a format of the future": (
        edit(lambda card: card.update(format="riskpredictor-artifact/9")),
        "ModelRejected",
        r"^the model at .*: card.json: format is",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "reason", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_model_has_a_reason_and_leaves_nothing(
    damage: Damage, reason: str, message: str, tmp_path: Path, target: Path
) -> None:
    folder = changed_copy(artifact(), tmp_path)
    damage(folder)
    with pytest.raises(StoreError, match=message) as raised:
        fetch(settings(target, folder), {})
    assert raised.value.reason == reason
    assert names(target.parent) == []


def test_a_card_is_not_parsed_before_its_digest_is_right(tmp_path: Path, target: Path) -> None:
    folder = changed_copy(artifact(), tmp_path)
    (folder / "card.json").write_bytes(b"{")
    with pytest.raises(StoreError, match=r"spec.model.digest is sha256:0{64}") as raised:
        fetch(settings(target, folder, model_digest="sha256:" + "0" * 64), {})
    assert raised.value.reason == "ModelDigestMismatch"


def test_a_model_before_stays_until_the_new_one_is_whole(tmp_path: Path, target: Path) -> None:
    fetch(settings(target, artifact("v2"), model_version="v2"), {})
    broken = changed_copy(artifact(), tmp_path)
    flip("scorer.json")(broken)
    with pytest.raises(StoreError):
        fetch(settings(target, broken), {})
    assert load(target).version == "v2"
    fetch(settings(target, artifact()), {})
    assert load(target).version == "v1"
    assert names(target.parent) == ["stable"]


class TestWhatIsThereAlready:
    """The kubelet may run the step again in a pod that lives."""

    def test_is_kept_without_asking_the_store(self, target: Path) -> None:
        fetch(settings(target, artifact()), {})
        before = target.stat().st_ino
        fetch(settings(target, artifact(), model_source=json.dumps(NOWHERE)), {})
        assert target.stat().st_ino == before

    def test_is_replaced_if_it_is_damaged(
        self, target: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        shutil.copytree(artifact(), target)
        flip("scorer.json")(target)
        fetch(settings(target, artifact()), {})
        assert load(target).version == "v1"
        assert "is replaced" in caplog.text

    def test_what_a_killed_run_left_goes(self, target: Path) -> None:
        left, other = (target.parent / name for name in (".stable-fetch-abc", ".other-fetch-abc"))
        left.mkdir(parents=True)
        other.mkdir()
        fetch(settings(target, artifact()), {})
        assert names(target.parent) == [".other-fetch-abc", "stable"]


class TestTheCopyInTheCluster:
    def test_is_used_instead_of_the_store(
        self, target: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        fetch(
            settings(
                target, artifact(), model_copy=str(artifact()), model_source=json.dumps(NOWHERE)
            ),
            {},
        )
        assert load(target).version == "v1"
        assert "taken from the copy in the cluster, without the store" in caplog.messages

    @pytest.mark.parametrize(
        ("damage", "reason"),
        [(flip("card.json"), "ModelDigestMismatch"), (flip("scorer.json"), "ModelDigestMismatch")],
        ids=["card", "scorer"],
    )
    def test_is_not_used_if_it_is_damaged(
        self, damage: Damage, reason: str, tmp_path: Path, target: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        copy = changed_copy(artifact(), tmp_path)
        damage(copy)
        fetch(settings(target, artifact(), model_copy=str(copy)), {})
        assert load(target).version == "v1"
        assert f"the copy in the cluster is not used: {reason}" in caplog.text

    def test_is_left_alone_if_its_files_are_not_all_there(
        self, tmp_path: Path, target: Path
    ) -> None:
        copy = changed_copy(artifact(), tmp_path)
        (copy / "scorer.json").unlink()
        fetch(settings(target, artifact(), model_copy=str(copy)), {})
        assert names(target) == FILES

    def test_need_not_exist(
        self, tmp_path: Path, target: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        fetch(settings(target, artifact(), model_copy=str(tmp_path / "none")), {})
        assert load(target).version == "v1"
        assert "there is no whole copy in the cluster yet" in caplog.messages


class TestASignature:
    @pytest.fixture
    def key(self, tmp_path: Path) -> str:
        (tmp_path / "release.pub").write_text("a public key")
        return str(tmp_path / "release.pub")

    def test_that_is_missing_is_named(self, target: Path, key: str) -> None:
        with pytest.raises(StoreError, match=r"has no model.sig") as raised:
            fetch(settings(target, artifact(), model_public_key=key), {})
        assert raised.value.reason == "ModelSignatureInvalid"
        assert names(target.parent) == []

    def test_is_verified_for_exactly_the_files_and_kept_beside_them(
        self, tmp_path: Path, target: Path, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[bytes, list[str], bytes]] = []
        monkeypatch.setattr(
            signature, "verify", lambda sig, files, key: seen.append((sig, sorted(files), key))
        )
        folder = changed_copy(artifact(), tmp_path)
        (folder / "model.sig").write_text("a signature")
        fetch(settings(target, folder, model_public_key=key), {})
        assert seen == [(b"a signature", FILES, b"a public key")]
        assert names(target) == sorted([*FILES, "model.sig"])

    def test_that_is_wrong_is_refused_before_the_version_is_looked_at(
        self, tmp_path: Path, target: Path, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise StoreError("ModelSignatureInvalid", "not by this key")

        monkeypatch.setattr(signature, "verify", refuse)
        folder = changed_copy(artifact(), tmp_path)
        (folder / "model.sig").write_text("a signature")
        with pytest.raises(StoreError, match="not by this key"):
            fetch(settings(target, folder, model_public_key=key, model_version="v7"), {})
        assert names(target.parent) == []

    def test_is_not_asked_for_without_a_key(self, tmp_path: Path, target: Path) -> None:
        folder = changed_copy(artifact(), tmp_path)
        (folder / "model.sig").write_text("nonsense")
        fetch(settings(target, folder), {})
        assert names(target) == FILES


def test_all_files_together_have_a_limit() -> None:
    limits: list[tuple[str, int]] = []

    class Reader:
        def read(self, name: str, limit: int) -> bytes:
            limits.append((name, limit))
            return (artifact() / name).read_bytes()

    wanted = Wanted("v1", digest_of(artifact()).removeprefix("sha256:"))
    files = read_artifact(Reader(), "a store", wanted)
    left = TOTAL_LIMIT
    for (name, limit), (file, data) in zip(limits, files.items(), strict=True):
        assert (name, limit) == (file, CARD_LIMIT if file == "card.json" else left)
        left -= len(data)


def test_a_folder_gives_no_more_than_the_limit(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_bytes(b"12345")
    assert Folder(tmp_path, "a folder").read("card.json", 5) == b"12345"
    with pytest.raises(StoreError, match="larger than the 4 bytes that are allowed") as raised:
        Folder(tmp_path, "a folder").read("card.json", 4)
    assert raised.value.reason == "ModelRejected"


def test_a_volume_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"stable cannot be written: .*must have room") as raised:
        fetch(settings(tmp_path / "models" / "stable", artifact()), {})
    assert raised.value.reason == "ModelFetchFailed"


def test_the_folder_is_whole_even_if_the_step_dies_at_its_last_moment(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def die(made: Path, target: Path) -> None:
        assert sorted(synced) == sorted([*FILES, "stable"])
        assert names(made) == FILES
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", record)
    monkeypatch.setattr(place, "put", die)
    with pytest.raises(KeyboardInterrupt):
        fetch(settings(target, artifact()), {})
    assert not target.exists()


def test_a_reason_fits_into_a_termination_log() -> None:
    line = termination_line("ModelFetchFailed", "é" * 5000 + '"')
    assert len(line) <= TERMINATION_BYTES
    assert b"\n" not in line
    read = json.loads(line)
    assert read["reason"] == "ModelFetchFailed"
    assert read["message"].startswith("éé")
    assert read["message"].endswith("...")
    assert json.loads(termination_line("R", "short")) == {"reason": "R", "message": "short"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"--model-digest": ""}, "--model-digest=: must be sha256: and 64 hexadecimal digits"),
        ({"--model-digest": "sha256:ABC"}, "must be sha256: and 64 hexadecimal digits"),
        ({"--model-version": ""}, "--model-version or RISKPREDICTOR_MODEL_VERSION is missing"),
        ({"--model-source": "s3://models"}, "--model-source=s3://models: must be JSON"),
        ({"--model-source": "{}"}, "must have exactly one of s3, gcs"),
        ({"--model-source": '{"ftp": {}}'}, "ftp: no such store; there are s3, gcs"),
        ({"--model-source": '{"s3": {"bucket": "b"}}'}, "s3.prefix: is missing"),
        ({"--model-source": '{"http": {"url": 7}}'}, "http.url: must be a text"),
        ({"--model-source": '{"pvc": {"claimName": "c", "x": "y"}}'}, "pvc.x: no such field"),
        ({"--fetch-timeout": "0"}, "--fetch-timeout=0: must be a number from 1 to 3600"),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_is_fetched(
    changed: dict[str, str],
    message: str,
    target: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = tmp_path / "termination-log"
    ended.touch()
    monkeypatch.setenv("RISKPREDICTOR_TERMINATION_LOG", str(ended))
    flags = {
        "--model": str(target),
        "--model-version": "v1",
        "--model-digest": digest_of(artifact()),
        "--model-source": json.dumps({"folder": {"path": str(artifact())}}),
        **changed,
    }
    assert main(["fetch", *(f"{name}={value}" for name, value in flags.items())]) == 2
    assert message in capsys.readouterr().err
    assert message in json.loads(ended.read_text())["message"]
    assert not target.exists()


def test_help_tells_of_the_server_and_of_the_step(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, words in (
        (["--help"], "python -m riskpredictor_server fetch"),
        (["fetch", "--help"], "--model-source X"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(argv)
        assert ended.value.code == 0
        assert words in " ".join(capsys.readouterr().out.split())


def test_a_pipe_in_the_place_of_a_file_is_given_up(tmp_path: Path, target: Path) -> None:
    claim = tmp_path / "claim"
    claim.mkdir()
    os.mkfifo(claim / "card.json")
    source = json.dumps({"pvc": {"claimName": "models"}})
    given = settings(target, artifact(), model_source=source, model_claim=claim, fetch_timeout=0.1)
    with pytest.raises(StoreError) as caught:
        fetch(given, {})
    assert caught.value.reason == "ModelFetchFailed"
    assert "the claim models: an answer began and does not end" in caught.value.message


def test_a_volume_may_have_its_files_behind_links_as_config_maps_have_them(
    tmp_path: Path, target: Path
) -> None:
    claim = tmp_path / "claim"
    shutil.copytree(artifact(), claim / "..2026_11_28" / "v1")
    (claim / "..data").symlink_to("..2026_11_28")
    (claim / "v1").symlink_to(Path("..data") / "v1")
    source = json.dumps({"pvc": {"claimName": "models", "path": "v1"}})
    fetch(settings(target, artifact(), model_source=source, model_claim=claim), {})
    assert names(target) == FILES
    assert not any(path.is_symlink() for path in target.iterdir())


def test_a_step_that_waits_for_its_store_goes_when_it_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "card.json")
    command = [
        *(sys.executable, "-m", "riskpredictor_server", "fetch"),
        *("--model", str(tmp_path / "model"), "--model-version", "v1"),
        *("--model-digest", f"sha256:{'0' * 64}", "--model-claim", str(tmp_path)),
        *("--model-source", '{"pvc":{"claimName":"models"}}'),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as step:
        assert step.stderr
        assert "fetching v1" in step.stderr.readline()
        step.terminate()
        # Not -15, which is how a process ends that leaves it to the system.
        assert step.wait() == 128 + signal.SIGTERM
