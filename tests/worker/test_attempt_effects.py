"""Effects of an attempt, over the engine's ledger: what runs, what is looked for, what stays."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.engine.world import World
from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents.effects import (
    NOT_DONE,
    UNKNOWN,
    Done,
    EffectAbandoned,
    EffectHeld,
    EffectRefused,
    InDoubt,
    NotDone,
)
from visionflow.agents.outside import order_of
from visionflow.domain import outside_commands as oc
from visionflow.domain import outside_events as o
from visionflow.domain.errors import NotPersistable, StaleAttempt, UsageError
from visionflow.domain.messages import EffectAnswer, EffectAsked, EffectDone
from visionflow.domain.outside import EffectStatus, Resolution
from visionflow.domain.tasks import FailureKind
from visionflow.engine.state import Answer
from visionflow.runtime.outside import take
from visionflow.worker.outside import OutsideEffects

pytestmark = pytest.mark.acceptance("effects")


class Book:
    """An engine with one task, and the attempts at it, one after the other."""

    def __init__(self) -> None:
        self.world = World()
        self.world.team(2)
        self.task = self.world.submit()
        self.blobs = MemoryBlobs()
        self.said: list[str] = []
        self.ran: list[Any] = []
        """Arguments of every call that was carried out."""
        self.probed: list[Any] = []

    # As the host of effects, and as their control plane -----------------------------------

    def offload(self, call: Callable[[], Any]) -> Awaitable[Any]:
        return asyncio.to_thread(call)

    async def ask(self, question: EffectAsked | EffectDone) -> EffectAnswer:
        found: list[EffectAnswer] = []
        take(self, self.world.now_ms, question, found.append)  # type: ignore[arg-type]
        return found[0]

    def tell(self, done: EffectDone) -> None:
        take(self, self.world.now_ms, done, lambda _: None)  # type: ignore[arg-type]

    def offer(self, command: Any, answered: Callable[[Answer], None], *, bounded: bool) -> None:
        assert not bounded
        answered(self.world.send(command))

    # What an agent does ---------------------------------------------------------------------

    def attempt(self) -> "Going":
        return Going(self, self.world.state.tasks[self.task].attempt)

    def next(self) -> "Going":
        """The worker of the attempt is killed; another attempt begins."""
        agent = self.world.state.tasks[self.task].agent
        assert agent is not None
        self.world.lose(self.world.state.agents[agent].worker, FailureKind.KILLED)
        self.world.settle()
        return self.attempt()

    def status(self, key: str | None = None) -> EffectStatus:
        effects = self.world.state.outside.effects
        return effects[key or next(iter(effects))].status


class Going:
    """One attempt."""

    def __init__(self, book: Book, number: int) -> None:
        self.book = book
        self.effects = OutsideEffects(book, book.task, number, book.said.append)

    async def do(self, *args: Any, **options: Any) -> Any:
        name = options.pop("name", "send")
        call = options.pop("call", self._run)
        return await self.effects.effect(order_of(name, call, args, **options))

    def _run(self, *args: Any) -> Any:
        self.book.ran.append(args)
        return len(self.book.ran)


def broken(*_: Any) -> None:
    raise ConnectionError("the line went dead")


def refused(*_: Any) -> None:
    raise NotDone("no such address")


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await body()

    asyncio.run(bounded())


def test_it_is_reserved_before_it_runs_and_settled_before_it_returns() -> None:
    book = Book()

    async def body() -> None:
        def call(x: str) -> dict[str, Any]:
            book.ran.append(book.status())
            return {"sent": x, "to": ("a", "b")}

        value = await book.attempt().do("hello", call=call, about="greet")
        assert value == {"sent": "hello", "to": ["a", "b"]}, "as MessagePack gives it"
        assert (book.ran, book.status()) == ([EffectStatus.RESERVED], EffectStatus.SETTLED)
        again = await book.next().do("hello", call=broken)
        assert again == value
        (key,) = book.world.state.outside.effects
        assert key.startswith(f"{book.task}/send#1:")
        assert book.world.last(o.EffectReserved).request == "greet"

    run(body)


@pytest.mark.parametrize("cls", ["idempotent", "transactional"])
def test_what_may_be_repeated_runs_again_under_the_same_key(cls: str) -> None:
    book = Book()

    async def body() -> None:
        with pytest.raises(ConnectionError):
            await book.attempt().do(
                "x", cls=cls, call=lambda key, x: book.ran.append((key, x)) or broken()
            )
        assert book.status() is EffectStatus.RESERVED
        await book.next().do("x", cls=cls)
        first, second = book.ran
        assert first == second, "the key comes first, and is the same"
        assert book.status() is EffectStatus.SETTLED

    run(body)


def test_an_agents_own_loop_of_tries_stays_with_one_key_and_a_second_effect_has_another() -> None:
    book = Book()

    async def body() -> None:
        going, tries = book.attempt(), iter((broken, refused, None))

        def call(key: str, x: str) -> int:
            book.ran.append(key)
            fault = next(tries)
            return fault() if fault is not None else 7  # type: ignore[return-value]

        for fault in (ConnectionError, NotDone):
            with pytest.raises(fault):
                await going.do("x", cls="idempotent", call=call)
        assert await going.do("x", cls="idempotent", call=call) == 7
        assert len(set(book.ran)) == 1
        await going.do("x", cls="idempotent")
        assert len(book.world.state.outside.effects) == 2
        after = book.next()
        assert await after.do("x", cls="idempotent", call=broken) == 7

    run(body)


@pytest.mark.parametrize(
    ("found", "runs", "value"),
    [(Done("seen"), 0, "seen"), (NOT_DONE, 1, 1), (UNKNOWN, 0, None)],
)
def test_what_can_be_looked_for_is_looked_for_after_a_crash(
    found: Any, runs: int, value: Any
) -> None:
    book = Book()

    def probe(key: str, x: str) -> Any:
        book.probed.append((key, x))
        return found

    async def body() -> None:
        reserved = book.attempt()
        with pytest.raises(asyncio.CancelledError):
            await reserved.do("x", probe=probe, call=_cancelled)
        assert book.probed == [], "before anything died nobody has to look"
        after = book.next()
        if value is None:
            with pytest.raises(InDoubt) as doubt:
                await after.do("x", probe=probe)
            assert doubt.value.key in book.world.state.outside.doubts
        else:
            assert await after.do("x", probe=probe) == value
            assert book.status() is EffectStatus.SETTLED
        assert len(book.ran) == runs and book.probed[0][1] == "x"

    run(body)


async def _cancelled(*_: Any) -> None:
    raise asyncio.CancelledError


def test_a_probe_that_cannot_look_leaves_it_for_a_later_attempt() -> None:
    book = Book()

    async def body() -> None:
        with pytest.raises(asyncio.CancelledError):
            await book.attempt().do("x", probe=broken, call=_cancelled)
        with pytest.raises(ConnectionError):
            await book.next().do("x", probe=broken)
        assert book.status() is EffectStatus.RESERVED
        assert await book.next().do("x", probe=lambda key, x: Done(5)) == 5

    run(body)


def test_a_probeable_one_that_breaks_off_is_looked_for_at_once() -> None:
    book = Book()

    async def body() -> None:
        going = book.attempt()
        assert await going.do("x", probe=lambda *_: Done("there"), call=broken) == "there"
        with pytest.raises(ConnectionError):
            await going.do("y", probe=lambda *_: NOT_DONE, call=broken)
        with pytest.raises(InDoubt):
            await going.do("z", probe=lambda *_: UNKNOWN, call=broken)
        stand = [found.status for found in book.world.state.outside.effects.values()]
        assert stand == [EffectStatus.SETTLED, EffectStatus.FAILED, EffectStatus.IN_DOUBT]

    run(body)


def test_what_nobody_can_know_is_in_doubt_and_stays_so_however_often_it_is_asked() -> None:
    book = Book()

    async def body() -> None:
        going = book.attempt()
        with pytest.raises(InDoubt, match="went dead"):
            await going.do("x", call=broken)
        with pytest.raises(InDoubt):
            await going.do("x")
        with pytest.raises(InDoubt):
            await book.next().do("x")
        assert book.ran == []
        (key,) = book.world.state.outside.doubts
        say = oc.ResolveEffect(
            now_ms=book.world.now_ms, key=key, resolution=Resolution.ABANDONED, by="a", note="n"
        )
        book.world.send(say)
        with pytest.raises(EffectAbandoned, match="a abandoned it: n"):
            await book.attempt().do("x")

    run(body)


def test_one_that_was_left_in_the_middle_is_not_begun_again_by_the_same_attempt() -> None:
    book = Book()

    async def body() -> None:
        going, begun = book.attempt(), asyncio.Event()

        async def slow(x: str) -> None:
            begun.set()
            await asyncio.sleep(600)

        under_way = asyncio.ensure_future(going.do("x", call=slow))
        await begun.wait()
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        with pytest.raises(InDoubt):
            await going.do("x")
        assert book.ran == []

    run(body)


def test_a_call_in_a_thread_that_goes_on_after_the_stop_is_told_when_it_is_done() -> None:
    book = Book()

    async def body() -> None:
        going, begun, go = book.attempt(), asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def slow(x: str) -> str:
            loop.call_soon_threadsafe(begun.set)
            assert go.wait(60)
            return "late"

        under_way = asyncio.ensure_future(going.do("x", call=slow))
        await begun.wait()
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        after = book.next()
        with pytest.raises(InDoubt):
            await after.do("x")
        go.set()
        while book.status() is not EffectStatus.SETTLED:
            await asyncio.sleep(0.01)
        assert await book.attempt().do("x") == "late"
        assert book.ran == []

    run(body)


def test_a_stale_attempt_runs_nothing() -> None:
    book = Book()

    async def body() -> None:
        old = book.attempt()
        book.next()
        with pytest.raises(StaleAttempt):
            await old.do("x")
        assert book.ran == []

    run(body)


def test_an_attempt_that_became_stale_in_the_middle_records_what_it_did_and_ends() -> None:
    book = Book()

    async def body() -> None:
        old = book.attempt()

        def call(x: str) -> str:
            book.next()
            return "done all the same"

        with pytest.raises(StaleAttempt):
            await old.do("x", call=call)
        assert book.status() is EffectStatus.SETTLED
        assert await book.attempt().do("x") == "done all the same"

    run(body)


def test_one_key_of_its_own_is_one_effect_whatever_its_arguments_are() -> None:
    book = Book()

    async def body() -> None:
        going = book.attempt()
        both = await asyncio.gather(going.do("x", key="k"), going.do("y", key="k"))
        assert both == [1, 1] and book.ran == [("x",)]
        assert await book.next().do("z", key="k") == 1
        with pytest.raises(EffectRefused, match="belongs to another effect"):
            await book.attempt().do("z", key="k", name="pay")

    run(body)


def test_what_another_task_is_at_is_asked_for_later() -> None:
    book = Book()

    async def body() -> None:
        with pytest.raises(ConnectionError):
            await book.attempt().do("x", key="k", cls="idempotent", call=broken)
        other = OutsideEffects(book, book.world.submit(), 1, book.said.append)
        with pytest.raises(EffectHeld) as held:
            await other.effect(order_of("send", broken, ("x",), key="k", cls="idempotent"))
        assert held.value.wait_ms > 0 and book.task in str(held.value)

    run(body)


def test_a_value_that_cannot_be_stored_does_not_hide_that_it_happened() -> None:
    book = Book()

    async def body() -> None:
        with pytest.raises(NotPersistable):
            await book.attempt().do("x", call=lambda x: object())
        assert book.status() is EffectStatus.SETTLED
        assert await book.next().do("x") is None
        assert book.ran == []

    run(body)


def test_a_large_value_travels_by_blob() -> None:
    book = Book()

    async def body() -> None:
        assert await book.attempt().do("x", call=lambda x: "v" * 5_000) == "v" * 5_000
        (found,) = book.world.state.outside.effects.values()
        assert found.result.inline is None and found.result.blob is not None
        assert await book.next().do("x") == "v" * 5_000

    run(body)


def test_parts_that_do_not_fit_together_are_refused_before_anything_is_reserved() -> None:
    book = Book()

    async def body() -> None:
        going = book.attempt()
        for options, words in (
            ({"cls": "probeable"}, "has no probe"),
            ({"cls": "idempotent", "probe": broken}, "has a probe"),
            ({"cls": "maybe"}, "no class of effects"),
            ({"name": ""}, "1 to 200"),
            ({"key": "\ud800"}, "UTF-8"),
            ({"key": "k" * 501}, "1 to 500"),
        ):
            with pytest.raises(UsageError, match=words):
                await going.do("x", **options)
        with pytest.raises(UsageError, match="no function"):
            order_of("send", None, ())
        with pytest.raises(NotPersistable):
            await going.do(object())
        with pytest.raises(UsageError, match="returned bool"):
            with pytest.raises(asyncio.CancelledError):
                await going.do("x", probe=lambda *_: True, call=_cancelled)
            await book.next().do("x", probe=lambda *_: True)

    run(body)
