"""The checker of locks tells a lock that is about to be granted from one that is free."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from visionflow.testing.waitlines import WaitCheck

Fact = dict[str, Any]


def found_in(*events: Fact) -> list[str]:
    """What is wrong with these events of one record; tasks a to c have an open attempt each."""
    check = WaitCheck()
    tasks = {
        name: SimpleNamespace(spec={}, status="running", attempt=1, agent="x", cancelling=None)
        for name in "abc"
    }

    def wrong() -> Iterator[str]:
        for event in events:
            yield from check.event(event["t"], event, tasks, (0, 0))
        yield from check.settled(tasks)

    return list(wrong())


def lock(kind: str, task: str) -> Fact:
    return {"t": f"lock_{kind}", "lock": "z", "task": task, "attempt": 1}


ENDED = {"t": "task_completed", "task": "a"}


def test_one_that_queues_between_a_holders_end_and_the_grant_is_right() -> None:
    queued = (lock("granted", "a"), lock("queued", "b"), ENDED, lock("queued", "c"))
    assert found_in(*queued, lock("granted", "b")) == []


def test_one_that_queues_for_a_free_lock_is_found() -> None:
    wrong = found_in(lock("queued", "b"), lock("granted", "b"))
    assert wrong == ["b waits for lock z, held by None, before []"]


def test_a_lock_that_is_granted_to_nobody_is_found() -> None:
    wrong = found_in(lock("granted", "a"), lock("queued", "b"), ENDED)
    assert wrong == ["lock z is held by nobody and ['b'] wait for it"]
