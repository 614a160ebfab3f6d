"""Port: where the shell reports what it is doing. Nothing here is needed for correctness."""

from typing import Protocol


class Telemetry(Protocol):
    """A line of log, with a stable code word that can be counted."""

    def log(self, level: str, agent: str | None, code: str, message: str) -> None:
        """`level` is one of debug, info, warning, error."""
        ...
