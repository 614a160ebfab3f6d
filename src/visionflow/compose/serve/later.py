"""MCP comes a moment after the ports: its library takes longer to load than a recovery takes.

It is loaded in a thread. Whoever asks for it meanwhile waits; everybody else is served.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from visionflow.domain.errors import VisionFlowError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class App(Protocol):
    """An ASGI app that is ended."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI."""
        ...

    async def aclose(self) -> None:
        """End what it has begun."""
        ...


class NotLoaded(VisionFlowError):
    """A part of the server could not be loaded; the rest serves."""

    code = "not_loaded"


class LaterApp:
    """The app that `load` gives, for whoever asks from now on. `aclose` ends it."""

    def __init__(
        self, load: Callable[[], Awaitable[App]], on_failure: Callable[[Exception], None]
    ) -> None:
        self._load = load
        self._on_failure = on_failure
        self._loading = asyncio.ensure_future(self._loaded())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI. It is up at once; a request waits until the app is there."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        app = await asyncio.shield(self._loading)
        if app is None:
            raise NotLoaded("This face could not be loaded; the log says why.")
        await app(scope, receive, send)

    async def aclose(self) -> None:
        """End the app, once it is loaded. Again is harmless where the app says so."""
        app = await asyncio.shield(self._loading)
        if app is not None:
            await app.aclose()

    async def _loaded(self) -> App | None:
        try:
            return await self._load()
        except Exception as error:
            self._on_failure(error)
            return None

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return
