"""What every `Log` must do. Run `LOG_CASES` over a `LogSubject` of yours.

Each case opens the log itself, so that it can open it twice: a second opening is how a case
asks what is durable, without trusting the log that was appended to.
"""

import asyncio
from hashlib import sha256

from visionflow.domain.errors import LogConflict, LogUnavailable
from visionflow.ports.log import GENESIS, Entry, Head
from visionflow.testing.conformance.case import (
    Case,
    DoesNotApply,
    Nonconformance,
    require,
    within,
)
from visionflow.testing.conformance.log_subject import (
    LogSubject,
    append_all,
    beside,
    calls,
    collect,
    conflicts,
    is_conflict,
    is_damaged,
    opened,
    same,
)

MANY = 1_000
LARGE_BYTES = 9_000_000


async def appended_records_are_read_in_order(subject: LogSubject) -> None:
    """What is read is what was appended, numbered from 1."""
    with opened(subject) as log:
        bodies = [f"record {number}".encode() for number in range(1, 1_201)]
        await append_all(log, "a", bodies)
        same(list(log.read("a")), bodies, "read")
        same(list(log.read("a", after=1_000)), bodies[1_000:], "read after 1,000", 1_000)
        require(list(log.read("a", after=1_200)) == [], "there is something after the end")
        require(log.head("a").seq == 1_200, f"head says {log.head('a').seq}, not 1,200")


async def an_unknown_stream_is_empty(subject: LogSubject) -> None:
    """Nothing was appended: head 0, no record, no name."""
    with opened(subject) as log:
        require(log.head("nobody") == Head(0, GENESIS), "the head of an unknown stream is not 0")
        require(list(log.read("nobody")) == [], "an unknown stream has records")
        require(log.streams() == (), "an empty log names streams")


async def streams_are_apart_and_named(subject: LogSubject) -> None:
    """A record belongs to one stream; names come sorted, whatever is in them."""
    with opened(subject) as log:
        names = ["b", "a", "a.b", "A", "a%", "ä", "x" * 200]
        for name in names:
            await append_all(log, name, [name.encode(), b"2"])
        require(log.streams() == tuple(sorted(names)), f"streams() is {log.streams()}")
        for name in names:
            same(list(log.read(name)), [name.encode(), b"2"], f"stream {name!r}")


async def a_hash_covers_all_before_it(subject: LogSubject) -> None:
    """Each hash is SHA-256 of the one before, the number (8 bytes, big-endian) and the body."""
    with opened(subject) as log:
        bodies = [b"", b"\x00", b"x" * 70_000, b"x" * 70_000]
        heads = await append_all(log, "a", bodies)
        stored = zip(bodies, heads, log.read("a"), strict=True)
        before = GENESIS
        for seq, (body, head, entry) in enumerate(stored, 1):
            before = sha256(before + seq.to_bytes(8, "big") + body).digest()
            require(head == Head(seq, before), f"append {seq} gave another head: {head}")
            require(entry == Entry(seq, body, before), f"record {seq} is stored otherwise")
        require(log.head("a") == Head(len(bodies), before), "head is not the last record")


async def an_append_at_the_wrong_place_is_a_conflict(subject: LogSubject) -> None:
    """Too low, too high: `LogConflict`, nothing of it stored, and the log goes on."""
    with opened(subject) as log:
        await append_all(log, "a", [b"1", b"2", b"3"])
        for expect in (0, 2, 4, 1_000):
            await conflicts(log, "a", expect)
        await conflicts(log, "new", 1)
        require(log.streams() == ("a",), "a refused append made a stream")
        await within(log.append("a", 3, b"4"), "an append after conflicts")
        same(list(log.read("a")), [b"1", b"2", b"3", b"4"], "after conflicts")


async def a_conflict_does_not_touch_its_neighbours(subject: LogSubject) -> None:
    """Appends in flight together: the one that does not fit fails alone."""
    with opened(subject) as log:
        good = [log.append("a", number, b"a%d" % number) for number in range(3)]
        bad = [log.append("b", 7, b"never"), log.append("a", 1, b"never")]
        later = [log.append("a", 3, b"a3"), log.append("b", 0, b"b0")]
        for future in bad:
            await is_conflict(future)
        for future in good + later:
            await within(future, "an append beside a conflict")
        same(list(log.read("a")), [b"a0", b"a1", b"a2", b"a3"], "stream a")
        same(list(log.read("b")), [b"b0"], "stream b")


