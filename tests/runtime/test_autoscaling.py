"""The autoscaler over a swarm, in a time of its own: up with a backlog, down when nothing is."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentSpec
from visionflow.domain.limits import Limits
from visionflow.engine.scaling import Bounds, Room, Rules
from visionflow.runtime.autoscaling import LOOK_MS, Autoscaler, Kind, Watch, memory_room

RULES = Rules(cool_down_ms=20_000, queue_wait_ms=2_000)
GIB = 1 << 30


class Machine:
    """Host, control plane and supply around a world, with a clock that is turned by hand."""

    failure: BaseException | None = None

    def __init__(self, world: World) -> None:
        self.world = world
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.lines: list[str] = []
        self.room = Room(1_000, "the server's")

    # Host
    def now_ms(self) -> int:
        return self.world.now_ms

    monotonic_ms = now_ms

    def call_later(self, delay_ms: int, call: Callable[[], None]) -> Any:
        entry = (self.world.now_ms + delay_ms, call)
        self.timers.append(entry)
        timers = self.timers

        class Timer:
            def cancel(self) -> None:
                if entry in timers:
                    timers.remove(entry)

        return Timer()

    # ControlPlane
    @property
    def state(self) -> Any:
        return self.world.state

    def offer(self, command: c.AnyCommand, answered: Any = None, bounded: bool = True) -> None:
        answer = self.world.send(command)
        if answered is not None:
            answered(answer)

    # Supply
    def kind(self, agent_type: str) -> Kind | None:
        return Kind(frozenset({"python", f"type:{agent_type}"}))

    def rooms(self, agent_type: str, kind: Kind) -> tuple[list[Room], list[str]]:
        return [self.room], ["nothing is known of the memory"]

    def spawn(self, agent_type: str, count: int) -> None:
        for _ in range(count):
            name = self.world.name("scaled")
            spec = AgentSpec(name, agent_type, name, "m:C", ("python",), scaled=True)
            self.world.send(c.SpawnAgent(now_ms=self.world.now_ms, spec=spec))
        self.world.settle()

    # Telemetry
    def log(self, level: str, agent: str | None, code: str, text: str) -> None:
        self.lines.append(text)

    def pass_time(self, length_ms: int) -> None:
        """Let it pass, with all that comes due."""
        until_ms = self.world.now_ms + length_ms
        while self.timers and min(self.timers)[0] <= until_ms:
            self.timers.sort(key=lambda entry: entry[0])
            at_ms, call = self.timers.pop(0)
            self.world.now_ms = max(self.world.now_ms, at_ms)
            call()
            self.world.tick()
            self.world.settle()
        self.world.now_ms = until_ms


def machine(bounds: Bounds, **limits: int) -> tuple[Machine, Autoscaler]:
    around = Machine(World(limits=Limits(agents_max=100, workers_max=2, **limits)))
    any_of_it: Any = around
    scaler = Autoscaler(any_of_it, any_of_it, around, around, {"coder": bounds}, RULES)
    scaler.start()
    return around, scaler


def count(world: World) -> int:
    return len(world.state.agents) - len(world.state.draining)


@pytest.mark.acceptance("scale")
def test_with_a_backlog_it_rises_to_the_maximum_and_when_idle_it_falls_to_the_minimum() -> None:
    around, scaler = machine(Bounds(2, 7))
    world = around.world
    (named,) = world.team(1, "python")
    around.pass_time(LOOK_MS)
    assert count(world) == 2, "below the minimum is filled up at once"
    tasks = [world.submit(capabilities=("python",)) for _ in range(40)]
    around.pass_time(3 * 20_000)
    assert count(world) == 7
    steps = [(event.before, event.after) for event in world.of(s.ScaleDecided)]
    assert steps == [(1, 2), (2, 4), (4, 7)]
    assert "places are taken (100%)" in world.last(s.ScaleDecided).evidence
    assert world.last(s.ScaleDecided).evidence.endswith(
        "; its maximum is 7; nothing is known of the memory"
    )
    around.pass_time(60_000)
    assert count(world) == 7, "as long as something waits nobody goes"
    for task in tasks:
        if world.state.tasks[task].agent is None:
            world.now_ms += 1
        world.complete(task)
    around.pass_time(19_000)
    assert count(world) == 7
    around.pass_time(6_000)
    assert count(world) == 2
    assert next(iter(world.state.agents)) == named, "one that a client spawned stays"
    scaler.stop()
    around.pass_time(100_000)
    assert around.timers == []


@pytest.mark.acceptance("scale")
def test_a_load_that_flaps_within_the_cool_down_changes_nothing() -> None:
    around, _ = machine(Bounds(1, 8))
    world = around.world
    world.team(1, "python")
    for _ in range(4):
        world.submit(capabilities=("python",))
    around.pass_time(4 * LOOK_MS)
    assert count(world) == 2
    decided = len(world.of(s.ScaleDecided))
    for _ in range(3):
        for task in list(world.running()):
            world.complete(task)
        around.pass_time(LOOK_MS)
        for _ in range(4):
            world.submit(capabilities=("python",))
        around.pass_time(LOOK_MS)
    assert len(world.of(s.ScaleDecided)) == decided


def test_one_that_is_busy_drains_and_the_youngest_goes_first() -> None:
    around, _ = machine(Bounds(1, 5))
    world = around.world
    world.team(1, "python")
    around.spawn("coder", 3)
    oldest, *_, youngest = list(world.state.agents)
    around.pass_time(18_000)
    long = world.submit(agent=youngest)
    around.pass_time(10_000)
    assert world.last(s.ScaleDecided).after == 2, "one place was taken"
    assert youngest in world.state.draining
    world.complete(long)
    around.pass_time(LOOK_MS)
    assert youngest not in world.state.agents
    assert oldest in world.state.agents


def test_a_decision_that_found_no_room_is_not_made_and_the_swarms_limit_is_one() -> None:
    around, _ = machine(Bounds(1, 50))
    world = around.world
    world.send(c.ChangeLimits(now_ms=world.now_ms, agents_max=3))
    world.team(1, "python")
    for _ in range(30):
        world.submit(capabilities=("python",))
    around.pass_time(100_000)
    assert len(world.state.agents) == 3
    assert "; its swarm may have 3 agents; " in world.last(s.ScaleDecided).evidence
    around.room = Room(0, "full")
    decided = len(world.of(s.ScaleDecided))
    around.pass_time(100_000)
    assert len(world.of(s.ScaleDecided)) == decided


def test_nothing_ends_before_a_whole_cool_down_was_watched() -> None:
    around, _ = machine(Bounds(1, 9))
    around.spawn("coder", 5)
    around.pass_time(19_000)
    assert count(around.world) == 5
    around.world.now_ms += 300_000
    around.pass_time(10_000)
    assert count(around.world) == 5, "nobody looked while the machine slept"
    around.pass_time(20_000)
    assert count(around.world) == 1


@pytest.mark.parametrize("length_ms", [LOOK_MS // 2, LOOK_MS, 5 * LOOK_MS])
def test_how_busy_it_was_when_the_cool_down_began_is_a_part_of_it(length_ms: int) -> None:
    watch, looks = Watch(length_ms), -(-length_ms // LOOK_MS)
    watch.see(0, 3, False)
    for look in range(1, looks + 1):
        assert watch.peak is None, "not watched for so long"
        watch.see(look * LOOK_MS, 0, False)
    assert watch.peak == 3
    watch.see((looks + 1) * LOOK_MS, 0, False)
    assert watch.peak == 0


# Memory ----------------------------------------------------------------------------------------


def test_the_machines_memory_bounds_by_ceilings_and_by_what_workers_take() -> None:
    world = World()
    world.team(2)
    world.team(1, memory_bytes=2 * GIB)
    nodes = [(world.state, {"w1": 3 * GIB, "w2": GIB}.get)]
    own = memory_room(Kind(frozenset(), memory_bytes=2 * GIB), 10 * GIB, nodes)
    assert own[0] is not None and own[0].count == 1, "of 9 Gi, 2 and 4 are taken"
    shared = memory_room(Kind(frozenset()), 10 * GIB, nodes)
    assert shared[0] is not None and shared[0].count == 1, "the others take 2 Gi each"


def test_what_is_not_known_of_the_memory_bounds_nothing_and_is_told() -> None:
    world = World()
    world.team(1)
    kind = Kind(frozenset())
    room, why = memory_room(kind, None, [])
    assert room is None and why is not None and "memory is not known" in why
    room, why = memory_room(kind, GIB, [(world.state, lambda worker: None)])
    assert room is None and why is not None and "what one more takes" in why
    held = Kind(frozenset(), memory_bytes=GIB // 8)
    room, why = memory_room(held, GIB, [(world.state, lambda worker: None)])
    assert room is not None and room.count == 7
    assert why == "1 workers do not say yet what they take"


class Failing(Machine):
    """Nobody that is made here gets ready."""

    failing = True

    def spawn(self, agent_type: str, count: int) -> None:
        before = list(self.world.state.agents)
        super().spawn(agent_type, count)
        for name in [each for each in self.world.state.agents if each not in before]:
            if self.failing:
                worker = self.world.state.workers[self.world.state.agents[name].worker]
                self.world.send(
                    c.ReportAgentDown(
                        now_ms=self.world.now_ms,
                        agent=name,
                        worker=worker.id,
                        incarnation=worker.incarnation,
                        reason="KeyError: 'style'",
                    )
                )


@pytest.mark.acceptance("scale")
def test_a_type_whose_agents_only_fail_does_not_fill_the_swarm_with_them() -> None:
    around: Any = Failing(World(limits=Limits(agents_max=20)))
    world = around.world
    bounds = {"coder": Bounds(3, 10)}
    scaler = Autoscaler(around, around, around, around, bounds, RULES)
    scaler.start()
    for _ in range(9):
        world.submit(agent_type="coder", capabilities=("python",))
    around.pass_time(20 * RULES.cool_down_ms)
    assert len(world.state.agents) == 3, "more failed than work, so one more would fail too"
    (told,) = around.lines
    assert told == (
        "coder in swarm_1: no more are made: 3 of its agents have failed and 0 work; agent_restart "
        "brings one back, agent_terminate makes room"
    )
    around.failing = False
    for name in list(world.state.agents)[:2]:
        world.send(c.TerminateAgent(now_ms=world.now_ms, agent=name))
    world.settle()
    (last,) = world.state.agents
    world.send(sc.RestartAgent(now_ms=world.now_ms, agent=last))
    world.settle()
    around.pass_time(2 * RULES.cool_down_ms)
    assert len(world.state.agents) > 3
