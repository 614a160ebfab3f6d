"""Lists in pages. A cursor names the last entry that was given, so that entries which come and go
in between neither repeat nor hide others."""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

T = TypeVar("T")


def page(
    entries: Sequence[tuple[str, T]], cursor: str | None, size: int
) -> tuple[list[T], str | None]:
    """At most `size` entries after the cursor, and the cursor of the next page if there is one.

    Raises:
        MCPError: the cursor is none of ours, or its entry is gone.
    """
    start = 0 if cursor is None else _after(entries, cursor)
    part = list(entries[start : start + size])
    more = start + size < len(entries)
    return [value for _, value in part], _sealed(part[-1][0]) if more else None


def _sealed(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _after(entries: Sequence[tuple[str, T]], cursor: str) -> int:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        name = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _stale(cursor) from error
    for index, (known, _) in enumerate(entries):
        if known == name:
            return index + 1
    raise _stale(cursor)


def _stale(cursor: str) -> MCPError:
    return MCPError(
        INVALID_PARAMS,
        f"The cursor {cursor[:80]!r} is not one of this list, or its entry is gone. "
        "Begin again without a cursor.",
        {"code": "stale_cursor"},
    )
