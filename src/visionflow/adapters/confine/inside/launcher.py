"""The launcher: stands between the worker and a command, and outlives neither's need of it.

It hears its order on a pipe that the worker holds open: the end of that pipe is the worker's
death, or its wish to cancel. It makes the control groups, enters the namespaces, starts the
reaper, watches clock, memory and the number of processes, and ends everything in every case. Its
one line on the result pipe says how it went; the end of that pipe says that nothing is left.

    worker == order pipe ==> launcher -- lifeline --> reaper (process 1 inside) --> command

Where there are locks, a keeper outside of the namespaces holds them too, should this one be killed.
"""

import json
import os
import select
import signal
import struct
import time
from collections.abc import Mapping
from typing import NoReturn

from . import groups, keeper, kernel, namespaces, reaper, tree
from .order import Order, Outcome, order_from
from .removal import remove_tree

_TICK_MS = 100
_FIRST_TICKS_MS = (5, 10, 20, 40)
_REAPER_END_MS_MAX = 5_000
"""A reaper that a command stopped ends nothing."""
_KEEPER_END_MS_MAX = 1_000
"""One that somebody stopped does not let go."""


def main(control: int, result: int) -> None:
    """Serve the one order that comes on `control`, and report on `result`."""
    os.set_inheritable(control, False)
    os.set_inheritable(result, False)
    kernel.signal_at_parent_death(signal.SIGTERM)
    order = _heard(control)
    if order is None:
        return
    for each in order.locks:
        os.set_inheritable(each, False)
    outcome = Launch(order, control, result).outcome()
    try:
        os.write(result, outcome.encoded())
    except BrokenPipeError:
        pass


def _heard(control: int) -> Order | None:
    head = _exactly(control, 4)
    raw = _exactly(control, struct.unpack("=I", head)[0]) if head else b""
    return order_from(raw) if raw else None


def _exactly(place: int, size: int) -> bytes:
    """That many bytes, or none when the pipe ends before."""
    found = b""
    while len(found) < size:
        part = os.read(place, size - len(found))
        if not part:
            return b""
        found += part
    return found