async def appends_of_a_stream_take_effect_in_call_order(subject: LogSubject) -> None:
    """A thousand in flight at once on three streams: all there, none swapped, none twice."""
    with opened(subject) as log:
        names = ("a", "b", "c")
        bodies = {name: [f"{name}{number}".encode() for number in range(MANY)] for name in names}
        futures = [
            log.append(name, number, bodies[name][number])
            for number in range(MANY)
            for name in names
        ]
        heads = await within(asyncio.gather(*futures), "appends in flight together")
        for place, name in enumerate(names):
            seqs = [head.seq for head in heads[place::3]]
            require(seqs == list(range(1, MANY + 1)), f"heads of {name} came out of order")
            same(list(log.read(name)), bodies[name], f"stream {name}")


async def two_writers_cannot_both_win(subject: LogSubject) -> None:
    """Two logs append at one place at once: exactly one succeeds, the other is deposed."""
    with opened(subject) as one, beside(subject) as other:
        for number in range(50):
            racing = [one.append("a", number, b"one"), other.append("a", number, b"other")]
            results = await within(asyncio.gather(*racing, return_exceptions=True), "a race")
            won = [found for found in results if isinstance(found, Head)]
            lost = [found for found in results if isinstance(found, LogConflict)]
            require(len(won) == len(lost) == 1, f"a race at {number} ended with {results}")
            require(one.head("a") == won[0] == other.head("a"), "the loser's record is stored")


async def acknowledged_means_stored(subject: LogSubject) -> None:
    """At the moment an append resolves, a log that knows nothing of it reads the record."""
    with opened(subject) as log, beside(subject) as witness:
        seen: list[tuple[int, int]] = []

        def note(future: "asyncio.Future[Head]") -> None:
            seen.append((future.result().seq, witness.head("a").seq))

        futures: list[asyncio.Future[Head]] = []
        for number in range(200):
            future = log.append("a", number, b"x")
            futures.append(future)
            if future.done():
                note(future)
            else:
                future.add_done_callback(note)
        await within(asyncio.gather(*futures), "appends")
        await asyncio.sleep(0)
        require(len(seen) == 200, "not every append was resolved")
        for acknowledged, stored in seen:
            require(stored >= acknowledged, f"{acknowledged} was acknowledged, {stored} stored")


async def records_outlive_the_log(subject: LogSubject) -> None:
    """Close, open again: all that was acknowledged is there, and it goes on from there."""
    if not subject.durable:
        raise DoesNotApply
    with opened(subject) as log:
        await append_all(log, "a", [b"1", b"2"])
        await append_all(log, "b", [b"x"])
    with opened(subject) as log:
        same(list(log.read("a")), [b"1", b"2"], "after opening again")
        require(log.streams() == ("a", "b"), "a stream got lost")
        await conflicts(log, "a", 0)
        await append_all(log, "a", [b"3"], start=2)
    with opened(subject) as log:
        same(list(log.read("a")), [b"1", b"2", b"3"], "after opening a third time")


async def close_finishes_what_is_under_way(subject: LogSubject) -> None:
    """Appends before `close` are settled; calls after it raise."""
    log = subject.open()
    futures = [log.append("a", number, b"x") for number in range(100)]
    log.close()
    results = await within(asyncio.gather(*futures, return_exceptions=True), "appends at close")
    stored = sum(isinstance(found, Head) for found in results)
    require(all(isinstance(found, Head | LogUnavailable) for found in results), f"{results}")
    for name, call in calls(log).items():
        try:
            call()
        except LogUnavailable:
            continue
        raise Nonconformance(f"{name} on a closed log did not raise LogUnavailable")
    log.close()
    if subject.durable:
        with opened(subject) as again:
            found = again.head("a").seq
            require(found == stored, f"{stored} were acknowledged, {found} are stored")


