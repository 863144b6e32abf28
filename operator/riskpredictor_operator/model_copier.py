"""Keeps copies of the served models in the namespace, beside the passes and never in their way.

After the first verified start of a model its files are read from a ready pod, verified against the
declared digest, and kept in a ConfigMap. Without a pod that can be reached there is no copy, and
everything else goes on: the pods fetch from the store. A candidate is copied, too: each of its
steps replaces all pods, and none of them should need the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
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
    Wanted,
)
from riskpredictor_operator.core.observed import Ownership, ownership_of
from riskpredictor_operator.core.reading import SpecError
from riskpredictor_operator.core.slots import CANDIDATE, STABLE, Slot
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
_FILES = {STABLE: "/model/files", CANDIDATE: "/model/candidate/files"}
"""Where a pod hands out the files of its models."""


@dataclass
class _Known:
    """What is remembered of one predictor between two looks."""

    uid: str
    models: tuple[Wanted, ...]
    """The models of which there should be copies."""
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
    _asked: dict[Key, tuple[Wanted, ...]] = field(default_factory=dict, init=False)
    _known: dict[Key, _Known] = field(default_factory=dict, init=False)
    _tasks: dict[Key, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(AT_A_TIME), init=False
    )

    def ask(self, rp: RiskPredictor, models: Sequence[Wanted]) -> None:
        """Ask for copies of the models that a predictor has in its pods; returns at once."""
        key, known = rp.key, self._of(rp)
        self._asked[key] = tuple(models)
        if known and known.models == tuple(models) and self.monotonic() < known.due:
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
        self._asked.pop(key, None)
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
        rp, models = self._declared(key), self._asked.get(key)
        if rp is None or not models:
            return
        known = self._of(rp)
        if known is None or known.models != models:
            before = known.outcome.copies if known else self._in_status(key)
            known = self._known[key] = _Known(rp.uid, models, Outcome({}, before))
        signed = {model.digest for model in models if model.signed}
        held, states = [*known.outcome.copies], dict[str, str]()
        try:
            held = [each for each in held if await self._holds(rp, Wanted(each, each in signed))]
            for model in models:
                kept = model.digest in held
                states[model.digest] = KEPT if kept else await self._make(rp, model)
        except ApiError as error:
            if verdict_of(error) is not Verdict.REPORT:
                raise
            for model in models:
                if model.digest not in states:
                    why = f"the API server refuses it: {error.message}"
                    states[model.digest] = await self._tell(rp, model, REFUSED, why)
            held = [each for each in held if states.get(each) != REFUSED]
        copied = [digest for digest, state in states.items() if state == KEPT]
        copies = await self._prune(rp, copied, held) if copied else tuple(held)
        self._note(key, Outcome(states, copies))

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

    async def _holds(self, rp: RiskPredictor, model: Wanted) -> bool:
        """Whether there is an intact copy of a model."""
        live = await self.client.get(api.CONFIG_MAP, _key(rp, model.digest))
        return (
            live is not None
            and ownership_of(live, rp.key, rp.uid) is Ownership.OURS
            and _is_of_use(live, model)
        )

    async def _make(self, rp: RiskPredictor, model: Wanted) -> str:
        """Make the copy that is missing; returns what came of it, empty to try again."""
        live = await self.client.get(api.CONFIG_MAP, _key(rp, model.digest))
        whose = ownership_of(live, rp.key, rp.uid)
        if whose is Ownership.OURS and live is not None and _is_of_use(live, model):
            return KEPT
        if whose is Ownership.FOREIGN:
            name = names.model_copy_of(rp.key, model.digest)
            why = f"ConfigMap {name} exists and belongs to somebody else"
            return await self._tell(rp, model, REFUSED, why)
        if whose in (Ownership.LEFTOVER, Ownership.TERMINATING):
            self._again(rp.key, "an old copy of the model is still being deleted")
            return ""
        try:
            files = await self._files(rp, model)
        except TooLargeError:
            size = f"more than {SIZE_LIMIT // 1024} KiB"
            why = f"it has {size}; new pods need the store"
            return await self._tell(rp, model, TOO_LARGE, why)
        except (PodReadError, DamagedError, TimeoutError) as error:
            self._again(rp.key, f"no copy of the model yet: {error or 'no answer in time'}")
            return ""
        if files is None:
            return ""
        await self._replace(rp, model.digest, files, live)
        return KEPT

    async def _files(self, rp: RiskPredictor, model: Wanted) -> dict[str, bytes] | None:
        """The verified files of a model, from one of the pods that have it; None if there is no
        such pod any more."""
        found = await self._pod(rp, model.digest)
        if found is None:
            return None
        address, slot = found
        async with asyncio.timeout(READ_SECONDS):
            room = SIZE_LIMIT

            async def read(name: str) -> bytes | None:
                nonlocal room
                path = f"{_FILES[slot]}/{quote(name)}"
                content = await self.reader.read(address, api.CONTAINER_PORT, path, room)
                room -= len(content or b"")
                return content

            files = {CARD: await read(CARD) or b""}
            for name in model_copy.listed_files(files[CARD], model.digest):
                files[name] = await read(name) or b""
            if signature := await read(SIGNATURE):
                files[SIGNATURE] = signature
            elif model.signed:
                raise PodReadError(f"{address} has no {SIGNATURE}")
        model_copy.verify(files, model.digest)
        return files

    async def _pod(self, rp: RiskPredictor, digest: str) -> tuple[str, Slot] | None:
        """The address of a ready pod that has a model, another one at each try, and where it has
        it; or nothing."""
        deployment = self.cache.get(api.DEPLOYMENT, rp.key)
        if deployment is None:
            return None
        selector = names.selector_of(rp.key)
        listed = await self.client.list(api.POD, rp.key.namespace, selector, cached=True)
        found = {
            str(pod["status"]["podIP"]): slot
            for pod in pods.counted(listed, deployment)
            if pods.is_ready(pod)
            and (slot := pods.digests_of(pod).get(digest))
            and pod["status"].get("podIP")
        }
        addresses = sorted(found)
        if not addresses:
            return None
        address = addresses[self._known[rp.key].failures % len(addresses)]
        return address, found[address]

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

    async def _prune(
        self, rp: RiskPredictor, copied: Sequence[str], held: Iterable[str]
    ) -> tuple[str, ...]:
        """Delete the copies that are too many; returns the digests of the others."""
        kept, dropped = model_copy.remember(copied, held)
        for each in dropped:
            live = await self.client.get(api.CONFIG_MAP, _key(rp, each))
            if live is not None and ownership_of(live, rp.key, rp.uid) is Ownership.OURS:
                await self._delete(rp, each, live)
        return kept

    async def _delete(self, rp: RiskPredictor, digest: str, live: Body) -> None:
        await self.client.delete(api.CONFIG_MAP, _key(rp, digest), live["metadata"]["uid"])
        metrics.CHILD_WRITES.labels(api.CONFIG_MAP.plural, "delete").inc()

    async def _tell(self, rp: RiskPredictor, model: Wanted, state: str, why: str) -> str:
        """Record an Event, unless the status says it already; returns the state."""
        stored = (self.cache.get(api.RISKPREDICTOR, rp.key) or {}).get("status") or {}
        in_status = stored.get("model") or {}
        known = self._known[rp.key].outcome.states.get(model.digest)
        # The status tells of the model that answers alone.
        told = in_status.get("copy") if in_status.get("digest") == model.digest else ""
        if state not in (known, told):
            message = f"no copy of the model {model.digest} is kept in the namespace: {why}"
            logger.info("%s: %s", rp.key, message)
            event = events.Event("Warning", reasons.MODEL_NOT_COPIED, message)
            await events.record(self.client, rp.key, rp.uid, event)
        return state

    def _note(self, key: Key, outcome: Outcome) -> None:
        """Remember an outcome, and have it told if it is news."""
        known = self._known.get(key)
        if known is None:
            return
        news = outcome != known.outcome
        known.outcome = outcome
        if all(outcome.states.values()):
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


def _is_of_use(live: Body, model: Wanted) -> bool:
    """Whether pods that start can take a copy: it is whole, and signed where that is demanded."""
    signed = SIGNATURE in (live.get("binaryData") or {})
    return model_copy.is_intact(live, model.digest) and (signed or not model.signed)
