"""What every face of an embedded fleet is made of: commands in, and what the state says."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from visionflow.domain.commands import AnyCommand
from visionflow.engine.state import Answer
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import sound
from visionflow.runtime.node import Node
from visionflow.runtime.queries import Queries

T = TypeVar("T")
Post = Callable[[Callable[[], None]], None]
Ask = Callable[[AnyCommand], Answer]
Face = Callable[[Node, Blobs, Queries, Post, Ask], T]
POLL_S = 0.2


class EmbeddedFace:
    """Made by `Fleet.face`, for the caller's loop."""

    def __init__(self, node: Node, blobs: Blobs, queries: Queries, post: Post, ask: Ask) -> None:
        """`post` runs something in the runtime's thread; `ask` blocks until it was decided."""
        self._node = node
        self._post = post
        self._ask = ask
        self.blobs = blobs
        self.queries = queries

    async def _do(self, command: AnyCommand) -> Answer:
        """Have a command decided; returns once the outcome is durable."""
        return await asyncio.to_thread(lambda: self._ask(sound(command)))

    async def _read(self, look: Callable[[], T]) -> T:
        """Look at what belongs to the runtime's thread, and tell it once all of it is durable.

        Raises:
            VisionFlowError: the runtime has ended, or `look` says so.
        """
        found: Future[T] = Future()

        def read() -> None:
            if not found.set_running_or_notify_cancel():
                return
            try:
                seen = look()
            except Exception as error:
                found.set_exception(error)
            else:
                self._node.control.after_commit(lambda: found.set_result(seen))

        self._post(read)
        return await self._unless_over(found)

    async def _unless_over(self, found: "Future[T]") -> T:
        """Wait for what the runtime's thread will say, unless it ends before."""
        waiting = asyncio.wrap_future(found)
        while True:
            done, _ = await asyncio.wait({waiting}, timeout=POLL_S)
            if done:
                return waiting.result()
            if self._node.control.failure is not None:
                raise self._node.control.failure
