"""Outside effects of one attempt: reserve, carry out, settle; after a crash look, or ask.

A key reads `task/name#ordinal:hash`, where the hash covers the arguments, or is the agent's own.
The ordinal counts effects of a name that are different ones: a call of the same name and
arguments, while the one before has not settled, is that one again. So an agent's own loop of tries
stays with one key, and a later attempt that comes straight through finds what it did.
"""

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from visionflow.agents.effects import (
    HELD_MS,
    EffectAbandoned,
    EffectHeld,
    EffectRefused,
    InDoubt,
    NotDone,
)
from visionflow.agents.outside import Done, Looked, Order
from visionflow.domain.errors import NotPersistable, StaleAttempt, UsageError
from visionflow.domain.limits import EFFECT_INLINE_BYTES_MAX, WORD_CHARS_MAX
from visionflow.domain.messages import EffectAnswer, EffectAsked, EffectDone
from visionflow.domain.outside import EffectClass, EffectOutcome, Verdict
from visionflow.domain.tasks import NOTHING, Payload
from visionflow.ports.blobs import Blobs
from visionflow.worker import values
from visionflow.worker.telling import carried, sendable, told

NAME_CHARS_MAX = 200
KEY_CHARS_MAX = 500
_IN_DOUBT = EffectClass.IN_DOUBT


