"""How fast each tool may be started, for all runs of a user together: additive increase,
multiplicative decrease, as congestion control does it.

A go holds a slot, which is a locked file: the kernel frees it with the last process that has it
open, so neither a crash nor a kill keeps one. How many may be held at once halves when the tool's
provider asks for patience, once for all goes that were under way then, and rises by one with each
go that went well. Nothing starts before the time that the provider named.
"""

import asyncio
import fcntl
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from visionflow.domain.limits import THROTTLE_MS_MAX

SLOTS_MAX = 64
"""Of one tool at once, where nobody asked for patience."""
_POLL_S = (0.05, 1.0)
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


class Pace(msgspec.Struct, frozen=True):
    """How fast a tool may be started."""

    limit: int = SLOTS_MAX
    """At most so many at once."""
    until_ms: int = 0
    """Nothing starts before; ms since the epoch."""
    set_at_ms: int = 0
    """When `until_ms` was set, by the same clock."""
    refusals: int = 0
    """How often it was slowed down. Goes that began before the last time slow it down no more."""


class Busy(msgspec.Struct, frozen=True):
    """Why no further go may start now."""

    held: int
    limit: int
    until_ms: int | None
    """`None`: as soon as a slot is free."""


def paced(pace: Pace, now_ms: int, *, most: int = SLOTS_MAX) -> Pace:
    """The same where the clock went backwards or the file says what cannot be: no wait is longer
    than it was when it was asked for."""
    limit = min(max(pace.limit, 1), most)
    wait = min(max(pace.until_ms - pace.set_at_ms, 0), THROTTLE_MS_MAX)
    set_at = now_ms if now_ms < pace.set_at_ms else pace.set_at_ms
    return Pace(limit, set_at + wait, set_at, max(pace.refusals, 0))


def slowed(pace: Pace, now_ms: int, *, wait_ms: int, at_once: int, known: int) -> Pace:
    """After the provider asked for patience.

    `at_once`: how many were held; `known`: `refusals` when the go began that was refused.
    """
    pace = paced(pace, now_ms)
    until = max(pace.until_ms, now_ms + min(max(wait_ms, 0), THROTTLE_MS_MAX))
    if known < pace.refusals:
        return msgspec.structs.replace(pace, until_ms=until, set_at_ms=now_ms)
    limit = max(1, min(pace.limit, max(at_once, 1)) // 2)
    return Pace(limit, until, now_ms, pace.refusals + 1)


def quickened(pace: Pace, *, most: int = SLOTS_MAX) -> Pace:
    """After a go that went well."""
    return msgspec.structs.replace(pace, limit=min(pace.limit + 1, most))


def busy(pace: Pace, held: int, now_ms: int) -> Busy | None:
    """Why none may start; `None` when one may."""
    if now_ms < pace.until_ms:
        return Busy(held, pace.limit, pace.until_ms)
    return Busy(held, pace.limit, None) if held >= pace.limit else None


class Slot:
    """The right to run one go. `descriptor` may be handed on to processes; whoever has it open
    holds the slot."""

    def __init__(self, descriptor: int, known: int) -> None:
        self.descriptor = descriptor
        self.known = known
        """`Pace.refusals` when it was taken."""

    def close(self) -> None:
        """Give it back, as far as nobody else has it open. May be called again."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Governor:
    """The slots of one tool, in a folder that all processes of the user share.

    Methods raise OSError where the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        tool: str,
        *,
        most: int = SLOTS_MAX,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self.tool = tool
        self._folder = folder / (_PLAIN.sub("-", tool)[:100] or "tool")
        self._most = most
        self._now_ms = now_ms or (lambda: int(time.time() * 1000))

    @property
    def pace(self) -> Pace:
        """What holds now."""
        return self._read()

    def take(self) -> Slot | Busy:
        """A slot, or why there is none now."""
        with _Locked(self._folder / "lock"):
            return self._taken()

    async def slot(
        self, on_wait: Callable[[Busy], None], patience: Callable[[Busy], None] | None = None
    ) -> Slot:
        """A slot, waited for. `on_wait` is told at every look why; `patience` may raise to end
        the waiting."""
        pause = _POLL_S[0]
        while True:
            # In the loop, as a slot that a thread takes for somebody cancelled would be lost; so
            # nothing may block here.
            try:
                with _Locked(self._folder / "lock", fcntl.LOCK_NB):
                    found = self._taken()
            except BlockingIOError:
                found = None
            if isinstance(found, Slot):
                return found
            if found is not None:
                on_wait(found)
                if patience is not None:
                    patience(found)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _POLL_S[1])

    def slow_down(self, slot: Slot, wait_ms: int) -> Pace:
        """The provider asked the go in this slot for patience."""
        with _Locked(self._folder / "lock"):
            free, held = self._look()
            if free is not None:
                os.close(free)
            pace = slowed(
                self._read(), self._now_ms(), wait_ms=wait_ms, at_once=held, known=slot.known
            )
            self._write(pace)
            return pace

    def went_well(self) -> Pace:
        """A go ended without being asked for patience."""
        with _Locked(self._folder / "lock"):
            before = self._read()
            pace = quickened(before, most=self._most)
            if pace != before:
                self._write(pace)
            return pace

    def _taken(self) -> Slot | Busy:
        pace = self._read()
        free, held = self._look()
        found = busy(pace, held, self._now_ms())
        if found is None and free is not None:
            return Slot(free, pace.refusals)
        if free is not None:
            os.close(free)
        return found or Busy(held, self._most, None)

    def _look(self) -> tuple[int | None, int]:
        """A free slot, locked and open, and how many are held. Under the lock only."""
        free: int | None = None
        held = 0
        for number in range(self._most):
            place = self._folder / f"slot-{number}"
            if not place.exists() and free is not None:
                break
            got = _locked(place)
            if got is None:
                held += 1
            elif free is None:
                free = got
            else:
                os.close(got)
        return free, held

    def _read(self) -> Pace:
        try:
            found = msgspec.json.decode((self._folder / "pace.json").read_bytes(), type=Pace)
        except (OSError, msgspec.DecodeError):
            found = Pace(self._most)
        return paced(found, self._now_ms(), most=self._most)

    def _write(self, pace: Pace) -> None:
        building = self._folder / "pace.json.new"
        building.write_bytes(msgspec.json.encode(pace))
        building.rename(self._folder / "pace.json")


class _Locked:
    """Alone with a tool's files, for an instant."""

    def __init__(self, place: Path, how: int = 0) -> None:
        """`how`: `LOCK_NB` to raise BlockingIOError where another process is at it."""
        self._place = place
        self._how = how
        self._descriptor = -1

    def __enter__(self) -> None:
        self._place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(self._place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | self._how)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _locked(place: Path) -> int | None:
    """The file, open and locked; `None` where somebody else holds it."""
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
