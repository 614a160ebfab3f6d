"""The world outside, which counts: what agents do to it through the ledger of effects, and a person
who says what is true of what is in doubt.

A thing is done by (task, place), whatever attempt or key it comes from, so that one that is done
twice shows. Nothing may be begun that the log does not know of.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from visionflow.agents.effects import NOT_DONE, Done, NotDone
from visionflow.agents.outside import Looked
from visionflow.domain import outside_commands as oc
from visionflow.domain.outside import REPEATABLE, EffectClass, Resolution
from visionflow.domain.tasks import Payload
from visionflow.testing.checkers import LogCheck, TaskLine
from visionflow.testing.ledger import EffectLine
from visionflow.testing.simulator.kernel import Kernel, Process
from visionflow.testing.workload import Action, Script

NEVER_S = 1_000_000.0
TAKES_US = (100, 150_000)
"""Half of what a thing takes: before it is done, and after."""
REFUSED, BREAKS_OFF = 0.05, 0.05
"""How often it certainly does not happen, and how often nobody hears that it has."""
FINDS_OUT_US = (50_000, 3_000_000)
"""How long a person takes to find out."""


class BrokenOff(Exception):
    """Whether it happened was not heard."""


class Deed(msgspec.Struct):
    """One call that carries out a thing."""

    process: Process
    key: str
    kind: EffectClass
    begun_us: int
    done_us: int | None = None
    over: bool = False

    @property
    def under_way(self) -> bool:
        """Whether it may still be done."""
        return not self.over and self.process.alive


class OutsideWorld:
    """Everything that was done to it."""

    def __init__(self, kernel: Kernel, check: LogCheck) -> None:
        self._kernel = kernel
        self._check = check
        self.deeds: dict[tuple[str, int], list[Deed]] = {}
        """By task and place, every call."""
        self.value: dict[tuple[str, int], int] = {}
        """What a thing that was done gives."""
        self._serial = 0

    async def carry_out(
        self, process: Process, task: str, attempt: int, place: int, kind: EffectClass, key: str
    ) -> int:
        """Do it.

        Raises:
            NotDone: it was refused.
            BrokenOff: it was done, and nobody hears of it.
        """
        kernel, what = self._kernel, (task, place)
        if not process.touch():
            return 0
        if process.killed:
            # A kill ends a process before it begins another call. That it comes late here is for
            # the fences of the log; a call that was allowed before, no ledger can hold back.
            await asyncio.sleep(NEVER_S)
        deed = Deed(process, key, kind, kernel.now_us)
        earlier = self.deeds.setdefault(what, [])
        self._begins(deed, earlier, what, attempt)
        earlier.append(deed)
        kernel.trace(f"deed {task} {place} {attempt}")
        refused, breaks_off = kernel.chance(REFUSED), kernel.chance(BREAKS_OFF)
        try:
            await asyncio.sleep(kernel.between(*TAKES_US) / 1_000_000)
            if refused:
                raise NotDone("the world says no")
            if process.touch():
                self._done(deed, what)
            await asyncio.sleep(kernel.between(*TAKES_US) / 1_000_000)
        finally:
            deed.over = True
        if breaks_off:
            raise BrokenOff("nobody hears of it")
        return self.value.get(what, 0)

    async def look(self, task: str, place: int) -> Done | Looked:
        """Whether it has been done."""
        await asyncio.sleep(self._kernel.between(*TAKES_US) / 1_000_000)
        value = self.value.get((task, place))
        return NOT_DONE if value is None else Done(value)

    def _begins(self, deed: Deed, earlier: list[Deed], what: tuple[str, int], attempt: int) -> None:
        kernel, (task, place) = self._kernel, what
        line = self._check.effects.effects.get(deed.key)
        if line is None or (task, attempt) not in line.holders:
            kernel.fault(f"effect {place} of {task} is carried out and attempt {attempt} has none")
            return
        if any(each.key != deed.key for each in earlier):
            kernel.fault(f"effect {place} of {task} has another key than before: {deed.key}")
        if deed.kind is EffectClass.IN_DOUBT and len(earlier) >= line.begun:
            kernel.fault(f"effect {place} of {task} is repeated, and nobody knew of it")
        if deed.kind not in REPEATABLE and any(each.done_us is not None for each in earlier):
            kernel.fault(f"effect {place} of {task} is begun again after it was done")

    def _done(self, deed: Deed, what: tuple[str, int]) -> None:
        deed.done_us = self._kernel.now_us
        others = [d for d in self.deeds[what] if d is not deed and d.done_us is not None]
        if not others:
            self._serial += 1
            self.value[what] = self._serial
        elif deed.kind is EffectClass.IN_DOUBT:
            self._kernel.fault(f"effect {what[1]} of {what[0]} is done twice")

    def faults(self, scripts: Mapping[str, Script], blobs: Mapping[str, bytes]) -> Iterator[str]:
        """Whatever is not as it should be in the end: each thing was done once, and a task that
        completed went on with what the log says of it."""
        for name, task in self._check.tasks.items():
            script = scripts.get(name)
            for place in range(0 if script is None else len(script.effects)):
                times = self.times(name, place)
                if times > 1 and not self.raced(name, place):
                    yield f"effect {place} of {name} was done {times} times"
                if task.status == "completed":
                    yield from self._went_on(name, task, place, times, blobs)
        for key in self._check.effects.in_doubt:
            yield f"effect {key} is in doubt in the end"

    def _went_on(
        self, name: str, task: TaskLine, place: int, times: int, blobs: Mapping[str, bytes]
    ) -> Iterator[str]:
        if not times:
            yield f"effect {place} of {name} was not done, and the task completed"
        told = _value(task.result, blobs).get("effects", [])
        beginning = f"{name}/act{place}#1:"
        lines = [e for key, e in self._check.effects.effects.items() if key.startswith(beginning)]
        value = _value(kept(lines[0]), blobs) if len(lines) == 1 else None
        if place >= len(told) or value is None or told[place] != value:
            yield f"{name} went on with effects {told}; the log has {value} at {place}"

    def counts(self) -> dict[str, int]:
        """What was seen."""
        deeds = [deed for found in self.deeds.values() for deed in found]
        return {
            "effects done": len(self.value),
            "effects carried out": len(deeds),
            "effects raced": sum(self.raced(*what) for what in self.deeds),
        }

    # What became of it ------------------------------------------------------------------------

    def truth(self, key: str) -> Resolution | None:
        """What is true of an effect; `None` while that may still change."""
        deeds = [(w, d) for w, found in self.deeds.items() for d in found if d.key == key]
        if any(deed.under_way for _, deed in deeds):
            return None
        done = any(deed.done_us is not None for _, deed in deeds)
        return Resolution.DONE if done else Resolution.NOT_DONE

    def found(self, key: str) -> int | None:
        """What the thing gives that was done under this key."""
        for what, deeds in self.deeds.items():
            if any(deed.key == key for deed in deeds):
                return self.value.get(what)
        return None

    def times(self, task: str, place: int) -> int:
        """How often it happened, as the world counts: once under one key where it knows it."""
        done = [deed for deed in self.deeds.get((task, place), []) if deed.done_us is not None]
        if done and done[0].kind in REPEATABLE:
            return len(dict.fromkeys(deed.key for deed in done))
        return len(done)

    def raced(self, task: str, place: int) -> bool:
        """Whether it was done while another call of it was under way: a probe cannot see that."""
        deeds = self.deeds.get((task, place), [])
        return any(
            a is not b and a.begun_us < b.begun_us and (a.done_us or 0) > b.begun_us
            for a in deeds
            for b in deeds
        )


def _value(payload: list[Any], blobs: Mapping[str, bytes]) -> Any:
    if len(payload) > 1 and payload[1] is not None:
        return msgspec.msgpack.decode(blobs[payload[1]])
    return msgspec.msgpack.decode(payload[0]) if payload else None


class Person:
    """Finds out what became of each effect in doubt, and says it."""

    def __init__(self, kernel: Kernel, outside: OutsideWorld) -> None:
        self._kernel = kernel
        self._outside = outside
        self._asked: dict[str, int] = {}
        self.said = 0
        self.ask: Any = None
        """Takes an `Action`; set by whoever makes the client."""

    def doubted(self, key: str) -> None:
        """An effect is in doubt from now on."""
        kernel = self._kernel
        kernel.after(kernel.between(*FINDS_OUT_US), lambda: self._find_out(key))

    def _find_out(self, key: str) -> None:
        truth = self._outside.truth(key)
        if truth is None or self.ask is None:
            self.doubted(key)
            return
        self.said += 1
        found = self._outside.found(key) if truth is Resolution.DONE else None
        result = Payload() if found is None else Payload(inline=msgspec.msgpack.encode(found))

        def make(now: int, command: str) -> oc.ResolveEffect:
            return oc.ResolveEffect(
                now_ms=now,
                command=command,
                key=key,
                resolution=truth,
                by="person",
                note="looked",
                result=result,
            )

        command = f"resolve_{self.said}"
        self.ask(Action(0, command, make, refusals=("not_in_doubt", "unknown_effect")))


def kept(line: EffectLine | None) -> list[Any]:
    """The payload with which the log says that an effect happened; nothing where it does not."""
    happened = line is not None and (line.status == "settled" or line.resolution == "done")
    return line.settled if happened and line is not None else []
