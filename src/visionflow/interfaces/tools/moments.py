"""Times as they leave: text in ISO 8601 and UTC, with milliseconds; lengths in seconds."""

from datetime import UTC, datetime


def iso(at_ms: int) -> str:
    """Milliseconds since the epoch as text, such as `2026-07-28T09:30:00.000Z`."""
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_or_none(at_ms: int | None) -> str | None:
    """The same, or nothing."""
    return None if at_ms is None else iso(at_ms)


def seconds(us: int | None) -> float | None:
    """Microseconds as seconds."""
    return None if us is None else us / 1_000_000
