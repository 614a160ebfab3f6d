"""Striking: the faults of a plan are done to real processes, each at its count of ended tasks."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from visionflow.adapters.os_processes import Identity, is_alive, send
from visionflow.testing.chaos.plan import ENDS, Fault, Stroke
from visionflow.testing.chaos.server import Server
from visionflow.testing.chaos.watching import Watcher, wall_ms
from visionflow.testing.chaos.wires import can_cut, cut

TARGET_S_MAX = 20.0
"""How long a fault waits for somebody whom it can hit."""
LOOK_S = 0.05
STARVED_S, FED_S = 0.135, 0.015
ORDER = "VISIONFLOW_WORKER"


class Struck(msgspec.Struct, frozen=True):
    """A fault that was brought about."""

    stroke: Stroke
    at_ms: int
    """By the clock on the wall."""
    worker: str | None = None
    """`None`: it hit the server."""


class Striker:
    """Carries out a plan's faults."""

    def __init__(self, strokes: tuple[Stroke, ...], server: Server, watcher: Watcher) -> None:
        self.struck: list[Struck] = []
        self.missed: list[tuple[Stroke, str]] = []
        """Faults that could not be brought about, and why."""
        self._strokes = strokes
        self._ends = [stroke.fault for stroke in strokes if stroke.fault in ENDS]
        """Ends in order that are still to come."""
        server.keeps_next = lambda: self._ends[:1] == [Fault.SERVER_UPGRADED]
        self._server = server
        self._watcher = watcher
        self._asleep: dict[Identity, int] = {}
        """Stopped processes, with how many faults hold them."""
        self._lasting: list[asyncio.Task[None]] = []
        self._cuts = can_cut()

    async def run(self) -> None:
        """All of them, one after the other; returns when the last one is over."""
        for stroke in self._strokes:
            await self._watcher.until(lambda at=stroke.at: self._watcher.ended >= at)
            await self._strike(stroke)
        await asyncio.gather(*self._lasting)

    async def heal(self) -> None:
        """End what lasts, and wake everybody."""
        for each in self._lasting:
            each.cancel()
        await asyncio.gather(*self._lasting, return_exceptions=True)
        for who in list(self._asleep):
            send(who, signal.SIGCONT)

    async def _strike(self, stroke: Stroke) -> None:
        if stroke.fault is Fault.WORKER_CUT and not self._cuts:
            self.missed.append((stroke, "this system does not let a connection be cut"))
            return
        try:
            async with asyncio.timeout(TARGET_S_MAX):
                while not self._hit(stroke):
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            self.missed.append((stroke, f"nobody was there to be hit for {TARGET_S_MAX:g} s"))

    def _hit(self, stroke: Stroke) -> bool:
        """Whether there was somebody."""
        at_ms = wall_ms()
        match stroke.fault:
            case Fault.SERVER_KILLED:
                hit = self._server.kill()
            case Fault.FRONT_KILLED:
                hit = self._server.identity is not None and self._server.kill_front()
            case Fault.SERVER_ENDED | Fault.SERVER_UPGRADED:
                hit = self._server.identity is not None and self._server.end()
            case Fault.SERVER_PAUSED:
                who = self._server.identity
                hit = who is not None and self._last(self._stopped(who, stroke.lasts_ms))
            case _:
                return self._hit_worker(stroke, at_ms)
        if hit:
            self.struck.append(Struck(stroke, at_ms))
            if stroke.fault in ENDS:
                self._ends.pop(0)
        return hit

    def _hit_worker(self, stroke: Stroke, at_ms: int) -> bool:
        living = {
            name: who
            for name, who in sorted(self._watcher.started.items())
            if is_alive(who) and who not in self._asleep
        }
        if not living:
            return False
        name = list(living)[stroke.rank % len(living)]
        who = living[name]
        match stroke.fault:
            case Fault.WORKER_KILLED:
                send(who, signal.SIGKILL)
            case Fault.WORKER_CUT:
                listening = _hub_of(who.pid)
                if listening is None or not cut(who.pid, listening):
                    return False
            case Fault.WORKER_STARVED:
                self._last(self._starved(who, stroke.lasts_ms))
            case _:
                self._last(self._stopped(who, stroke.lasts_ms))
        self.struck.append(Struck(stroke, at_ms, name))
        return True

    # What lasts --------------------------------------------------------------------------------

    def _last(self, fault: Any) -> bool:
        self._lasting.append(asyncio.create_task(fault))
        return True

    async def _stopped(self, who: Identity, lasts_ms: int) -> None:
        self._stop(who)
        try:
            await asyncio.sleep(lasts_ms / 1_000)
        finally:
            self._wake(who)

    async def _starved(self, who: Identity, lasts_ms: int) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + lasts_ms / 1_000
        while loop.time() < until and is_alive(who):
            self._stop(who)
            try:
                await asyncio.sleep(STARVED_S)
            finally:
                self._wake(who)
            await asyncio.sleep(FED_S)

    def _stop(self, who: Identity) -> None:
        self._asleep[who] = self._asleep.get(who, 0) + 1
        send(who, signal.SIGSTOP)

    def _wake(self, who: Identity) -> None:
        self._asleep[who] -= 1
        if not self._asleep[who]:
            del self._asleep[who]
            send(who, signal.SIGCONT)


def _hub_of(pid: int) -> Path | None:
    """The socket that a worker was told to dial, from its environment."""
    with suppress(OSError, msgspec.DecodeError, KeyError):
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        for entry in environment:
            name, _, value = entry.partition(b"=")
            if name == ORDER.encode():
                return Path(msgspec.json.decode(value, type=dict[str, Any])["socket"])
    return None
