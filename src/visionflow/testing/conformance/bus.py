"""What every bus must do, as cases that any implementation can be put through.

A case gets a `BusUnderTest` that opens ends of one and the same bus, and raises `AssertionError`
with a sentence when the bus does otherwise. `check_bus` runs all cases, each on a bus of its
own. How the bus is made and torn down is for the caller.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from visionflow.domain.errors import BusClosed, FrameTooLarge, NoResponders
from visionflow.domain.limits import FRAME_BYTES_MAX
from visionflow.ports.bus import Bus, Delivery

WAIT_MS = 5_000
"""No case waits longer than this for anything."""


class BusUnderTest(Protocol):
    """One bus with as many ends as a case wants."""

    async def end(self) -> Bus:
        """Another end, as another process would have it where the bus has such."""
        ...

    async def settle(self, bus: Bus) -> None:
        """Return once everything this end did so far has taken effect at all others."""
        ...

    async def close(self) -> None:
        """Close the bus with all its ends."""
        ...


Case: TypeAlias = Callable[[BusUnderTest], Awaitable[None]]


class _Heard:
    """Collects what arrives, and lets a case wait for a number of them."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._waiting: tuple[int, asyncio.Future[None]] | None = None

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        if self._waiting is not None and len(self.deliveries) >= self._waiting[0]:
            if not self._waiting[1].done():
                self._waiting[1].set_result(None)

    @property
    def payloads(self) -> list[bytes]:
        return [delivery.payload for delivery in self.deliveries]

    async def wait_for(self, count: int) -> list[Delivery]:
        if len(self.deliveries) < count:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting = (count, waiting)
            try:
                async with asyncio.timeout(WAIT_MS / 1000):
                    await waiting
            except TimeoutError:
                raise AssertionError(
                    f"{len(self.deliveries)} of {count} messages arrived"
                ) from None
        return self.deliveries


def _same(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r:.300}, found {found!r:.300}")


async def messages_of_one_sender_arrive_in_order(bus: BusUnderTest) -> None:
    """Also when they are published over several turns of the loop."""
    sender, listener, heard = await bus.end(), await bus.end(), _Heard()
    listener.subscribe("a.b", heard)
    await bus.settle(listener)
    for number in range(500):
        sender.publish("a.b", str(number).encode())
        if number % 50 == 0:
            await asyncio.sleep(0)
    await heard.wait_for(500)
    _same(heard.payloads, [str(number).encode() for number in range(500)], "order of messages")


async def order_holds_across_subjects(bus: BusUnderTest) -> None:
    """One listener of many subjects hears one sender in the order of publishing."""
    sender, listener, heard = await bus.end(), await bus.end(), _Heard()
    listener.subscribe("a.*", heard)
    await bus.settle(listener)
    for number in range(100):
        sender.publish(f"a.{number % 3}", str(number).encode())
    await heard.wait_for(100)
    _same(heard.payloads, [str(number).encode() for number in range(100)], "order of messages")


async def wildcards_fit_what_they_say(bus: BusUnderTest) -> None:
    """`*` is one word, `>` all that follow and at least one; other words fit themselves."""
    sender, listener = await bus.end(), await bus.end()
    subjects = ["a", "a.b", "a.c", "a.b.c", "a.b.c.d", "b", "b.b"]
    expected = {
        "a": ["a"],
        "a.b": ["a.b"],
        "a.*": ["a.b", "a.c"],
        "*.b": ["a.b", "b.b"],
        "a.*.c": ["a.b.c"],
        "a.>": ["a.b", "a.c", "a.b.c", "a.b.c.d"],
        "*": ["a", "b"],
        ">": subjects,
    }
    heard = {pattern: _Heard() for pattern in expected}
    for pattern, receive in heard.items():
        listener.subscribe(pattern, receive)
    await bus.settle(listener)
    for subject in subjects:
        sender.publish(subject, b"")
    await heard[">"].wait_for(len(subjects))
    await bus.settle(listener)
    for pattern, fitting in expected.items():
        found = [delivery.subject for delivery in heard[pattern].deliveries]
        _same(found, fitting, f"subjects that fit {pattern}")


async def every_subscriber_hears_each_message_once(bus: BusUnderTest) -> None:
    """Several ends, several subscriptions of one end, and overlapping patterns."""
    sender = await bus.end()
    heard: list[_Heard] = []
    for _ in range(3):
        listener = await bus.end()
        for pattern in ("news.one", "news.*", "news.one"):
            heard.append(_Heard())
            listener.subscribe(pattern, heard[-1])
        await bus.settle(listener)
    sender.publish("news.one", b"1")
    sender.publish("news.one", b"2")
    for receive in heard:
        await receive.wait_for(2)
    for receive in heard:
        _same(receive.payloads, [b"1", b"2"], "what one subscription heard")


