"""Decides which requests a candidate answers, and which it is compared on: by a keyed hash.

The same key is always decided alike, and who is among 10 % is among 50 %, too. No state is kept, so
all pods decide alike, and one pod alone has the exact share.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from struct import Struct
from typing import Final

_SPLIT: Final = Struct("<3Q")
"""Three independent numbers of one hash."""
_RANGE: Final = 2**64


class Assignment:
    """Assigns requests of one roll-out by their keys: a subject's, or else the record."""

    def __init__(self, rollout_id: str, percent: float, sample: float) -> None:
        """``percent`` of keys are answered by the candidate, ``sample`` percent are compared."""
        self._key = rollout_id.encode()
        self._answered = round(_RANGE * percent / 100)
        self._sampled = round(_RANGE * sample / 100)

    def of(self, key: bytes) -> tuple[bool, bool, int]:
        """Return whether the candidate answers, whether it is compared, and its mark."""
        digest = blake2b(key, key=self._key, digest_size=24).digest()
        answered, sampled, mark = _SPLIT.unpack(digest)
        return answered < self._answered, sampled < self._sampled, mark

    def marks(self, keys: Iterable[bytes]) -> list[int]:
        """Return the mark of each key: 64 bits that tell it from others."""
        own = self._key
        return [_SPLIT.unpack(blake2b(k, key=own, digest_size=24).digest())[2] for k in keys]
