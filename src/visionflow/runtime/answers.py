"""Answers to commands, for those who wait for them in a loop."""

import asyncio
from typing import TypeVar

from visionflow.domain.errors import refusal
from visionflow.engine.state import Answer, Denial

T = TypeVar("T")


def settle(future: "asyncio.Future[T]", value: T) -> None:
    """Give a future its value, unless whoever waited is gone."""
    if not future.done():
        future.set_result(value)


def accepted(answer: Answer) -> Answer:
    """The same answer.

    Raises:
        Refused: the command was not accepted, with the code and message on record.
    """
    if answer.code is not None:
        hint = answer.hint if isinstance(answer, Denial) else None
        raise refusal(answer.code, answer.message or answer.code, hint)
    return answer