async def a_sender_that_listens_hears_itself(bus: BusUnderTest) -> None:
    """And is not called from inside of `publish`."""
    end, heard = await bus.end(), _Heard()
    end.subscribe("self", heard)
    end.publish("self", b"x")
    _same(heard.payloads, [], "heard before publish returned")
    await heard.wait_for(1)
    _same(heard.payloads, [b"x"], "what the sender heard of itself")


async def a_request_gets_its_answer(bus: BusUnderTest) -> None:
    """Whoever listens answers on `reply`; the asker gets the payload."""
    asker, answerer = await bus.end(), await bus.end()

    def answer(delivery: Delivery) -> None:
        if delivery.reply is None:
            raise AssertionError("a request arrived without a reply subject")
        answerer.publish(delivery.reply, delivery.payload.upper())

    answerer.subscribe("ask.*", answer)
    await bus.settle(answerer)
    _same(await asker.request("ask.me", b"what", WAIT_MS), b"WHAT", "the answer")


async def concurrent_requests_are_never_crossed(bus: BusUnderTest) -> None:
    """Answers may come late and in another order; each goes to the one that asked."""
    answerer = await bus.end()
    askers = [await bus.end() for _ in range(3)]
    kept: list[Delivery] = []

    def answer(delivery: Delivery) -> None:
        kept.append(delivery)
        if len(kept) == 60:
            for late in reversed(kept):
                answerer.publish(late.reply or "", b"answer to " + late.payload)

    answerer.subscribe("ask", answer)
    await bus.settle(answerer)
    asked = [f"{place}/{number}".encode() for number in range(20) for place in range(3)]
    answers = await asyncio.gather(
        *[askers[place % 3].request("ask", text, WAIT_MS) for place, text in enumerate(asked)]
    )
    _same(answers, [b"answer to " + text for text in asked], "answers by request")


async def nobody_listening_is_known_at_once(bus: BusUnderTest) -> None:
    """A request fails with NoResponders long before its time-out, also after an unsubscribe."""
    asker, answerer = await bus.end(), await bus.end()
    subscription = answerer.subscribe("ask", _Heard())
    subscription.cancel()
    await bus.settle(answerer)
    for subject in ("ask", "nobody.here"):
        try:
            async with asyncio.timeout(WAIT_MS / 1000):
                await asker.request(subject, b"", 10 * WAIT_MS)
        except NoResponders:
            continue
        except TimeoutError:
            raise AssertionError("NoResponders was not raised at once") from None
        raise AssertionError("a request that nobody could hear was answered")


async def silence_ends_in_a_time_out(bus: BusUnderTest) -> None:
    """Somebody listens and says nothing; a reply after that does no harm."""
    asker, answerer, heard = await bus.end(), await bus.end(), _Heard()
    answerer.subscribe("ask", heard)
    await bus.settle(answerer)
    try:
        await asker.request("ask", b"", 20)
    except TimeoutError:
        pass
    else:
        raise AssertionError("a request without an answer ended without TimeoutError")
    (late,) = await heard.wait_for(1)
    answerer.publish(late.reply or "", b"late")
    await bus.settle(answerer)


async def a_cancelled_subscription_hears_nothing_more(bus: BusUnderTest) -> None:
    """Nor does it take the others of the same pattern with it."""
    sender, listener = await bus.end(), await bus.end()
    stays, goes = _Heard(), _Heard()
    listener.subscribe("a", stays)
    subscription = listener.subscribe("a", goes)
    await bus.settle(listener)
    sender.publish("a", b"1")
    await stays.wait_for(1)
    await goes.wait_for(1)
    subscription.cancel()
    subscription.cancel()
    await bus.settle(listener)
    sender.publish("a", b"2")
    await stays.wait_for(2)
    await bus.settle(listener)
    _same(goes.payloads, [b"1"], "heard by the cancelled subscription")


async def payloads_are_bytes_of_any_kind(bus: BusUnderTest) -> None:
    """Every byte value, nothing at all, and a megabyte arrive as they were sent."""
    sender, listener, heard = await bus.end(), await bus.end(), _Heard()
    listener.subscribe("a", heard)
    await bus.settle(listener)
    sent = [b"", bytes(range(256)), b"\n\r\n\0" * 1_000, bytes(range(256)) * 4_096]
    for payload in sent:
        sender.publish("a", payload)
    await heard.wait_for(len(sent))
    _same(heard.payloads, sent, "payloads")


async def a_frame_over_the_limit_is_refused(bus: BusUnderTest) -> None:
    """By `publish` and `request`, with FrameTooLarge; the connection goes on."""
    sender, listener, heard = await bus.end(), await bus.end(), _Heard()
    listener.subscribe("a", heard)
    await bus.settle(listener)
    big = bytes(FRAME_BYTES_MAX + 1)
    try:
        sender.publish("a", big)
    except FrameTooLarge:
        pass
    else:
        raise AssertionError("publish took a payload over the frame limit")
    try:
        await sender.request("a", big, WAIT_MS)
    except FrameTooLarge:
        pass
    else:
        raise AssertionError("request took a payload over the frame limit")
    sender.publish("a", b"small")
    await heard.wait_for(1)
    _same(heard.payloads, [b"small"], "what arrived")


