"""A connection that breaks while something is written: who asked hears of it, once."""

import asyncio
import gc
from contextlib import suppress
from typing import Any, cast

from visionflow.interfaces.client.connection import Address, ConnectionLost, LineConnection


class BrokenWriter:
    """Takes what is written, and finds that the other end is gone."""

    def write(self, data: bytes) -> None:
        """Into the void."""

    async def drain(self) -> None:
        raise ConnectionResetError("Connection lost")

    def close(self) -> None:
        """Nothing is open."""

    async def wait_closed(self) -> None:
        """At once."""


def test_a_write_that_breaks_is_told_to_who_asked_and_to_nobody_else() -> None:
    unheard: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: unheard.append(told))
        writer = cast("asyncio.StreamWriter", BrokenWriter())
        connection = LineConnection(Address(), asyncio.StreamReader(), writer)
        with suppress(ConnectionLost):
            await connection.request("ping", {})
        assert connection.lost
        await connection.close()

    asyncio.run(main())
    gc.collect()
    assert unheard == []
