"""What becomes of workers that are silent, and of those that have only lost their connection."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from visionflow.domain import messages as m
from visionflow.domain import supervision_commands as sc
from visionflow.domain.tasks import FailureKind
from visionflow.engine.state import SwarmState
from visionflow.ports.host import ProcessState
from visionflow.runtime.liveness import Liveness
from visionflow.runtime.probing import Probing
from visionflow.runtime.ticker import TICK_MS, Ticker

HEARTBEAT_MS = 10 * TICK_MS
BEFORE_MS, AFTER_MS = 2 * HEARTBEAT_MS, 3 * HEARTBEAT_MS
"""A worker that hangs is not lost before the first, and is after the second."""

pytestmark = pytest.mark.acceptance("detect")


class Still:
    def look(self) -> None: ...


class World:
    """A clock that goes on by ticks, one worker that said hello, and what was said of it."""

    def __init__(self, state: ProcessState = ProcessState.RUNNING, incarnation: int = 1) -> None:
        self.now_ms = 0
        self.due: list[Callable[[], None]] = []
        self.given_up: list[tuple[int, FailureKind, dict[str, bool]]] = []
        self.lines: list[str] = []
        self.said: list[Any] = []
        self.pings: list[int] = []
        self.answers = False
        self.state = SwarmState()
        self.child: Any = SimpleNamespace(
            incarnation=incarnation, process=SimpleNamespace(pid=1, started="1")
        )
        self.liveness = Liveness(HEARTBEAT_MS, 0)
        self.liveness.expect("w1", 1)
        host = SimpleNamespace(
            now_ms=lambda: self.now_ms,
            monotonic_ms=lambda: self.now_ms,
            entropy=lambda: 0,
            call_later=lambda _, call: self.due.append(call) or SimpleNamespace(cancel=None),
            process_state=lambda pid, started: self.process,
        )
        self.process = state
        children = SimpleNamespace(
            child=lambda worker: self.child,
            expects_end=lambda worker: False,
            give_up=self._give_up,
        )
        telemetry = SimpleNamespace(log=lambda level, agent, code, text: self.lines.append(code))
        control = SimpleNamespace(state=self.state, offer=self._offer)
        made: tuple[Any, ...] = (control, host, children, self.liveness, telemetry, self._ask)
        self.probing = Probing(*cast("tuple[Any, Any, Any, Any, Any, Any]", made))
        parts: tuple[Any, ...] = (control, host, self.liveness, self.probing, Still())
        self.ticker = Ticker(*cast("tuple[Any, Any, Any, Any, Any]", parts), pytest.fail)
        self.ticker.start()

    def _give_up(
        self,
        worker: str,
        incarnation: int,
        kind: FailureKind,
        reason: str,
        probes: tuple[tuple[str, bool], ...],
    ) -> None:
        self.given_up.append((self.now_ms, kind, dict(probes)))

    def _offer(self, command: Any, bounded: bool = True) -> None:
        self.said.append(command)
        suspects = self.state.supervised.suspects
        if isinstance(command, sc.ReportSuspicion):
            suspects[command.worker] = command.evidence
        elif isinstance(command, sc.ReportTrust):
            del suspects[command.worker]

    def _ask(self, worker: str, ping: m.Ping) -> bool:
        self.pings.append(ping.number)
        return True

    def pass_by(self, ms: int, beats: bool = False) -> None:
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            if self.answers and self.pings:
                self.probing.ponged("w1", 1, self.pings[-1])
            self.now_ms += TICK_MS
            if beats and self.now_ms % HEARTBEAT_MS == 0:
                self.liveness.heard(m.Heartbeat("w1", 1))
            self.due.pop()()

    def opinions(self) -> list[str]:
        return [type(command).__name__ for command in self.said]


def test_a_worker_that_hangs_is_suspected_first_and_given_up_between_two_and_three_beats() -> None:
    world = World()
    world.pass_by(2 * AFTER_MS)
    assert world.opinions() == ["ReportSuspicion"]
    (at_ms, kind, probes) = world.given_up[0]
    assert BEFORE_MS < at_ms <= AFTER_MS
    assert kind is FailureKind.CRASH
    assert probes == {"heartbeat": False, "ping": False, "process": True}
    assert (len(world.given_up), world.lines) == (1, ["worker_silent"])


def test_one_that_somebody_stopped_is_told_from_one_that_hangs() -> None:
    world = World(ProcessState.STOPPED)
    world.pass_by(AFTER_MS)
    assert "somebody" not in world.said[0].evidence and "stopped" in world.said[0].evidence
    assert [kind for _, kind, _ in world.given_up] == [FailureKind.KILLED]


def test_one_that_cannot_be_reached_while_its_process_runs_is_a_failure_of_the_network() -> None:
    world = World()
    world.liveness.left("w1", 1)
    world.probing.look_at("w1", 1)
    assert world.opinions() == ["ReportSuspicion"], "suspected at once"
    world.pass_by(AFTER_MS)
    assert [kind for _, kind, _ in world.given_up] == [FailureKind.NETWORK]


def test_one_that_answers_pings_is_suspected_at_most_however_long_it_does_not_beat() -> None:
    world = World()
    world.answers = True
    world.pass_by(4 * AFTER_MS)
    assert world.given_up == []
    assert world.opinions() == ["ReportSuspicion"]
    world.pass_by(AFTER_MS, beats=True)
    assert world.opinions() == ["ReportSuspicion", "ReportTrust"]


def test_one_that_computes_and_answers_no_ping_is_left_alone_while_it_beats() -> None:
    world = World()
    world.pass_by(4 * AFTER_MS, beats=True)
    assert (world.said, world.given_up, world.pings) == ([], [], [])


def test_one_whose_process_ended_is_not_silent() -> None:
    for gone in (None, SimpleNamespace(incarnation=2)):
        world = World()
        world.child = gone
        world.pass_by(2 * AFTER_MS)
        assert (world.given_up, world.lines, world.said) == ([], [], [])


def test_nobody_is_blamed_for_the_time_in_which_we_stood_still() -> None:
    world = World()
    world.pass_by(HEARTBEAT_MS, beats=True)
    world.now_ms += 100 * HEARTBEAT_MS
    world.pass_by(HEARTBEAT_MS)
    assert (world.given_up, world.opinions()) == ([], ["Tick"])
