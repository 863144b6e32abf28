"""The fetch step of a pod: ``python -m riskpredictor_server fetch --help``.

What is in the folder already counts if it verifies, then the copy, then the source. Nothing that
does not verify is ever put into the folder.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from riskpredictor_server.logs import configure, print_startup_error
from riskpredictor_server.model.artifact import ERROR, ArtifactError, load
from riskpredictor_server.settings import PREFIX, SettingsError
from riskpredictor_server.store import optional, place
from riskpredictor_server.store.credentials import read_credentials, read_file
from riskpredictor_server.store.errors import (
    FETCH_FAILED,
    NOT_FOUND,
    REJECTED,
    StoreError,
    termination_line,
)
from riskpredictor_server.store.folder import Folder
from riskpredictor_server.store.library import new_context
from riskpredictor_server.store.settings import FetchSettings, optional_folder, parse
from riskpredictor_server.store.transport import FetchContext
from riskpredictor_server.store.verification import Wanted, read_artifact
from riskpredictor_server.store.words import without_secrets

log = logging.getLogger("riskpredictor")

_GRACE = 2.0
"""Seconds after the deadline in which a transport may end by itself: it knows better why."""


def main(argv: Sequence[str]) -> int:
    """Fetch the model. Returns 0, 1 if that failed, 2 for a wrong setting.

    A model that is optional gives 0 in any case: see ``optional``.
    """
    try:
        settings = parse(argv)
    except SettingsError as error:
        print_startup_error(str(error), error.log_format)
        text = f"a setting of the fetch step is wrong: {error}"
        folder = optional_folder(argv)
        if folder is not None:
            configure(error.log_format, "info")
            return optional.without(folder, FETCH_FAILED, text)
        path = os.environ.get(f"{PREFIX}TERMINATION_LOG", FetchSettings.termination_log)
        _tell(Path(path), FETCH_FAILED, text)
        return 2
    configure(settings.log_format, settings.log_level)
    if settings.model_optional == "on":
        return optional.run(argv, settings.model, settings.fetch_timeout + _GRACE)
    credentials: dict[str, str] = {}
    try:
        credentials = read_credentials(settings.model_credentials)
        fetch(settings, credentials)
    except StoreError as error:
        return _failed(settings, error.reason, without_secrets(error.message, credentials.values()))
    except Exception as error:
        shown = without_secrets(traceback.format_exc(), credentials.values())
        log.error("%s", shown)  # noqa: TRY400 - exception() would show it as it is
        text = without_secrets(f"{type(error).__name__}: {error}", credentials.values())
        return _failed(settings, FETCH_FAILED, f"a fault of the fetch step: {text}")
    return 0


def fetch(settings: FetchSettings, credentials: dict[str, str]) -> None:
    """Make ``settings.model`` hold the declared model; raises StoreError."""
    started, target = time.monotonic(), settings.model
    key = read_file(settings.model_public_key, "spec.model.signature.publicKey")
    wanted = Wanted(settings.model_version, settings.model_digest.removeprefix("sha256:"), key)
    place.remove_leftovers(target)
    if _is_there(target, wanted):
        return
    if not _take_copy(settings.model_copy, wanted, target):
        source = settings.place
        log.info("fetching %s, %s, from %s", wanted.version, settings.model_digest, source.address)
        context = _context(settings, credentials)

        def read() -> dict[str, bytes]:
            return read_artifact(source.open(context), source.address, wanted)

        _take(
            lambda: _in_time(read, source.address, settings.fetch_timeout), source.address, target
        )
    log.info(
        "%s, %s, is in %s after %.2f s",
        wanted.version, settings.model_digest, target, time.monotonic() - started,
    )  # fmt: skip


def _is_there(target: Path, wanted: Wanted) -> bool:
    """Whether the folder holds the model: the kubelet may run this step again in the same pod."""
    if not target.exists() or (target / ERROR).exists():
        return False
    try:
        read_artifact(Folder(target, str(target)), str(target), wanted)
        load(target)
    except (StoreError, ArtifactError) as error:
        log.warning("%s is replaced: %s", target, error)
        return False
    log.info("%s is in %s already", wanted.version, target)
    return True


def _take_copy(copy: str, wanted: Wanted, target: Path) -> bool:
    """Take the copy in the cluster if there is one and it verifies: then no store is needed."""
    if not copy:
        return False
    try:
        where = "the copy in the cluster"
        _take(lambda: read_artifact(Folder(Path(copy), where), where, wanted), where, target)
    except StoreError as error:
        if error.reason == NOT_FOUND:
            log.info("there is no whole copy in the cluster yet")
        else:
            log.warning("the copy in the cluster is not used: %s: %s", error.reason, error.message)
        return False
    log.info("taken from the copy in the cluster, without the store")
    return True


def _take(read: Callable[[], dict[str, bytes]], where: str, target: Path) -> None:
    files = read()
    with place.beside(target, files) as made:
        del files
        try:
            load(made)
        except ArtifactError as error:
            text = str(error).replace(f"{made}/", "")
            raise StoreError(REJECTED, f"the model at {where}: {text}") from error
        place.put(made, target)


def _in_time(read: Callable[[], dict[str, bytes]], where: str, seconds: float) -> dict[str, bytes]:
    """Return what ``read`` returns; raises StoreError soon after the deadline, whatever it does.

    Transports look at the clock between two packets. What no transport can end: a head that never
    ends, byte by byte; a pipe or a dead network volume in the place of a file.
    """
    files: list[dict[str, bytes]] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            files.append(read())
        except Exception as error:
            errors.append(error)

    # A daemon, which the process does not wait for when it exits.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds + _GRACE)
    if errors:
        raise errors[0]
    if not files:
        raise StoreError(
            FETCH_FAILED,
            f"{where}: an answer began and does not end; the time for the whole fetch,"
            f" {seconds:g} s, is over",
        )
    return files[0]


def _context(settings: FetchSettings, credentials: dict[str, str]) -> FetchContext:
    context = new_context(
        credentials,
        Path(settings.model_ca) if settings.model_ca else None,
        settings.fetch_timeout,
        settings.fetch_idle_timeout,
    )
    return replace(context, claim=settings.model_claim, incoming=settings.model_incoming)


def _failed(settings: FetchSettings, reason: str, message: str) -> int:
    log.error("%s: %s", reason, message)
    _tell(settings.termination_log, reason, message)
    return 1


def _tell(path: Path, reason: str, message: str) -> None:
    """Write the reason to the termination log, which exists in a pod."""
    if path.exists():
        try:
            path.write_bytes(termination_line(reason, message))
        except OSError as error:
            log.warning("%s cannot be written: %s", path, error.strerror)
