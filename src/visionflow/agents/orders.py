"""A message as its sender hands it in."""

from typing import Any

import msgspec


class Order(msgspec.Struct, frozen=True):
    """A message to be sent."""

    target: str
    content: Any = None
    type: str = ""
    id: str = ""
    """Empty: made from where it is sent."""
    priority: int = 0
    correlation: str = ""
    answers: str = ""
    ttl_ms: int = 0
    """0: the usual."""
    answer_ms: int = 0
    """Of a request: how long an answer is waited for."""
