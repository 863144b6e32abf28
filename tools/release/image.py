"""Names of images, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(
    r"(?P<repository>[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9._-]+)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


class ImageError(Exception):
    """Not the name of an image; the message says what is expected."""


@dataclass(frozen=True)
class Image:
    """``repository[:tag][@digest]`` with at least one of the two."""

    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Image:
        """Raises ``ImageError``."""
        found = _NAME.fullmatch(text)
        # "host:5000" alone would pass as a repository with a port.
        if found is None or not (found["tag"] or found["digest"]):
            raise ImageError(
                f"operator image {text!r}: expected repository@sha256:<64 hex digits>, "
                "as pushing it tells, or repository:tag"
            )
        return cls(found["repository"], found["tag"] or "", found["digest"] or "")
