"""Keeps copies of the served models in the namespace, beside the passes and never in their way.

After the first verified start of a model its files are read from a ready pod, verified against the
declared digest, and kept in a ConfigMap. Without a pod that can be reached there is no copy, and
everything else goes on: the pods fetch from the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from riskpredictor_operator import events, metrics
from riskpredictor_operator.core import api, model_copy, names, pods, reasons
from riskpredictor_operator.core.model_copy import (
    CARD,
    KEPT,
    REFUSED,
    SIGNATURE,
    SIZE_LIMIT,
    TOO_LARGE,
    DamagedError,
    Outcome,
)
from riskpredictor_operator.core.observed import Ownership, ownership_of
from riskpredictor_operator.core.reading import SpecError
from riskpredictor_operator.core.spec import RiskPredictor, parse
from riskpredictor_operator.kube import ApiError, Body, Key, Verdict, verdict_of
from riskpredictor_operator.runtime.cache import Cache
from riskpredictor_operator.runtime.client import Client
from riskpredictor_operator.runtime.pod_http import PodReadError, Reader, TooLargeError
from riskpredictor_operator.runtime.workqueue import Backoff
from riskpredictor_operator.runtime.write_guard import LeadershipLostError

logger = logging.getLogger(__name__)

AT_A_TIME = 4
"""Predictors that are looked at side by side."""
READ_SECONDS = 2.0
"""How long reading all files from a pod may take."""
LOOK_SECONDS = 300.0
"""After how long a pass has the copies looked at again: somebody may have deleted or replaced one.
Less than the time between two periodic passes."""
BACKOFF = Backoff(base=5.0, limit=600.0)


@dataclass
class _Known:
    """What is remembered of one predictor between two looks."""

    uid: str
    outcome: Outcome
    due: float = 0.0
    """Monotonic time of the next look."""
    failures: int = 0


@dataclass
class ModelCopier:
    """Makes, checks and deletes copies; a restart may lose what it remembers."""

    client: Client
    cache: Cache
    reader: Reader
    wake: Callable[[Key], None]
    """Queues a pass over a predictor: its status has news, or a look is due."""
    monotonic: Callable[[], float]
    _known: dict[Key, _Known] = field(default_factory=dict, init=False)
    _tasks: dict[Key, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(AT_A_TIME), init=False
    )

    def ask(self, rp: RiskPredictor, digest: str) -> None:
        """Ask for a copy of the model that a predictor serves; returns at once."""
        key, known = rp.key, self._of(rp)
        if known and known.outcome.digest == digest and self.monotonic() < known.due:
            return
        if key not in self._tasks:
            task = asyncio.create_task(self._look(key), name=f"copy of the model of {key}")
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def outcome(self, rp: RiskPredictor) -> Outcome | None:
        """What is known of the copies of a predictor; None before the first look."""
        known = self._of(rp)
        return known.outcome if known else None

    def forget(self, key: Key) -> None:
        """Forget a predictor that is gone; garbage collection deletes its copies."""
        self._known.pop(key, None)

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.reader.close()

    def _of(self, rp: RiskPredictor) -> _Known | None:
        """What is known of a predictor, and not of a former one of its name."""
        known = self._known.get(rp.key)
        return known if known and known.uid == rp.uid else None

    async def _look(self, key: Key) -> None:
        async with self._slots:
            try:
                await self._copy(key)
            except LeadershipLostError:
                return
            except ApiError as error:
                self._again(key, f"the copy of the model: {error}")
            except Exception:
                # A bug here must not stop anything else.
                logger.exception("%s: unexpected error with the copy of the model", key)
                self._again(key, "unexpected error")

    async def _copy(self, key: Key) -> None:
        rp = self._declared(key)
        if rp is None or rp.model is None:
            return
        digest = rp.model.digest
        known = self._of(rp)
        if known is None or known.outcome.digest != digest:
            before = known.outcome.copies if known else self._in_status(key)
            known = self._known[key] = _Known(rp.uid, Outcome(digest, "", before))
        try:
            held = [each for each in known.outcome.copies if await self._holds(rp, each)]
            state = await self._make(rp, digest) if digest not in held else KEPT
        except ApiError as error:
            if verdict_of(error) is not Verdict.REPORT:
                raise
            await self._tell(rp, REFUSED, f"the API server refuses it: {error.message}")
            state, held = REFUSED, [each for each in known.outcome.copies if each != digest]
        copies = await self._prune(rp, digest, held) if state == KEPT else tuple(held)
        self._note(key, Outcome(digest, state, copies))

    def _declared(self, key: Key) -> RiskPredictor | None:
        body = self.cache.get(api.RISKPREDICTOR, key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            self.forget(key)
            return None
        try:
            return parse(body)
        except SpecError:
            return None

    def _in_status(self, key: Key) -> tuple[str, ...]:
        body = self.cache.get(api.RISKPREDICTOR, key) or {}
        return tuple((body.get("status") or {}).get("modelCopies") or ())

    async def _holds(self, rp: RiskPredictor, digest: str) -> bool:
        """Whether there is an intact copy of a model."""
        live = await self.client.get(api.CONFIG_MAP, _key(rp, digest))
        return (
            live is not None
            and ownership_of(live, rp.key, rp.uid) is Ownership.OURS
            and _is_of_use(live, rp, digest)
        )

    async def _make(self, rp: RiskPredictor, digest: str) -> str:
        """Make the copy that is missing; returns what came of it, empty to try again."""
        live = await self.client.get(api.CONFIG_MAP, _key(rp, digest))
        whose = ownership_of(live, rp.key, rp.uid)
        if whose is Ownership.OURS and live is not None and _is_of_use(live, rp, digest):
            return KEPT
        if whose is Ownership.FOREIGN:
            name = names.model_copy_of(rp.key, digest)
            await self._tell(rp, REFUSED, f"ConfigMap {name} exists and belongs to somebody else")
            return REFUSED
        if whose in (Ownership.LEFTOVER, Ownership.TERMINATING):
            self._again(rp.key, "an old copy of the model is still being deleted")
            return ""
        try:
            files = await self._files(rp, digest)
        except TooLargeError:
            size = f"more than {SIZE_LIMIT // 1024} KiB"
            await self._tell(rp, TOO_LARGE, f"it has {size}; new pods need the store")
            return TOO_LARGE
        except (PodReadError, DamagedError, TimeoutError) as error:
            self._again(rp.key, f"no copy of the model yet: {error or 'no answer in time'}")
            return ""
        if files is None:
            return ""
        await self._replace(rp, digest, files, live)
        return KEPT

    async def _files(self, rp: RiskPredictor, digest: str) -> dict[str, bytes] | None:
        """The verified files of a model, from one of the pods that serve it; None if there is no
        such pod any more."""
        address = await self._address(rp, digest)
        if not address:
            return None
        async with asyncio.timeout(READ_SECONDS):
            room = SIZE_LIMIT

            async def read(name: str) -> bytes | None:
                nonlocal room
                path = f"/model/files/{quote(name)}"
                content = await self.reader.read(address, api.CONTAINER_PORT, path, room)
                room -= len(content or b"")
                return content

            files = {CARD: await read(CARD) or b""}
            for name in model_copy.listed_files(files[CARD], digest):
                files[name] = await read(name) or b""
            if signature := await read(SIGNATURE):
                files[SIGNATURE] = signature
            elif _needs_signature(rp, digest):
                raise PodReadError(f"{address} has no {SIGNATURE}")
        model_copy.verify(files, digest)
        return files

    async def _address(self, rp: RiskPredictor, digest: str) -> str:
        """The address of a ready pod that serves a model, another one at each try; or nothing."""
        deployment = self.cache.get(api.DEPLOYMENT, rp.key)
        if deployment is None:
            return ""
        selector = names.selector_of(rp.key)
        listed = await self.client.list(api.POD, rp.key.namespace, selector, cached=True)
        addresses = sorted(
            str(pod["status"]["podIP"])
            for pod in pods.counted(listed, deployment)
            if pods.is_ready(pod) and pods.digest_of(pod) == digest and pod["status"].get("podIP")
        )
        return addresses[self._known[rp.key].failures % len(addresses)] if addresses else ""

    async def _replace(
        self, rp: RiskPredictor, digest: str, files: dict[str, bytes], live: Body | None
    ) -> None:
        """Create a copy in place of a damaged one."""
        if live is not None:
            await self._delete(rp, digest, live)
            logger.warning("%s: a damaged copy of the model is made anew", rp.key)
        await self.client.create(api.CONFIG_MAP, model_copy.build_copy(rp, digest, files))
        metrics.CHILD_WRITES.labels(api.CONFIG_MAP.plural, "create").inc()
        logger.info("%s: keeps a copy of the model %s", rp.key, digest)

    async def _prune(self, rp: RiskPredictor, digest: str, held: Iterable[str]) -> tuple[str, ...]:
        """Delete the copies that are too many; returns the digests of the others."""
        kept, dropped = model_copy.remember(digest, held)
        for each in dropped:
            live = await self.client.get(api.CONFIG_MAP, _key(rp, each))
            if live is not None and ownership_of(live, rp.key, rp.uid) is Ownership.OURS:
                await self._delete(rp, each, live)
        return kept

    async def _delete(self, rp: RiskPredictor, digest: str, live: Body) -> None:
        await self.client.delete(api.CONFIG_MAP, _key(rp, digest), live["metadata"]["uid"])
        metrics.CHILD_WRITES.labels(api.CONFIG_MAP.plural, "delete").inc()

    async def _tell(self, rp: RiskPredictor, state: str, why: str) -> None:
        """Record an Event, unless the status says it already."""
        stored = (self.cache.get(api.RISKPREDICTOR, rp.key) or {}).get("status") or {}
        model = stored.get("model") or {}
        known = self._known[rp.key].outcome
        # While a roll-out goes on, the status is of the former model.
        told = model.get("copy") if rp.model and model.get("digest") == rp.model.digest else ""
        if rp.model is None or state in (known.state, told):
            return
        message = f"no copy of the model {rp.model.digest} is kept in the namespace: {why}"
        logger.info("%s: %s", rp.key, message)
        event = events.Event("Warning", reasons.MODEL_NOT_COPIED, message)
        await events.record(self.client, rp.key, rp.uid, event)

    def _note(self, key: Key, outcome: Outcome) -> None:
        """Remember an outcome, and have it told if it is news."""
        known = self._known.get(key)
        if known is None:
            return
        news = outcome != known.outcome
        known.outcome = outcome
        if outcome.state:
            known.due, known.failures = self.monotonic() + LOOK_SECONDS, 0
        if news:
            self.wake(key)

    def _again(self, key: Key, why: str) -> None:
        known = self._known.get(key)
        if known is None:
            return
        delay = BACKOFF.delay(known.failures)
        known.due, known.failures = self.monotonic() + delay, known.failures + 1
        logger.debug("%s: %s; next try in %.0f s", key, why, delay)
        asyncio.get_running_loop().call_later(delay, self.wake, key)


def _key(rp: RiskPredictor, digest: str) -> Key:
    return Key(rp.key.namespace, names.model_copy_of(rp.key, digest))


def _is_of_use(live: Body, rp: RiskPredictor, digest: str) -> bool:
    """Whether pods that start can take a copy: it is whole, and signed where that is demanded."""
    signed = SIGNATURE in (live.get("binaryData") or {})
    return model_copy.is_intact(live, digest) and (signed or not _needs_signature(rp, digest))


def _needs_signature(rp: RiskPredictor, digest: str) -> bool:
    """Whether a model is declared to be signed; of former models it is not known."""
    return rp.model is not None and rp.model.digest == digest and rp.model.public_key is not None
