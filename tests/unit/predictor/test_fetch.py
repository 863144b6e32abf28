"""Nothing but the declared model ever stands in the folder, and what is wrong has a reason."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.predictor.support import artifact, changed_copy
from unit.predictor.test_artifact import Damage, edit, flip, other_weights

from riskpredictor_server.__main__ import main
from riskpredictor_server.model.artifact import load
from riskpredictor_server.store import optional, place, signature
from riskpredictor_server.store.errors import TERMINATION_BYTES, StoreError, termination_line
from riskpredictor_server.store.fetch import fetch
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
    for more in ([], ["--model-optional=on"]):
        with subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True) as step:
            assert step.stderr
            assert "fetching v1" in step.stderr.readline()
            step.terminate()
            # Not -15, which is how a process ends that leaves it to the system.
            assert step.wait() == 128 + signal.SIGTERM
            # Nor does a process stay that it began: the end of the log would not come.
            step.stderr.read()


def told(folder: Path) -> dict[str, str]:
    """What stands in the folder of an optional model that could not be had."""
    assert names(folder) == ["ERROR"]
    found: dict[str, str] = json.loads((folder / "ERROR").read_bytes())
    assert sorted(found) == ["message", "reason"]
    return found


class TestAnOptionalModel:
    """A candidate: the pod starts without it, and the server tells why."""

    @pytest.fixture(autouse=True)
    def _of_a_pod(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ended = tmp_path / "termination-log"
        self.ended.touch()
        monkeypatch.setenv("RISKPREDICTOR_TERMINATION_LOG", str(self.ended))

    @staticmethod
    def run(target: Path, folder: Path, **changed: str) -> int:
        """The exit code of the step, by flags as ``settings`` has them."""
        flags = {
            "model": str(target),
            "model_optional": "on",
            "model_version": "v1",
            "model_digest": digest_of(folder),
            "model_source": json.dumps({"folder": {"path": str(folder)}}),
            **changed,
        }
        return main(
            ["fetch", *(f"--{name.replace('_', '-')}={value}" for name, value in flags.items())]
        )

    def test_that_can_be_had_stands_in_the_folder_without_an_error(self, target: Path) -> None:
        assert self.run(target, artifact()) == 0
        assert names(target) == FILES

    @pytest.mark.parametrize(
        ("changed", "reason", "message"),
        [
            ({"model_source": json.dumps(NOWHERE)}, "ModelNotFound", "/nowhere has no card.json"),
            ({"model_digest": f"sha256:{'0' * 64}"}, "ModelDigestMismatch", "spec.model.digest is"),
            ({"model_version": "v7"}, "ModelRejected", "calls itself 'v1'"),
            ({"model_digest": "v1"}, "ModelFetchFailed", "--model-digest=v1: must be sha256:"),
            ({"model_source": ""}, "ModelFetchFailed", "--model-source=: must be JSON"),
            ({"fetch_timeout": "soon"}, "ModelFetchFailed", "--fetch-timeout=soon: must be"),
            ({"log_format": "xml"}, "ModelFetchFailed", "--log-format=xml: must be one of"),
            ({"colour": "red"}, "ModelFetchFailed", "unrecognized arguments: --colour=red"),
            ({"model_credentials": "/nowhere"}, "ModelFetchFailed", "/nowhere"),
            ({"model_public_key": "/nowhere"}, "ModelFetchFailed", "signature.publicKey"),
        ],
    )
    def test_that_cannot_be_had_leaves_its_reason_alone(
        self, changed: dict[str, str], reason: str, message: str, target: Path
    ) -> None:
        # A former model, which must not be taken for the declared one.
        shutil.copytree(artifact("v2"), target)
        assert self.run(target, artifact(), **changed) == 0
        found = told(target)
        assert found["reason"] == reason
        assert message in found["message"]
        assert names(target.parent) == ["stable"]
        # That of the container would say that the pod failed.
        assert self.ended.read_bytes() == b""

    def test_may_be_named_by_the_environment(
        self, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RISKPREDICTOR_MODEL", str(target))
        monkeypatch.setenv("RISKPREDICTOR_MODEL_OPTIONAL", "on")
        assert main(["fetch"]) == 0
        assert "RISKPREDICTOR_MODEL_VERSION is missing" in told(target)["message"]

    def test_that_can_be_had_at_last_takes_the_place_of_the_error(self, target: Path) -> None:
        assert self.run(target, artifact(), model_source=json.dumps(NOWHERE)) == 0
        told(target)
        assert self.run(target, artifact()) == 0
        assert names(target) == FILES

    def test_beside_which_an_error_stands_is_put_there_again(self, target: Path) -> None:
        shutil.copytree(artifact(), target)
        (target / "ERROR").write_text("of an earlier run")
        assert self.run(target, artifact()) == 0
        assert names(target) == FILES

    def test_fails_no_pod_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "models").write_text("a file where a folder should be")
        assert self.run(tmp_path / "models" / "stable", artifact()) == 0

    def test_is_not_the_former_one_even_if_the_volume_is_full(
        self, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise StoreError("ModelFetchFailed", "No space left on device")

        shutil.copytree(artifact("v2"), target)
        monkeypatch.setattr(place, "beside", full)
        assert self.run(target, artifact(), model_source=json.dumps(NOWHERE)) == 0
        assert not target.exists()

    @pytest.mark.parametrize(
        ("script", "message", "status"),
        [
            ("kill -9 $$", "the fetch step was ended by SIGKILL; its log says more", -9),
            ("exit 3", "the fetch step ended with code 3; its log says more", 3),
            ("exec sleep 600", "the fetch step did not end within 0.2 s", -9),
        ],
        ids=["killed", "ended", "endless"],
    )
    def test_may_end_its_own_process_only(
        self, script: str, message: str, status: int, target: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        self.step_that(script, tmp_path, monkeypatch)
        monkeypatch.setattr(optional, "LOAD_SECONDS", 0.2)
        steps: list[subprocess.Popen[bytes]] = []
        popen = subprocess.Popen

        def begin(*arguments: Any, **named: Any) -> subprocess.Popen[bytes]:
            steps.append(popen(*arguments, **named))
            return steps[-1]

        monkeypatch.setattr(subprocess, "Popen", begin)
        assert optional.run([], target, 0.0 if "sleep" in script else 60.0) == 0
        assert told(target) == {"reason": "ModelFetchFailed", "message": message}
        assert [step.returncode for step in steps] == [status]

    def test_may_leave_a_process_behind_that_is_not_waited_for(
        self, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = self.step_that(
            f"sleep 600 & echo $! > {tmp_path}/begun; exit 3", tmp_path, monkeypatch
        )
        assert optional.run([], target, 60.0) == 0
        assert "ended with code 3" in told(target)["message"]
        os.kill(int(begun.read_text()), signal.SIGKILL)

    def test_whose_step_says_nonsense_fails_no_pod(
        self, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.step_that(
            'for last; do :; done; echo "no JSON" > "${last#*=}"; exit 1', tmp_path, monkeypatch
        )
        assert optional.run([], target, 60.0) == 0
        assert "cannot be run" in told(target)["message"]

    def test_that_needs_too_much_memory_does_not_take_it_from_the_container(
        self, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limit = tmp_path / "memory.max"
        limit.write_text(f"{2**30}\n")
        monkeypatch.setattr(optional, "LIMITS", (tmp_path / "nowhere", limit))
        monkeypatch.setattr(optional, "MEMORY_SHARE", 0.25)
        large = "import time; taken = bytearray(400 << 20); time.sleep(600)"
        self.step_that(f"exec '{sys.executable}' -c '{large}'", tmp_path, monkeypatch)
        assert optional.run([], target, 600.0) == 0
        found = told(target)
        assert found["reason"] == "ModelFetchFailed"
        assert "raise spec.resources.limits.memory" in found["message"]

    @pytest.mark.parametrize(
        ("text", "limit"), [("268435456\n", 2.0**28), ("max\n", math.inf), (None, math.inf)]
    )
    def test_a_container_may_have_no_limit(
        self, text: str | None, limit: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "memory.max"
        if text:
            path.write_text(text)
        monkeypatch.setattr(optional, "LIMITS", (path,))
        assert optional.container_memory() == limit

    @staticmethod
    def step_that(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Put a shell script in the place of Python; return the file for its process id."""
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        return tmp_path / "begun"