class Launch:
    """One command from its control groups to the last of its processes."""

    def __init__(self, order: Order, control: int, result: int) -> None:
        """`result` stays open for as long as anything of the command may be alive."""
        self._order = order
        self._control = control
        self._held = (result, *order.locks)
        self._started = time.monotonic()
        self._reaper = 0
        self._keeper = 0
        self._lifeline: int | None = None
        self._facts: dict[str, object] = {}
        self._heard = b""
        self._peak = 0
        self._reason: str | None = None
        self._worker_gone = False
        self._told = False
        signal.signal(signal.SIGTERM, self._on_terminate)

    def outcome(self) -> Outcome:
        order = self._order
        try:
            entries = groups.make(
                order.groups, memory_bytes=order.memory_bytes, processes_max=order.processes_max
            )
            kernel.adopt_orphans()
            self._watch(self._start(entries))
        except OSError as error:
            self._facts = {"error": str(error), "confining_failed": True}
        self._end()
        outcome = self._judged()
        groups.remove(order.groups)
        if self._worker_gone:
            remove_tree(order.scratch)
        return outcome

    def _on_terminate(self, _number: int, _frame: object) -> None:
        self._worker_gone = True

    def _start(self, entries: list[int]) -> int:
        """Fork the reaper; the pipe on which it tells."""
        self._keeper, watched = keeper.start(tuple(self._order.locks))
        if self._order.namespaces:
            namespaces.enter(network=self._order.network)
        lifeline, self._lifeline = os.pipe()
        told, status = os.pipe()
        self._reaper = os.fork()
        if self._reaper == 0:
            self._be_reaper(lifeline, status, entries, unneeded=(self._lifeline, told))
        keeper.watch(watched, self._reaper)
        os.write(self._lifeline, b".")
        for each in (lifeline, status, *entries, 1, 2):
            os.close(each)
        return told

    def _be_reaper(
        self, lifeline: int, status: int, entries: list[int], unneeded: tuple[int, int]
    ) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for each in unneeded:
            os.close(each)
        # Nothing is started before the keeper knows whom to wait for.
        if not os.read(lifeline, 1):
            os._exit(1)
        kept = {0, 1, 2, lifeline, status, *entries, *self._held}
        for each in range(3, 256):
            if each not in kept:
                try:
                    os.close(each)
                except OSError:
                    pass
        reaper.serve(self._order, lifeline, status, entries, self._held)

    def _watch(self, status: int) -> None:
        """Until the command ended, the worker is gone, or a limit is reached."""
        poll = select.poll()
        poll.register(status, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        ticks = iter(_FIRST_TICKS_MS)
        while not self._told and not self._worker_gone and self._reason is None:
            left = self._order.wall_ms - self._elapsed_ms()
            if left <= 0:
                self._reason = "wall_clock"
                break
            ready = {each for each, _ in poll.poll(min(next(ticks, _TICK_MS), left))}
            if status in ready:
                self._hear(status)
            if self._control in ready:
                self._worker_gone = not os.read(self._control, 4096)
            self._sample()

    def _hear(self, status: int) -> None:
        part = os.read(status, 65536)
        self._heard += part
        for line in self._heard.splitlines() if self._heard.endswith(b"\n") else []:
            if "error" not in self._facts:
                self._facts = json.loads(line)
            self._told = True
        self._told = self._told or not part

    def _sample(self) -> None:
        """Look at memory and the number of processes, as far as no control group does."""
        order = self._order
        if groups.ran_out_of_memory(order.groups):
            self._reason = "memory"
        memory_watched = not {groups.MEMORY_V1, groups.V2} & order.groups.keys()
        counted = not {groups.PROCESSES_V1, groups.V2} & order.groups.keys()
        if self._told or not (memory_watched or counted):
            return
        below = tree.descendants(self._reaper)
        if memory_watched:
            self._weigh(below)
        if counted and len(below) > order.processes_max:
            self._reason = "processes"

    def _weigh(self, below: list[int]) -> None:
        most = self._order.memory_bytes
        held = tree.resident_bytes(below)
        if most is not None and held > most:
            held = tree.proportional_bytes(below)
            if held > most:
                self._reason = "memory"
        self._peak = max(self._peak, held)

    def _end(self) -> None:
        """End the reaper, with it its namespace, and whatever else descends from here.

        Without a namespace the reaper ends what is below it before itself. Were it killed first
        and this process next, nobody would be left to do so, and the keeper would let go. The
        keeper ends by itself, once all that it waits for is gone.
        """
        if self._lifeline is not None:
            os.close(self._lifeline)
        if self._reaper:
            if not self._order.namespaces:
                _await_end(self._reaper, _REAPER_END_MS_MAX)
            try:
                os.kill(self._reaper, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self._reaper and self._keeper:
            if not tree.end_all(os.getpid(), besides=self._keeper):
                return
            _await_end(self._keeper, _KEEPER_END_MS_MAX)
        tree.end_all(os.getpid())

    def _elapsed_ms(self) -> int:
        return int((time.monotonic() - self._started) * 1000)

    def _judged(self) -> Outcome:
        facts: Mapping[str, object] = self._facts
        elapsed = self._elapsed_ms()
        if "error" in facts:
            failed = bool(facts.get("confining_failed"))
            return Outcome(error=str(facts["error"]), confining_failed=failed, wall_ms=elapsed)
        largest = facts.get("largest_bytes")
        sampled = max(self._peak, largest if isinstance(largest, int) else 0)
        peak = groups.peak_bytes(self._order.groups)
        outcome = Outcome(wall_ms=elapsed, memory_peak_bytes=sampled or None)
        outcome = outcome if peak is None else outcome._replace(memory_peak_bytes=peak)
        if groups.ran_out_of_memory(self._order.groups):
            return outcome._replace(reason="memory")
        if self._reason in ("wall_clock", "memory"):
            return outcome._replace(reason=self._reason)
        exit_code, number = facts.get("exit_code"), facts.get("signal")
        if isinstance(exit_code, int):
            return outcome._replace(exit_code=exit_code)
        return outcome._replace(signal=number if isinstance(number, int) else int(signal.SIGKILL))


def _await_end(child: int, wait_ms: int) -> None:
    """Until a child of this process is dead, or the time is over."""
    try:
        end = os.pidfd_open(child)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(end, select.POLLIN)
    poll.poll(wait_ms)
    os.close(end)