class OutsideHost(Protocol):
    """What effects need of the attempt around them."""

    @property
    def blobs(self) -> Blobs:
        """Where large values go."""
        ...

    def offload(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Run something that blocks."""
        ...

    async def ask(self, question: EffectAsked | EffectDone) -> EffectAnswer:
        """What the ledger says, once that is durable.

        Raises:
            StaleAttempt: the attempt was stopped.
        """
        ...

    def tell(self, done: EffectDone) -> None:
        """Tell the ledger how an effect went, without waiting for what it says."""
        ...


class _Asked(NamedTuple):
    """An effect with its key."""

    order: Order
    key: str
    place: str
    digest: str


class OutsideEffects:
    """The effects of one attempt, in the order in which its code comes to them."""

    def __init__(
        self, host: OutsideHost, task: str, attempt: int, say: Callable[[str], None]
    ) -> None:
        """`say` gets the lines that tell of an effect that is not simply carried out."""
        self._host = host
        self._task = task
        self._attempt = attempt
        self._say = say
        self._number = 0
        self._ordinals: dict[str, int] = {}
        self._unsettled: dict[tuple[str, str], list[int]] = {}
        """By name and arguments: ordinals of calls that are over and did not settle."""
        self._locks: dict[str, asyncio.Lock] = {}
        self._begun: dict[str, None] = {}
        """Keys of effects that this attempt began and of which it has told nothing."""

    async def effect(self, order: Order) -> Any:
        """See `BaseAgent.effect`."""
        digest = self._digest(order)
        if order.key is not None:
            return await self._in_turn(_Asked(order, order.key, "", digest))
        same = (order.name, digest)
        left = self._unsettled.get(same)
        if left:
            ordinal = left.pop(0)
        else:
            ordinal = self._ordinals[order.name] = self._ordinals.get(order.name, 0) + 1
        place = f"{order.name}#{ordinal}"
        asked = _Asked(order, f"{self._task}/{place}:{digest[:16]}", place, digest)
        settled = False
        try:
            value = await self._in_turn(asked)
            settled = True
            return value
        finally:
            if not settled:
                self._unsettled.setdefault(same, []).append(ordinal)

    def _digest(self, order: Order) -> str:
        if not order.name or len(order.name) > NAME_CHARS_MAX:
            name = f"{order.name!r:.50}"
            raise UsageError(f"An effect's name has 1 to {NAME_CHARS_MAX} characters: {name}.")
        if order.key is not None and not 0 < len(order.key) <= KEY_CHARS_MAX:
            raise UsageError(
                f"The key of an effect has 1 to {KEY_CHARS_MAX} characters; that of "
                f"{order.name!r} has {len(order.key)}."
            )
        for text in (order.name, order.key or ""):
            if carried(text) != text:
                raise UsageError(f"UTF-8 cannot carry the name or key {carried(text)!r:.80}.")
        what = f"The arguments of effect {order.name!r}"
        return hashlib.sha256(values.encode_sorted(order.identity, what)).hexdigest()

    async def _in_turn(self, asked: _Asked) -> Any:
        """One at a time of those with one key."""
        lock = self._locks.get(asked.key)
        if lock is None:
            lock = self._locks[asked.key] = asyncio.Lock()
        async with lock:
            return await self._one(asked)

    # Reserve -------------------------------------------------------------------------------

    async def _one(self, asked: _Asked) -> Any:
        order, key = asked.order, asked.key
        answer = await self._host.ask(
            EffectAsked(
                self._next(),
                self._task,
                self._attempt,
                key,
                order.name,
                order.kind,
                asked.place,
                sendable(order.about, WORD_CHARS_MAX),
                asked.digest,
                key in self._begun,
            )
        )
        match answer.verdict:
            case Verdict.RUN:
                return await self._carry_out(asked)
            case Verdict.UNSETTLED:
                return await self._resume(asked)
            case Verdict.SETTLED:
                self._begun.pop(key, None)
                return await self._load(answer.result)
            case _:
                raise self._refusal(asked, answer)

    def _refusal(self, asked: _Asked, answer: EffectAnswer) -> Exception:
        what, why = f"Effect {asked.order.name!r} ({asked.key})", answer.reason
        match answer.verdict:
            case Verdict.DOUBTED:
                other = answer.key or asked.key
                which = what if other == asked.key else f"{what} waits, for effect {other}"
                return InDoubt(f"{which} is in doubt: {why}.", key=other)
            case Verdict.ABANDONED:
                return EffectAbandoned(f"{what} is not carried out: {why}.")
            case Verdict.HELD:
                return EffectHeld(f"{what} is held: {why}.", wait_ms=HELD_MS)
            case Verdict.STALE:
                return StaleAttempt(
                    f"{what} was refused: attempt {self._attempt} of task {self._task} is no "
                    "longer the current one."
                )
            case _:
                return EffectRefused(why or f"{what} was refused.")

    # Carry out -----------------------------------------------------------------------------

    async def _carry_out(self, asked: _Asked) -> Any:
        order, key = asked.order, asked.key
        args = (key, *order.args) if order.keyed else order.args
        self._begun[key] = None
        try:
            value = await self._to_its_end(asked, args)
        except NotDone as error:
            await self._tell(asked, EffectOutcome.NOT_DONE, reason=told(error))
            raise
        except StaleAttempt:
            raise
        except Exception as error:
            return await self._broke_off(asked, error)
        return await self._settle(asked, value)

    async def _to_its_end(self, asked: _Asked, args: tuple[Any, ...]) -> Any:
        """What the call returns. Where the attempt is stopped meanwhile a call in a thread goes on,
        and how it went is told nevertheless."""
        if inspect.iscoroutinefunction(asked.order.call):
            return await asked.order.call(*args)
        running = asyncio.ensure_future(self._run(asked.order.call, args))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(lambda done: self._tell_late(asked, done))
            raise

    def _tell_late(self, asked: _Asked, done: "asyncio.Future[Any]") -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None and not isinstance(error, NotDone):
            return
        outcome, result, reason = EffectOutcome.HAPPENED, NOTHING, ""
        if error is not None:
            outcome, reason = EffectOutcome.NOT_DONE, sendable(told(error), WORD_CHARS_MAX)
        elif done.result() is not None:
            # A result that is large or cannot be stored is lost; that it happened is not.
            with suppress(NotPersistable):
                body = values.encode(done.result(), "The value of an effect")
                result = Payload(inline=body) if values.is_small(body) else NOTHING
        task, attempt = self._task, self._attempt
        self._host.tell(EffectDone(self._next(), task, attempt, asked.key, outcome, result, reason))

    async def _broke_off(self, asked: _Asked, error: Exception) -> Any:
        """It raised, and that says nothing of whether it happened."""
        order = asked.order
        if order.kind is _IN_DOUBT:
            raise await self._doubt(asked, f"it broke off: {told(error)}") from error
        if order.probe is None or order.kind is not EffectClass.PROBEABLE:
            raise error
        found = await self._probe(asked)
        if isinstance(found, Done):
            self._say(f"Effect {order.name!r} raised {told(error)}; it happened, as a look shows.")
            return await self._settle(asked, found.result)
        if found is Looked.NOT_DONE:
            await self._tell(asked, EffectOutcome.NOT_DONE, reason=told(error))
            raise error
        raise await self._doubt(asked, f"it broke off and cannot be seen: {told(error)}") from error

    async def _resume(self, asked: _Asked) -> Any:
        """Somebody began it and did not say how it went."""
        order = asked.order
        if order.kind is not EffectClass.PROBEABLE:
            self._say(f"Effect {order.name!r} is repeated under its key {asked.key}.")
            return await self._carry_out(asked)
        self._begun[asked.key] = None
        found = await self._probe(asked)
        if isinstance(found, Done):
            self._say(f"Effect {order.name!r} had happened, as a look shows ({asked.key}).")
            return await self._settle(asked, found.result)
        if found is Looked.NOT_DONE:
            self._say(f"Effect {order.name!r} had not happened, as a look shows ({asked.key}).")
            return await self._carry_out(asked)
        raise await self._doubt(asked, "an attempt before began it, and it cannot be seen")

    async def _probe(self, asked: _Asked) -> Done | Looked:
        order = asked.order
        found = None
        if order.probe is not None:
            found = await self._run(order.probe, (asked.key, *order.probe_args))
        if not isinstance(found, Done | Looked):
            raise UsageError(
                f"The probe of effect {order.name!r} returned {type(found).__name__}.",
                hint="It returns Done(result), NOT_DONE or UNKNOWN.",
            )
        return found

    async def _run(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if inspect.iscoroutinefunction(call):
            return await call(*args)
        value = await self._host.offload(lambda: call(*args))
        return await value if inspect.isawaitable(value) else value

    # Settle --------------------------------------------------------------------------------

    async def _settle(self, asked: _Asked, value: Any) -> Any:
        """It happened: say so, whatever becomes of its value."""
        body, fault = b"", None
        if value is not None:
            try:
                body = values.encode(value, f"The value of effect {asked.order.name!r}")
            except NotPersistable as error:
                fault = error
        payload = await self._store(body) if body else NOTHING
        answer = await self._tell(asked, EffectOutcome.HAPPENED, payload)
        if fault is not None:
            raise fault
        if answer.verdict is Verdict.SETTLED:
            return await self._load(answer.result)
        return values.load(Payload(inline=body), self._host.blobs) if body else None

    async def _doubt(self, asked: _Asked, why: str) -> InDoubt:
        answer = await self._tell(asked, EffectOutcome.UNKNOWN, reason=why)
        reason = answer.reason or why
        return InDoubt(
            f"Effect {asked.order.name!r} ({asked.key}) is in doubt: {reason}.", key=asked.key
        )

    async def _tell(
        self,
        asked: _Asked,
        outcome: EffectOutcome,
        result: Payload = NOTHING,
        reason: str = "",
    ) -> EffectAnswer:
        words = sendable(reason, WORD_CHARS_MAX)
        answer = await self._host.ask(
            EffectDone(self._next(), self._task, self._attempt, asked.key, outcome, result, words)
        )
        if answer.verdict not in (Verdict.RECORDED, Verdict.SETTLED):
            raise self._refusal(asked, answer)
        self._begun.pop(asked.key, None)
        return answer

    async def _store(self, body: bytes) -> Payload:
        if len(body) <= EFFECT_INLINE_BYTES_MAX:
            return Payload(inline=body)
        return await self._host.offload(lambda: Payload(blob=self._host.blobs.put(body)))

    async def _load(self, payload: Payload) -> Any:
        if payload.blob is None:
            return values.load(payload, self._host.blobs)
        return await self._host.offload(lambda: values.load(payload, self._host.blobs))

    def _next(self) -> int:
        self._number += 1
        return self._number
