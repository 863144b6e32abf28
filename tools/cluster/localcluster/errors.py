"""The one error that the command line turns into a message and an exit code."""

from __future__ import annotations


class ClusterError(Exception):
    """Something that a person has to act on.

    ``message`` says what went wrong, ``hint`` the next step. Neither needs a stack trace.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message