async def large_bodies_are_whole(subject: LogSubject) -> None:
    """Nothing, a few bytes, megabytes: what comes back is what went in."""
    with opened(subject) as log:
        bodies = [b"", bytes(range(256)) * (LARGE_BYTES // 256), b"small", b"\xff" * 5_000_000]
        await append_all(log, "a", bodies)
        same(list(log.read("a")), bodies, "large bodies")
        for after in range(1, 4):
            same(list(log.read("a", after)), bodies[after:], "a part of them", after)


async def a_slow_reader_sees_a_growing_log_without_gaps(subject: LogSubject) -> None:
    """A read goes on while records are added, and does not keep them from being added."""
    with opened(subject) as log:
        await append_all(log, "a", [b"x"] * 600)
        reading = log.read("a")
        first = [next(reading) for _ in range(10)]
        await append_all(log, "a", [b"y"] * 600, start=600)
        seqs = [entry.seq for entry in first + list(reading)]
        require(len(seqs) >= 600, "records that were there were not read")
        require(seqs == list(range(1, len(seqs) + 1)), "a reader saw a gap")


async def a_follower_gets_each_record_once(subject: LogSubject) -> None:
    """Old records, then new ones as they come, from two writers' batches, without a gap."""
    with opened(subject) as log:
        await append_all(log, "a", [b"old"] * 700)
        early = asyncio.ensure_future(collect(log.follow("a"), 1_700))
        late = asyncio.ensure_future(collect(log.follow("a", after=700), 1_000))
        future = asyncio.ensure_future(collect(log.follow("a", after=1_500), 200))
        for start in range(700, 1_700, 50):
            await append_all(log, "a", [b"new"] * 50, start=start)
            await append_all(log, "noise", [b"z"], start=(start - 700) // 50)
        for follower, first in ((early, 1), (late, 701), (future, 1_501)):
            seqs = [entry.seq for entry in await within(follower, "a follower")]
            require(seqs == list(range(first, 1_701)), f"a follower from {first} saw {seqs[:9]}…")


async def a_follower_sees_another_writers_records(subject: LogSubject) -> None:
    """What a second log on the same store appends arrives too."""
    with opened(subject) as log, beside(subject) as other:
        follower = asyncio.ensure_future(collect(other.follow("a"), 3))
        await append_all(log, "a", [b"1", b"2", b"3"])
        same(await within(follower, "a follower of another writer"), [b"1", b"2", b"3"], "it")


async def a_follower_never_sees_what_was_refused(subject: LogSubject) -> None:
    """Between refused appends only the accepted ones arrive."""
    with opened(subject) as log:
        follower = asyncio.ensure_future(collect(log.follow("a"), 20))
        for number in range(20):
            await conflicts(log, "a", number + 1)
            await append_all(log, "a", [b"%d" % number], start=number)
        found = await within(follower, "a follower")
        same(found, [b"%d" % number for number in range(20)], "followed")


async def a_changed_record_is_found(subject: LogSubject) -> None:
    """After one body was changed in the store, reading names that record."""
    if subject.tamper is None:
        raise DoesNotApply
    with opened(subject) as log:
        await append_all(log, "a", [b"body %d" % number for number in range(1, 1_001)])
    subject.tamper("a", 777, b"body 778")
    is_damaged(subject, 777)


async def a_missing_record_is_found(subject: LogSubject) -> None:
    """After one record was removed from the store, reading names it."""
    if subject.drop is None:
        raise DoesNotApply
    with opened(subject) as log:
        await append_all(log, "a", [b"body"] * 600)
    subject.drop("a", 555)
    is_damaged(subject, 555)


LOG_CASES: tuple[Case[LogSubject], ...] = (
    appended_records_are_read_in_order,
    an_unknown_stream_is_empty,
    streams_are_apart_and_named,
    a_hash_covers_all_before_it,
    an_append_at_the_wrong_place_is_a_conflict,
    a_conflict_does_not_touch_its_neighbours,
    appends_of_a_stream_take_effect_in_call_order,
    two_writers_cannot_both_win,
    acknowledged_means_stored,
    records_outlive_the_log,
    close_finishes_what_is_under_way,
    large_bodies_are_whole,
    a_slow_reader_sees_a_growing_log_without_gaps,
    a_follower_gets_each_record_once,
    a_follower_sees_another_writers_records,
    a_follower_never_sees_what_was_refused,
    a_changed_record_is_found,
    a_missing_record_is_found,
)
"""The whole suite."""
