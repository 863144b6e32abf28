"""Decides which requests a candidate answers, and which it is compared on: by a keyed hash.

The same key is always decided alike, and who is among 10 % is among 50 %, too. No state is kept, so
all pods decide alike, and one pod alone has the exact share.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import Final

_SPLIT: Final = Struct("<2Q")
"""Two independent numbers of one hash."""
_RANGE: Final = 2**64


class Assignment:
    """Assigns requests of one roll-out by their keys: a subject's, or else the record."""

    def __init__(self, rollout_id: str, percent: float, sample: float) -> None:
        """``percent`` of keys are answered by the candidate, ``sample`` percent are compared."""
        self._key = rollout_id.encode()
        self._answered = round(_RANGE * percent / 100)
        self._sampled = round(_RANGE * sample / 100)
        self._needs_hash = not (percent == 0 and sample == 100)

    def of(self, key: bytes) -> tuple[bool, bool]:
        """Return whether the candidate answers, and whether it is compared."""
        if not self._needs_hash:
            # Each request of a shadow.
            return False, True
        digest = blake2b(key, key=self._key, digest_size=16).digest()
        answered, sampled = _SPLIT.unpack(digest)
        return answered < self._answered, sampled < self._sampled
