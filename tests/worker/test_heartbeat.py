"""The thread that beats, and sees what a stuck loop cannot."""

import threading
from collections.abc import Callable

from visionflow.worker.heartbeat import STALL_S, ThreadHeartbeat

PATIENCE_S = 60.0


class Sent:
    """A connection that keeps what is published on it."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed = 0

    def publish(self, subject: str, payload: bytes) -> None:
        self.frames.append(payload)

    def close(self) -> None:
        self.closed += 1


def beating(
    dial: Callable[[], Sent],
    every_ms: int,
    overdue_s: Callable[[], float],
    on_stall: Callable[[], None],
) -> ThreadHeartbeat:
    return ThreadHeartbeat(dial, "s", lambda early: b"beat", every_ms, overdue_s, on_stall)


def test_a_stuck_loop_is_seen_long_before_the_next_beat() -> None:
    sent, stalled = Sent(), threading.Event()
    thread = beating(lambda: sent, 3_600_000, lambda: STALL_S + 1, stalled.set)
    thread.start()
    assert stalled.wait(PATIENCE_S)
    thread.stop()
    assert sent.frames == [b"beat"], "it did not take a second beat"


def test_one_that_was_late_for_a_moment_is_not_stuck() -> None:
    late, looks, stalls = [STALL_S + 1, 0.0] * 3, threading.Event(), list[bool]()

    def overdue_s() -> float:
        if not late:
            looks.set()
            return 0.0
        return late.pop()

    thread = beating(Sent, 20, overdue_s, lambda: stalls.append(True))
    thread.start()
    assert looks.wait(PATIENCE_S)
    thread.stop()
    assert not stalls


def test_without_a_free_descriptor_it_beats_again_later() -> None:
    sent, tries, beaten = Sent(), list[int](), threading.Event()

    def dial() -> Sent:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(24, "Too many open files")
        beaten.set()
        return sent

    thread = beating(dial, 10, lambda: 0.0, lambda: None)
    thread.start()
    assert beaten.wait(PATIENCE_S)
    thread.stop()
    assert sent.frames and sent.closed == 1
