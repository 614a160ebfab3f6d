"""Progress of one call, from the tool that reports it to the client that asked for it.

A tool reports whenever it likes and waits for nobody; what was not sent yet is replaced by what is
newer. The protocol wants each number to be larger than the last.
"""

import asyncio
import math
from typing import Any

from visionflow.interfaces.mcp.links import Context

LITTLE = 1e-6


class Telling:
    """What there is to tell of one call."""

    def __init__(self) -> None:
        self._news: tuple[float | None, str] | None = None
        self._woken: asyncio.Event = asyncio.Event()
        self._last = -1.0
        self._known = False

    def report(self, fraction: float | None, note: str) -> None:
        """How far the call is, 0 to 1 or unknown."""
        self._news = (fraction, note)
        self._woken.set()

    async def send(self, ctx: Context) -> None:
        """Send what is new, if anything is."""
        self._woken.clear()
        news, self._news = self._news, None
        if news is None:
            return
        fraction, note = news
        self._known = self._known or fraction is not None
        if fraction is None or fraction <= self._last:
            # A note without a step forward: a little more, or the least number that is larger.
            further = self._last + LITTLE
            fraction = further if further < 1 else math.nextafter(self._last, 2.0)
            fraction = fraction if self._last >= 0 else 0.0
        self._last = fraction
        await ctx.session.report_progress(fraction, 1.0 if self._known else None, note or None)

    async def until(self, done: "asyncio.Future[Any]", ctx: Context) -> None:
        """Tell what there is to tell until the call is done. Cancelling this leaves the call."""
        while not done.done():
            woken = asyncio.ensure_future(self._woken.wait())
            try:
                await asyncio.wait({done, woken}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                woken.cancel()
            await self.send(ctx)
