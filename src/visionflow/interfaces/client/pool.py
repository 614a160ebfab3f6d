"""Connections to one server, kept and made anew; calls that are asked again until they are done.

A call that changes something carries a key, so that asking again after a lost connection does not
do it twice: the server gives its first answer again.
"""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from visionflow.domain.errors import RateLimited, ServerUnreachable, UsageError
from visionflow.interfaces.client.connection import Address, LineConnection, OnProgress

T = TypeVar("T")
BACKOFF_S = 0.05
BACKOFF_S_MAX = 2.0
RETRY_AFTER_S_MAX = 60.0
"""A server that says to come back later than this is told to the caller instead."""


class Pool:
    """Up to `size` connections. Belongs to one loop."""

    def __init__(
        self,
        address: Address,
        *,
        size: int,
        attempts: int,
        token: str | None,
        name: str,
        version: str,
    ) -> None:
        """`attempts`: how often a call is asked in all. Nothing is connected yet."""
        if size < 1 or attempts < 1:
            raise UsageError("pool_size and retry_attempts are at least 1.")
        self.address = address
        self.client = uuid.uuid4().hex
        self._size = size
        self._attempts = attempts
        self._token = token
        self._name = name
        self._version = version
        self._open: list[LineConnection] = []
        self._opening = asyncio.Lock()
        self._closed = False

    @property
    def connections(self) -> int:
        """Those that are open."""
        return sum(1 for each in self._open if not each.lost)

    @property
    def server(self) -> dict[str, Any]:
        """What the server said of itself, when there was a connection yet."""
        return self._open[-1].server if self._open else {}

    async def connect(self, timeout_s: float | None) -> None:
        """See to it that there is a connection.

        Raises:
            ServerUnreachable: none can be made, however often it was tried, or not in time.
        """
        try:
            await self._again(self._connected, timeout_s)
        except TimeoutError as error:
            raise ServerUnreachable(
                f"No server answered at {self.address} within {timeout_s:g} s.",
                hint="See whether one runs there, and whether the way to it is open.",
            ) from error

    async def request(
        self,
        method: str,
        params: dict[str, Any],
        *,
        timeout_s: float | None,
        on_progress: OnProgress | None = None,
        attempts: int | None = None,
    ) -> Any:
        """Ask, on another connection if need be, until there is an answer.

        Raises:
            TimeoutError: there was none in time. What was begun may go on.
            ServerUnreachable: no connection could be made, or each was lost.
            VisionFlowError: what the server answered.
        """

        async def ask() -> Any:
            connection = await self._connected()
            return await connection.request(method, params, on_progress)

        return await self._again(ask, timeout_s, attempts)

    async def close(self) -> None:
        """End all connections; a call under way is told that they are gone."""
        self._closed = True
        open_now, self._open = self._open, []
        for connection in open_now:
            await connection.close()

    async def _again(
        self,
        ask: Callable[[], Awaitable[T]],
        timeout_s: float | None,
        attempts: int | None = None,
    ) -> T:
        last = attempts or self._attempts
        async with asyncio.timeout(timeout_s):
            for attempt in range(1, last + 1):
                try:
                    return await ask()
                except ServerUnreachable:
                    if attempt == last or self._closed:
                        raise
                    wait_s = min(BACKOFF_S * 2 ** (attempt - 1), BACKOFF_S_MAX)
                    await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
                except RateLimited as error:
                    after_s = (error.retry_after_ms or 1_000) / 1_000
                    if attempt >= min(last, self._attempts) or after_s > RETRY_AFTER_S_MAX:
                        raise
                    await asyncio.sleep(after_s)
        raise AssertionError("the last attempt returns or raises")

    async def _connected(self) -> LineConnection:
        """The connection with the least under way; a new one while all are busy and there may be
        more."""
        async with self._opening:
            if self._closed:
                raise UsageError("This client was closed.", hint="Make a new one.")
            self._open = [each for each in self._open if not each.lost]
            least = min(self._open, key=lambda each: each.under_way, default=None)
            if least is not None and (least.under_way == 0 or len(self._open) >= self._size):
                return least
            made = await LineConnection.open(
                self.address,
                token=self._token,
                client=self.client,
                name=self._name,
                version=self._version,
            )
            self._open.append(made)
            return made
