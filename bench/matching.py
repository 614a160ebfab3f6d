"""How fast the matching index finds the next pair, whatever the number of tasks and agents.

`python bench/matching.py` prints assignments a second for 100,000 queued tasks and 1,000 agents in
100 classes with 200 capability sets, for a swarm that fits nothing, and for the worst case that is
known: every agent a class of its own, every request met by few of them. Seconds are of processor
time. Even so they move with the neighbours of a shared machine; compare with a run of the base in
the same minute.
"""

import argparse
import random
from collections.abc import Callable
from time import process_time

from visionflow.engine.matching import GroupKey, Matching, offers

SKILLS = tuple(f"skill{number:02}" for number in range(40))


def build(
    classes: int, agents: int, sets: int, width: tuple[int, int], seed: int = 1
) -> tuple[Matching, list[str], list[GroupKey]]:
    """An index with free agents, and the requests that some class of them can meet."""
    chance = random.Random(seed)
    kinds = [tuple(sorted(chance.sample(SKILLS, chance.randint(*width)))) for _ in range(classes)]
    matching, names = Matching(), [f"agent{number}" for number in range(agents)]
    for number, name in enumerate(names):
        matching.join(name, offers(kinds[number % classes], "coder"))
        matching.place(name, 15)
    keys: dict[GroupKey, None] = {}
    while len(keys) < sets:
        kind = chance.choice(kinds)
        wanted = chance.sample(kind, min(len(kind), chance.randint(1, 3)))
        keys[(tuple(sorted(wanted)), None, None)] = None
    return matching, names, list(keys)


def fill(matching: Matching, keys: list[GroupKey], queued: int) -> None:
    """Queue tasks of all kinds, of mixed priorities."""
    chance = random.Random(2)
    for number in range(queued):
        order = number + 6_000 * chance.choice((0, 10, 20, 30))
        matching.enqueue(f"task{number}", keys[number % len(keys)], order)


def drain(matching: Matching, batch: int) -> float:
    """Assign everything; `batch` agents come free at a time. Assignments a second."""
    busy: list[str] = []
    done, start = 0, process_time()
    while len(matching):
        found = matching.best()
        if found is None:
            if not busy:
                break
            for name in busy:
                matching.place(name, 15)
            busy.clear()
            continue
        matching.dequeue(found[0])
        matching.place(found[1], -1)
        busy.append(found[1])
        done += 1
        if len(busy) >= batch:
            for name in busy:
                matching.place(name, 15)
            busy.clear()
    return done / (process_time() - start)


def usual(queued: int, batch: int) -> float:
    """The row of the table: 1,000 agents in 100 classes, 200 capability sets."""
    matching, _, keys = build(100, 1_000, 200, (3, 12))
    fill(matching, keys, queued)
    return drain(matching, batch)


def saturated(queued: int) -> float:
    """All agents busy but one at a time: each pass finds one free agent among 1,000."""
    matching, names, keys = build(100, 1_000, 200, (3, 12))
    for name in names:
        matching.place(name, -1)
    fill(matching, keys, queued)
    done, start = 0, process_time()
    for turn in range(queued):
        name = names[turn % len(names)]
        matching.place(name, 15)
        found = matching.best()
        if found is not None:
            matching.dequeue(found[0])
            done += 1
        matching.place(name, -1)
    return done / (process_time() - start)


def nothing_fits(queued: int) -> float:
    """Everything queued asks for what nobody has; each look, with an agent coming free, a second.

    A plain scan looks at every queued task each time.
    """
    matching, names, _ = build(100, 1_000, 200, (3, 12))
    keys: list[GroupKey] = [((f"nobody{number}",), None, None) for number in range(200)]
    fill(matching, keys, queued)
    looks, start = 200_000, process_time()
    for turn in range(looks):
        matching.place(names[turn % 1_000], -1)
        matching.place(names[turn % 1_000], 15)
        if matching.best() is not None:
            raise AssertionError("nothing should fit")
    return looks / (process_time() - start)


def worst(queued: int, batch: int) -> float:
    """1,000 agents of 1,000 classes, 50 capability sets: every bitset is a thousand bits wide."""
    matching, _, keys = build(1_000, 1_000, 50, (8, 20))
    fill(matching, keys, queued)
    return drain(matching, batch)


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description="How fast matching is.")
    parser.add_argument("--queued", type=int, default=100_000, help="tasks that wait")
    queued = parser.parse_args().queued
    cases: list[tuple[str, Callable[[], float]]] = [
        ("a pass for every hundred agents that come free", lambda: usual(queued, 100)),
        ("a pass for every agent that comes free", lambda: usual(queued, 1)),
        ("one agent free at a time, all others busy", lambda: saturated(queued)),
        ("nothing fits", lambda: nothing_fits(queued)),
        ("worst known, hundred at a time", lambda: worst(queued, 100)),
        ("worst known, one at a time", lambda: worst(queued, 1)),
    ]
    for name, measure in cases:
        print(f"{measure():>12,.0f}/s  {name}", flush=True)


if __name__ == "__main__":
    main()
