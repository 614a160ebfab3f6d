"""The indexes beside the facts hold nothing of their own: made anew they are equal."""

from hypothesis import given
from hypothesis import strategies as st

from tests.engine.pipelines_by_chance import go_on
from tests.engine.world import World
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.domain.teams import LEADS
from visionflow.engine.evolve import evolve, open_record
from visionflow.engine.matching import GroupKey, Matching, order_of
from visionflow.engine.scoring import level_of, score_bp, slots
from visionflow.engine.state import AgentState, SwarmState
from visionflow.engine.topology.seats import is_meant_for_a_seat, key_of, offers_of


def level(state: SwarmState, agent: AgentState) -> int:
    """Where an agent must stand, by its record and load."""
    if agent.worker in state.supervised.recycling or agent.worker in state.supervised.restarting:
        return -1
    if any(agent.spec.id in held for held in (state.draining, state.updating, state.moving)):
        return -1
    if agent.worker in state.supervised.suspects or agent.worker in state.supervised.awaited:
        return -1
    circuit = state.supervised.circuits.get(f"agent:{agent.spec.id}")
    if circuit is not None and (
        circuit.status == "open" or (circuit.status == "half_open" and agent.open)
    ):
        return -1
    held, tasks_max = len(agent.open), agent.spec.tasks_max
    if state.teams.teams:
        held -= sum(state.tasks[n].spec.type.startswith("hierarchy.") for n in agent.open)
    able = agent.status in (AgentStatus.READY, AgentStatus.PROCESSING)
    types = state.supervised.batches.get(agent.spec.id, ())
    batches = all(state.tasks[task].spec.type in types for task in agent.open)
    room = max(
        slots(agent.completed, agent.mean_us, tasks_max), 5 * tasks_max if types and batches else 0
    )
    asking = set(state.supervised.waits)
    for lock in state.supervised.locks.values():
        asking.update(entry[0] for entry in (*lock.queue, lock.holder) if entry is not None)
    if asking.intersection(agent.open):
        room = tasks_max
    if not able or held >= room:
        return -1
    return level_of(score_bp(agent.completed, agent.failed, agent.mean_us, held, tasks_max))


def rebuilt(state: SwarmState) -> Matching:
    """A matching index made from the facts alone."""
    matching = Matching()
    for name, agent in state.agents.items():
        if agent.status not in (AgentStatus.TERMINATING, AgentStatus.FAILED):
            matching.join(name, offers_of(state, agent.spec))
            matching.place(name, level(state, agent))
    for name, task in state.tasks.items():
        if task.status is TaskStatus.QUEUED and name not in state.mesh.auctions:
            spec = task.spec
            matching.enqueue(name, key_of(state, spec), order_of(task.since_ms, spec.priority))
    return matching


def queue_of(matching: Matching) -> dict[GroupKey, list[tuple[int, str]]]:
    """The queued tasks of each group, in order; ties by name."""
    found: dict[GroupKey, list[tuple[int, str]]] = {}
    for key, group in matching._groups.items():
        valid = {(order, task) for order, _, task in group.heap if task in matching}
        here = sorted(entry for entry in valid if matching._queued[entry[1]] is group)
        if here:
            assert group.size == len(here)
            found[key] = here
    return found


def free_of(matching: Matching) -> set[tuple[int, frozenset[str]]]:
    """Which classes have room at which level, by the bitsets."""
    matching.best()
    return {
        (at, member.offers)
        for at, bits in enumerate(matching._free_at)
        for member in matching._classes
        if bits >> member.bit & 1
    }


def rooms_of(matching: Matching) -> dict[str, int]:
    return {agent: seat.level for agent, seat in matching._seats.items()}


@given(st.integers(0, 2**32), st.integers(20, 250))
def test_the_matching_index_made_anew_from_the_facts_is_the_one_kept_up(
    seed: int, steps: int
) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    kept, anew = world.state.matching, rebuilt(world.state)
    assert queue_of(kept) == queue_of(anew)
    assert rooms_of(kept) == rooms_of(anew)
    assert free_of(kept) == free_of(anew)
    # In a mesh a task may wait for an auction of others to end.
    waits = world.state.is_mesh and bool(world.state.mesh.auctions or world.state.mesh.read_only)
    assert waits or kept.best() is None, "something could be assigned and was not"
    assert waits or anew.best() is None


@given(st.integers(0, 2**32), st.integers(20, 250))
def test_every_retry_deadline_and_open_attempt_is_in_its_alarm(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    state, far_ms, ahead = world.state, 2**50, given_ahead(world)
    retries, deadlines = set(state.retries.due(far_ms)), set(state.deadlines.due(far_ms))
    running = set[str]()
    for name, task in state.tasks.items():
        if task.retry_at_ms is not None:
            assert (task.retry_at_ms, name) in retries
        if task.spec.deadline_ms is not None and task.status not in TERMINAL:
            assert (task.spec.deadline_ms, name) in deadlines
        begun = task.status is TaskStatus.RUNNING
        if begun or (task.status is TaskStatus.ASSIGNED and (name, task.attempt) not in ahead):
            running.add(name)
    assert set(state.clocks.overdue(far_ms, 0)) == running


def given_ahead(world: World) -> set[tuple[str, int]]:
    """Attempts that were given out beyond what their agent works on at once: of those that have
    not begun, no time counts."""
    state, found = SwarmState(), set[tuple[str, int]]()
    for record in world.records():
        open_record(state, record.at_ms)
        for event in record.events:
            evolve(state, event)
            if isinstance(event, e.TaskAssigned):
                agent = state.agents[event.agent]
                if len(agent.open) > agent.spec.tasks_max:
                    found.add((event.task, event.attempt))
    return found


@given(st.integers(0, 2**32), st.integers(1, 120))
def test_two_folds_of_one_log_are_equal_and_any_other_log_is_not(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    assert world.replay().digest() == world.replay().digest() == world.state.digest()
    if len(world.log) > 1:
        assert world.replay(len(world.log) - 1).digest() != world.state.digest()


def test_a_swarm_that_stopped_at_any_point_comes_to_rest_again() -> None:
    """Recover from every prefix of a log, run calmly on: every task ends."""
    world = World(3)
    for _ in range(120):
        world.step()
    for length in range(1, len(world.log), 7):
        again = World()
        again.log, again.now_ms = list(world.log[:length]), world.now_ms
        again.state, again.names = again.replay(), 10**6
        again.send(c.Recover(now_ms=again.now_ms))
        again.team(2, "python", "review", "security", "testing", tasks_max=4)
        for name, task in list(again.state.tasks.items()):
            pinned = task.spec.agent is not None or task.spec.agent_type == "tester"
            pinned = pinned or is_meant_for_a_seat(task.spec) or LEADS in task.spec.capabilities
            if task.status is TaskStatus.BLOCKED or (pinned and task.status not in TERMINAL):
                again.send(c.CancelTask(now_ms=again.now_ms, task=name))
        for _ in range(400):
            if not again.state.live and not again.state.pipelines.open:
                break
            for name in again.running():
                again.complete(name)
            go_on(again)
            again.tick(60_000)
            again.settle(1)
        assert again.state.live == 0 and not again.state.pipelines.open, length
        assert again.audit() == []
