"""Requests that wait for their answer, by token. How they travel is for the caller."""

import asyncio

from visionflow.domain.errors import BusClosed, NoResponders


class Asks:
    """The open requests of one end of the bus."""

    def __init__(self) -> None:
        self._last = 0
        self._open: dict[str, asyncio.Future[bytes]] = {}

    def begin(self) -> tuple[str, asyncio.Future[bytes]]:
        """A token nobody had before, and what will hold the answer."""
        self._last += 1
        token = str(self._last)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._open[token] = answer
        return token, answer

    def answer(self, token: str, payload: bytes) -> bool:
        """The first reply has come; whether anybody still waits for it."""
        waiting = self._open.pop(token, None)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(payload)
        return True

    def nobody(self, token: str, subject: str) -> None:
        """Nobody listens there."""
        waiting = self._open.pop(token, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(NoResponders(f"Nobody listens on {subject}."))

    def end(self, why: str) -> None:
        """The connection is gone, and every answer with it."""
        waiting, self._open = list(self._open.values()), {}
        for answer in waiting:
            if not answer.done():
                answer.set_exception(BusClosed(why))

    async def wait(self, token: str, answer: asyncio.Future[bytes], timeout_ms: int) -> bytes:
        """The answer.

        Raises:
            TimeoutError: it did not come in time.
        """
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await answer
        finally:
            self._open.pop(token, None)