async def more_than_a_frame_in_one_turn_arrives_whole(bus: BusUnderTest) -> None:
    """The limit is one of messages; what is published in one turn is split as needed."""
    sender, listener, heard = await bus.end(), await bus.end(), _Heard()
    listener.subscribe("a", heard)
    await bus.settle(listener)
    part = FRAME_BYTES_MAX // 4
    for number in range(7):
        sender.publish("a", bytes([number]) * part)
    await heard.wait_for(7)
    found = [(payload[0], len(payload)) for payload in heard.payloads]
    _same(found, [(number, part) for number in range(7)], "what arrived")


async def a_closed_end_says_so(bus: BusUnderTest) -> None:
    """Every call raises BusClosed, waiting requests too; other ends do not notice."""
    closing, other, heard = await bus.end(), await bus.end(), _Heard()
    other.subscribe("a", heard)
    gone = _Heard()
    closing.subscribe("b", gone)
    await bus.settle(other)
    waiting = asyncio.ensure_future(closing.request("a", b"1", WAIT_MS))
    await heard.wait_for(1)
    await closing.close()
    await closing.close()
    calls: list[Callable[[], object]] = [
        lambda: closing.publish("a", b""),
        lambda: closing.subscribe("a", heard),
    ]
    for call in calls:
        try:
            call()
        except BusClosed:
            continue
        raise AssertionError("a closed end took a call")
    for request in (waiting, closing.request("a", b"", WAIT_MS)):
        try:
            await request
        except BusClosed:
            continue
        raise AssertionError("a request of a closed end was answered")
    other.publish("b", b"")
    other.publish("a", b"2")
    await heard.wait_for(2)
    _same(gone.payloads, [], "heard by the closed end")


async def a_receiver_that_fails_harms_nobody_else(bus: BusUnderTest) -> None:
    """The loop's exception handler hears of it; the next receiver and message come as usual."""
    sender, listener, heard = await bus.end(), await bus.end(), _Heard()
    loop, told = asyncio.get_running_loop(), list[str]()

    def fail(delivery: Delivery) -> None:
        raise RuntimeError(f"cannot take {delivery.subject}")

    def tell(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        told.append(str(context.get("exception")))

    before = loop.get_exception_handler()
    loop.set_exception_handler(tell)
    try:
        listener.subscribe("a", fail)
        listener.subscribe("a", heard)
        await bus.settle(listener)
        sender.publish("a", b"1")
        sender.publish("a", b"2")
        await heard.wait_for(2)
    finally:
        loop.set_exception_handler(before)
    _same(told, ["cannot take a", "cannot take a"], "failures told to the loop")


async def nonsense_is_refused_by_the_caller(bus: BusUnderTest) -> None:
    """A wildcard or an empty word in a subject, and a pattern that is none."""
    end = await bus.end()
    calls: list[Callable[[], object]] = [
        *[lambda s=subject: end.publish(s, b"") for subject in ("", "a.*", "a.>", "a..b", ".a")],
        *[lambda p=text: end.subscribe(p, _Heard()) for text in ("", "a..b", "a.>.b", "a*")],
    ]
    for place, call in enumerate(calls):
        try:
            call()
        except ValueError:
            continue
        raise AssertionError(f"nonsense number {place} was taken")


BUS_CASES: tuple[Case, ...] = (
    messages_of_one_sender_arrive_in_order,
    order_holds_across_subjects,
    wildcards_fit_what_they_say,
    every_subscriber_hears_each_message_once,
    a_sender_that_listens_hears_itself,
    a_request_gets_its_answer,
    concurrent_requests_are_never_crossed,
    nobody_listening_is_known_at_once,
    silence_ends_in_a_time_out,
    a_cancelled_subscription_hears_nothing_more,
    payloads_are_bytes_of_any_kind,
    a_frame_over_the_limit_is_refused,
    more_than_a_frame_in_one_turn_arrives_whole,
    a_closed_end_says_so,
    a_receiver_that_fails_harms_nobody_else,
    nonsense_is_refused_by_the_caller,
)


async def check_bus(make: Callable[[], Awaitable[BusUnderTest]]) -> dict[str, str]:
    """Run every case on a bus of its own; what failed, by name of the case, and why."""
    failures: dict[str, str] = {}
    for case in BUS_CASES:
        bus = await make()
        try:
            await case(bus)
        except Exception as error:
            failures[getattr(case, "__name__", repr(case))] = f"{type(error).__name__}: {error}"
        finally:
            await bus.close()
    return failures
