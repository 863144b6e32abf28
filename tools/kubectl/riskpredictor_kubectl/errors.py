"""The errors that end a command with a message."""

from __future__ import annotations


class PluginError(Exception):
    """Says what is wrong and, if there is one, the next step."""

    prefix = "error: "

    def __str__(self) -> str:
        return self.prefix + super().__str__()


class ServerError(PluginError):
    """The API server refused a request; worded as kubectl words it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.prefix = f"Error from server ({reason}): " if reason else "Error from server: "
