"""A swarm supervises its workers as OTP does: a strategy, an intensity, and then it says so."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.calm import Calm
from tests.engine.restarts_by_chance import supervision
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_commands as sc
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentStatus
from visionflow.domain.limits import RESTART_PERIOD_MS
from visionflow.domain.supervision import RestartStrategy, SupervisionSpec
from visionflow.domain.tasks import FailureKind, TaskStatus

MEMORY = 1_000_000


def swarm(strategy: RestartStrategy, restarts_max: int | None = None) -> Calm:
    return Calm(supervision=SupervisionSpec(strategy, restarts_max, 60_000))


def places(world: Calm, agents: list[str]) -> list[str]:
    return [world.state.agents[agent].worker for agent in agents]


@pytest.mark.parametrize(
    ("strategy", "restarted"),
    [
        (RestartStrategy.ONE_FOR_ONE, []),
        (RestartStrategy.ONE_FOR_ALL, [0, 2]),
        (RestartStrategy.REST_FOR_ONE, [2]),
    ],
)
def test_the_strategy_says_who_is_started_again_beside_the_one_that_died(
    strategy: RestartStrategy, restarted: list[int]
) -> None:
    world = swarm(strategy)
    agents = world.team(3, "python", memory_bytes=MEMORY)
    workers = places(world, agents)
    world.lose(workers[1])
    told = [event.worker for event in world.of(s.WorkerRestarting)]
    assert told == [workers[number] for number in restarted]
    world.now_ms += 10_000
    world.settle()
    again = [world.state.workers[each].incarnation - 1 for each in workers]
    assert again == [int(number == 1 or number in restarted) for number in range(3)]
    assert all(world.state.agents[each].status is AgentStatus.READY for each in agents)


def test_what_siblings_held_is_given_out_again_and_counts_against_nothing() -> None:
    world = swarm(RestartStrategy.ONE_FOR_ALL)
    first, second = world.team(2, "python", memory_bytes=MEMORY)
    task = world.submit(agent=second)
    for _ in range(30):
        world.lose(world.state.agents[first].worker, FailureKind.KILLED)
        world.now_ms += 60_000
        world.settle()
    assert world.status(task) is TaskStatus.ASSIGNED
    assert world.state.tasks[task].kills == 0
    assert world.state.agents[second].failed == 0


def test_more_deaths_than_the_swarm_bears_degrade_it_until_all_are_started_by_hand() -> None:
    world = swarm(RestartStrategy.ONE_FOR_ONE, restarts_max=2)
    agents = world.team(4, "python", memory_bytes=MEMORY)
    for number, worker in enumerate(places(world, agents)):
        world.lose(worker)
        given_up = number >= 2
        assert (world.last(e.WorkerLost).restart_at_ms is None) == given_up
        assert (world.state.supervised.degraded is not None) == given_up
    told = world.last(s.SwarmDegraded)
    assert told.agents == (agents[3],)
    assert "4 workers died by themselves within 60000 ms" in told.reason
    assert agents[3] in told.reason
    for agent in agents[2:]:
        assert not world.of(s.SwarmRestored)
        world.send(sc.RestartAgent(now_ms=world.now_ms, agent=agent))
    assert world.state.supervised.degraded is None
    assert len(world.of(s.SwarmRestored)) == 1
    world.now_ms += 10_000
    world.settle()
    assert all(world.state.agents[each].status is AgentStatus.READY for each in agents)


def test_a_degraded_swarm_is_whole_again_when_who_was_given_up_is_ended() -> None:
    world = swarm(RestartStrategy.ONE_FOR_ONE, restarts_max=0)
    (agent,) = world.team(1, "python", memory_bytes=MEMORY)
    world.lose(world.state.agents[agent].worker)
    assert world.state.supervised.degraded
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
    assert world.state.supervised.degraded is None


def test_deaths_beyond_the_period_and_kills_by_others_are_not_held_against_the_swarm() -> None:
    world = swarm(RestartStrategy.ONE_FOR_ONE, restarts_max=1)
    agents = world.team(3, "python", memory_bytes=MEMORY)
    workers = places(world, agents)
    world.lose(workers[0])
    world.lose(workers[1], FailureKind.KILLED)
    world.lose(workers[2], FailureKind.NETWORK)
    world.now_ms += 60_001
    world.settle()
    world.lose(workers[0])
    assert world.state.supervised.degraded is None
    world.lose(workers[1])
    assert world.state.supervised.degraded is not None


def test_a_worker_given_up_by_its_own_intensity_degrades_its_swarm_too() -> None:
    world = Calm()
    (agent,) = world.team(1, "python", memory_bytes=MEMORY)
    for _ in range(4):
        world.lose(world.state.agents[agent].worker)
        world.now_ms += 10_000
        world.settle()
    assert world.last(s.SwarmDegraded).agents == (agent,)


def test_nobody_is_restarted_beside_a_worker_that_does_not_come_back() -> None:
    world = swarm(RestartStrategy.ONE_FOR_ALL, restarts_max=0)
    agents = world.team(2, "python", memory_bytes=MEMORY)
    world.lose(world.state.agents[agents[0]].worker)
    assert not world.of(s.WorkerRestarting)
    assert world.state.agents[agents[1]].status is AgentStatus.READY


class Tree(World):
    """A world of chance whose swarm supervises in a way of its own."""

    def __init__(self, seed: int) -> None:
        self.supervision = supervision(random.Random(seed).choice)
        super().__init__(seed, supervision=self.supervision)


@given(st.integers(0, 2**32), st.integers(40, 220))
def test_in_any_sequence_restarts_stay_within_intensity_and_a_degraded_swarm_says_who(
    seed: int, steps: int
) -> None:
    world = Tree(seed)
    for _ in range(steps):
        world.step()
        assert world.audit() == []
        failed = {n for n, a in world.state.agents.items() if a.status is AgentStatus.FAILED}
        sup = world.state.supervised
        assert set(sup.given_up) <= failed
        assert (sup.degraded is not None) == bool(sup.given_up)
    assert world.replay().digest() == world.state.digest()
    _within_intensity(world)
    _only_as_the_strategy_says(world)


def _within_intensity(world: Tree) -> None:
    """No more deaths by themselves are answered with a start than the swarm and the worker bear."""
    most, period_ms = world.supervision.restarts_max, world.supervision.period_ms
    answered: list[int] = []
    idle: dict[str, list[int]] = {}
    home: dict[str, str] = {}
    failed: set[str] = set()
    for record in world.records():
        for event in record.events:
            if isinstance(event, e.AgentSpawned):
                home[event.spec.id] = event.worker
            elif isinstance(event, e.AgentMoved):
                home[event.agent] = event.worker
            elif isinstance(event, e.AgentFailed):
                failed.add(event.agent)
            elif isinstance(event, e.AgentRecovering) and event.agent in failed:
                failed.discard(event.agent)
                idle.pop(home[event.agent], None)
            if not isinstance(event, e.WorkerLost) or event.restart_at_ms is None:
                continue
            judged = event.judged or event.kind
            if judged in (FailureKind.KILLED, FailureKind.NETWORK):
                continue
            answered = [at for at in answered if at > record.at_ms - period_ms]
            answered.append(record.at_ms)
            assert most is None or len(answered) <= most
            if not event.busy:
                mine = idle.setdefault(event.worker, [])
                mine[:] = [at for at in mine if at > record.at_ms - RESTART_PERIOD_MS]
                mine.append(record.at_ms)
                assert len(mine) <= 3


def _only_as_the_strategy_says(world: Tree) -> None:
    told = [x for x in world.of(s.WorkerRestarting) if "the swarm's strategy is" in x.reason]
    if world.supervision.strategy is RestartStrategy.ONE_FOR_ONE:
        assert not told
    for event in told:
        assert str(world.supervision.strategy) in event.reason
