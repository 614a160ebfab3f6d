"""Figures of a stretch of time are what other code counts in the same log, event by event."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.world import World
from visionflow.adapters.memory import MemoryLog
from visionflow.adapters.sqlite.views import SqliteViews
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.supervision import Advice
from visionflow.domain.tasks import FailureKind
from visionflow.ports.figures import AgentFigures
from visionflow.ports.views import TaskFilter
from visionflow.runtime.queries import Queries
from visionflow.runtime.views import changes

TERMINAL_EVENTS = {
    e.TaskCompleted: "completed",
    e.TaskFailed: "failed",
    e.TaskDeadLettered: "dead_letter",
    e.TaskCancelled: "cancelled",
}

NONE = ("completed", "throttled", "recalled", "in_doubt", "reassigned", "stopped")
AWAY = ("killed", "lost", "agent_gone", "network_failure")


def views_of(world: World, path: Path) -> SqliteViews:
    views = SqliteViews(path)
    for number, record in enumerate(world.records(), 1):
        views.apply(number, changes(record))
    return views


class Counted:
    """The same figures by a plain walk over the events: sets of milliseconds, lists, sums."""

    def __init__(self, world: World, from_ms: int, to_ms: int) -> None:
        self.window = range(from_ms + 1, to_ms + 1)
        self.now_ms = to_ms
        self.open: dict[str, tuple[int, str, int]] = {}
        self.stopping: set[str] = set()
        self.done: list[tuple[str, str, int, int, int, bool]] = []
        self.last: dict[str, str] = {}
        self.ended: dict[str, tuple[str, int]] = {}
        self.submitted = 0
        for record in world.records():
            for event in record.events:
                self.see(event, record.at_ms)

    def see(self, event: e.Event, at_ms: int) -> None:
        if isinstance(event, (e.TaskSubmitted, e.PlanSubmitted)):
            self.submitted += at_ms in self.window
            self.last[event.spec.id] = "open"
        elif isinstance(event, e.TaskAssigned):
            self.open[event.task] = (event.attempt, event.agent, at_ms)
            self.stopping.discard(event.task)
        elif isinstance(event, e.TaskCancelling):
            self.stopping.add(event.task)
        elif isinstance(event, e.AttemptFailed):
            ours = event.excused and event.kind in AWAY
            self.close(event.task, "stopped" if ours else event.kind, at_ms, 0)
        elif isinstance(event, e.TaskQueued):
            self.ended.pop(event.task, None)
        if type(event) in TERMINAL_EVENTS:
            task = event.task  # type: ignore[attr-defined]
            if isinstance(event, e.TaskCompleted) and event.attempt:
                self.close(task, "completed", at_ms, event.duration_us)
            self.ended[task] = (TERMINAL_EVENTS[type(event)], at_ms)

    def close(self, task: str, outcome: str, at_ms: int, took_us: int) -> None:
        _, agent, since = self.open.pop(task)
        self.done.append((agent, outcome, since, at_ms, took_us, task in self.stopping))

    def agents(self) -> dict[str, AgentFigures]:
        found: dict[str, AgentFigures] = {}
        held = Counter(agent for _, agent, _ in self.open.values())
        for agent in {each[0] for each in self.done} | set(held):
            own = [each for each in self.done if each[0] == agent]
            inside = [each for each in own if each[3] in self.window]
            spans = [(since, until) for _, _, since, until, _, _ in own]
            spans += [(since, self.now_ms) for _, who, since in self.open.values() if who == agent]
            busy = {ms for since, until in spans for ms in range(since + 1, until + 1)}
            done = AgentFigures(
                agent=agent,
                completed=sum(1 for each in inside if each[1] == "completed"),
                failed=sum(1 for each in inside if each[1] not in NONE and not each[5]),
                worked_us=sum(each[4] for each in inside),
                busy_ms=len(busy & set(self.window)),
                open=held[agent],
            )
            counts = (done.completed, done.failed, done.worked_us, done.busy_ms, done.open)
            if any(counts) or inside:
                found[agent] = done
        return found


def walk(seed: int, steps: int) -> World:
    world = World(seed)
    for _ in range(steps):
        world.step()
        world.now_ms += world.random.randint(0, 40)
    return world


@pytest.mark.acceptance("truth")
@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(20, 160), st.floats(0, 1), st.floats(0, 1))
def test_every_figure_is_what_a_walk_over_the_events_counts(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, first: float, second: float
) -> None:
    world = walk(seed, steps)
    began = world.records()[0].at_ms
    length = min(world.now_ms - began, 100_000)
    from_ms = world.now_ms - round(length * max(first, second))
    to_ms = world.now_ms
    views = views_of(world, tmp_path_factory.mktemp("figures") / "views.db")
    found = views.figures(from_ms, to_ms, recent=1_000, types=50)
    views.close()
    counted = Counted(world, from_ms, to_ms)
    inside = [each for each in counted.done if each[3] in counted.window]
    failed = [each for each in inside if each[1] not in NONE and not each[5]]
    otherwise = ("recalled", "in_doubt", "reassigned", "stopped")
    cancelled = sum(
        1 for each in inside if each[1] in otherwise or (each[5] and each[1] != "completed")
    )
    assert {
        each.agent: each
        for each in found.agents
        if any((each.completed, each.failed, each.worked_us, each.busy_ms, each.open))
    } == {
        name: each
        for name, each in counted.agents().items()
        if any((each.completed, each.failed, each.worked_us, each.busy_ms, each.open))
    }
    assert found.submitted == counted.submitted
    assert found.ended == Counter(
        status for status, at_ms in counted.ended.values() if at_ms in counted.window
    )
    assert sum(found.open.values()) == len(counted.last) - len(counted.ended)
    assert found.failures == Counter(str(each[1]) for each in failed)
    assert found.attempts_failed == len(failed) == len(found.recent)
    assert found.attempts_completed == sum(1 for each in inside if each[1] == "completed")
    assert found.attempts_throttled == sum(
        1 for each in inside if each[1] == "throttled" and not each[5]
    )
    assert found.attempts_cancelled == cancelled
    assert [each.ended_ms for each in found.recent] == sorted(
        (each[3] for each in failed), reverse=True
    )


def test_attempts_that_overlap_are_one_busy_time(tmp_path: Path) -> None:
    world = World(1)
    agent = world.team(1, "python", tasks_max=2)[0]
    begin = world.now_ms
    first = world.submit(capabilities=("python",))
    world.now_ms = begin + 100
    second = world.submit(capabilities=("python",))
    world.now_ms = begin + 150
    world.complete(first)
    world.now_ms = begin + 300
    world.complete(second)
    world.now_ms = begin + 400
    third = world.submit(capabilities=("python",))
    views = views_of(world, tmp_path / "views.db")
    figures = views.figures(begin + 50, begin + 500, 10, 0)
    views.close()
    assert third in world.state.agents[agent].open
    assert [(each.agent, each.busy_ms, each.open) for each in figures.agents] == [
        (agent, 250 + 100, 1)
    ]


def test_an_attempt_that_was_told_to_stop_is_no_error(tmp_path: Path) -> None:
    world = World(1)
    world.team(1, "python")
    task = world.submit(capabilities=("python",))
    world.send(c.CancelTask(now_ms=world.now_ms, task=task))
    world.fail(task, FailureKind.KILLED)
    views = views_of(world, tmp_path / "views.db")
    figures = views.figures(0, world.now_ms, 10, 0)
    attempt = views.attempts(task)[0]
    views.close()
    assert (figures.attempts_failed, figures.attempts_cancelled) == (0, 1)
    assert figures.recent == []
    assert attempt.cancelled_ms == world.now_ms


def test_what_an_orderly_end_interrupts_is_no_error_of_anybody(tmp_path: Path) -> None:
    world = World(1)
    agent = world.team(1, "python")[0]
    task = world.submit(capabilities=("python",))
    there = tuple((each.id, each.incarnation) for each in world.state.workers.values())
    world.send(c.ReportStopped(now_ms=world.now_ms, workers=there))
    assert world.last(e.AttemptFailed).task == task
    views = views_of(world, tmp_path / "views.db")
    figures = views.figures(0, world.now_ms, 10, 0)
    found = views.failures_of(agent, 5)
    views.close()
    assert (figures.attempts_failed, figures.attempts_cancelled) == (0, 1)
    assert figures.recent == found == []
    assert figures.agents[0].failed == world.state.counters.attempts_failed == 0


def test_an_attempt_whose_failure_was_mended_is_an_error_all_the_same(tmp_path: Path) -> None:
    world = World(1)
    world.team(1, "python", memory_bytes=64 << 20)
    task = world.submit(capabilities=("python",))
    world.send(
        c.ReportFailure(
            now_ms=world.now_ms,
            task=task,
            attempt=1,
            kind=FailureKind.RESOURCES,
            reason="it ran out of memory",
            entropy=0,
            machine_bytes=1 << 40,
        )
    )
    assert world.last(e.AttemptFailed).excused
    views = views_of(world, tmp_path / "views.db")
    figures = views.figures(0, world.now_ms, 10, 0)
    views.close()
    assert figures.failures == {"resource_exhaustion": 1}
    assert [each.reason for each in figures.recent] == ["it ran out of memory"]


@pytest.mark.parametrize(
    ("kind", "advice", "told"),
    [
        (FailureKind.RESOURCES, None, "resource_exhaustion"),
        (FailureKind.KILLED, Advice(memory_bytes=96 << 20), "killed"),
    ],
)
def test_what_memory_ended_before_anybody_heard_that_it_began_is_an_error(
    tmp_path: Path, kind: FailureKind, advice: Advice | None, told: str
) -> None:
    world = World(1)
    world.team(1, "python", memory_bytes=64 << 20)
    task = world.submit(capabilities=("python",))
    (worker,) = world.state.workers.values()
    world.send(
        c.ReportWorkerLost(
            now_ms=world.now_ms,
            worker=worker.id,
            incarnation=worker.incarnation,
            kind=kind,
            reason="it was ended",
            machine_bytes=1 << 40,
            advice=advice,
        )
    )
    assert world.last(e.AttemptFailed).task == task
    views = views_of(world, tmp_path / "views.db")
    figures = views.figures(0, world.now_ms, 10, 0)
    views.close()
    assert figures.failures == {told: 1}
    assert (figures.attempts_failed, figures.attempts_cancelled) == (1, 0)
    assert world.state.counters.attempts_failed == 1
    assert world.state.tasks[task].failures == 0


def test_the_failures_of_one_agent_are_found_behind_any_number_of_anothers(tmp_path: Path) -> None:
    world = World(1)
    agent, other = world.team(1, "python")[0], world.team(1, "rust")[0]
    kinds = {agent: [FailureKind.ERROR, FailureKind.DEADLOCK], other: [FailureKind.TIMEOUT] * 9}
    tasks: dict[str, list[str]] = {agent: [], other: []}
    for name, ends in kinds.items():
        for kind in ends:
            task = world.submit(capabilities=("python" if name == agent else "rust",))
            world.fail(task, kind)
            tasks[name].append(task)
            world.send(c.CancelTask(now_ms=world.now_ms, task=task))
    views = views_of(world, tmp_path / "views.db")
    found = views.failures_of(agent, 5)
    others = views.failures_of(other, 3)
    views.close()
    assert [(each.task, each.kind) for each in found] == [(tasks[agent][0], "error")]
    assert [each.kind for each in others] == ["timeout"] * 3


def test_durations_of_a_type_have_their_median_and_their_tail(tmp_path: Path) -> None:
    world = World(1)
    world.team(1, "python")
    for number in range(20):
        task = world.submit(capabilities=("python",), type="lint")
        attempt = world.state.tasks[task].attempt
        world.send(
            c.ReportResult(
                now_ms=world.now_ms, task=task, attempt=attempt, duration_us=(number + 1) * 1_000
            )
        )
        world.now_ms += 10
    views = views_of(world, tmp_path / "views.db")
    found = views.figures(0, world.now_ms, 0, 5).types
    last = views.durations("lint", 3)
    views.close()
    assert [
        (each.type, each.completed, each.mean_us, each.median_us, each.p95_us, each.longest_us)
        for each in found
    ] == [("lint", 20, 10_500, 10_000, 19_000, 20_000)]
    assert last == [20_000, 19_000, 18_000]


def queries_of(world: World, folder: Path) -> tuple[Queries, SqliteViews]:
    async def logged() -> MemoryLog:
        log = MemoryLog()
        for number, body in enumerate(world.log):
            await log.append("swarm_1", number, body)
        return log

    views = SqliteViews(folder / "views.db")
    return Queries(asyncio.run(logged()), "swarm_1", views, lambda: len(world.log)), views


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 17))
def test_pages_of_events_are_the_log_whatever_their_length(
    tmp_path_factory: pytest.TempPathFactory, seed: int, limit: int
) -> None:
    world = walk(seed, 40)
    queries, views = queries_of(world, tmp_path_factory.mktemp("events"))
    found: list[object] = []
    page = queries.events(limit=limit)
    found.extend(each.event for each in page.events)
    while page.more:
        assert len(page.events) <= limit
        page = queries.events(page.after, limit)
        found.extend(each.event for each in page.events)
    views.close()
    assert found == world.events()
    assert page.head == len(world.log)


def test_events_since_a_record_are_those_of_later_records_and_of_the_kinds_asked_for(
    tmp_path: Path,
) -> None:
    world = walk(7, 60)
    queries, views = queries_of(world, tmp_path)
    kinds = (e.TaskSubmitted, e.AgentSpawned)
    page = queries.events((10, -1), kinds=kinds)
    views.close()
    wanted = [
        (number, event)
        for number, record in enumerate(world.records(), 1)
        for event in record.events
        if number > 10 and isinstance(event, kinds)
    ]
    assert [(each.seq, each.event) for each in page.events] == wanted
    assert wanted


def test_lists_are_filtered_by_agent_parent_type_and_reason(tmp_path: Path) -> None:
    world = World(1)
    first, second = world.team(2, "python")
    own = world.submit(capabilities=("python",), agent=first)
    other = world.submit(capabilities=("python",), type="lint", agent=second)
    world.complete(own)
    root, phases = world.plan([{"capabilities": ("review",)}, {"capabilities": ("review",)}])
    lone = world.submit(capabilities=("nobody",))
    world.send(c.CancelTask(now_ms=world.now_ms, task=lone, reason="cleared by x: was queued"))
    views = views_of(world, tmp_path / "views.db")

    def ids(**wanted: object) -> list[str]:
        return [row.id for row in views.tasks(TaskFilter(**wanted), (-1, ""), 100)]

    assert ids(agent=first) == [own]
    assert ids(agent=second) == [other]
    assert ids(parent=root) == phases[0]
    assert ids(type="lint") == [other]
    assert ids(reason_begins="cleared by x: ") == [lone]
    assert ids(statuses=("completed", "cancelled")) == [own, lone]
    root_row = views.task(root)
    views.close()
    assert root_row is not None
    assert root_row.phases == (("phase0", tuple(phases[0])),)


def test_when_an_agent_was_first_ready_and_when_it_ended_stay_as_they_were(tmp_path: Path) -> None:
    world = World(1)
    agent = world.team(1, "python")[0]
    ready_ms = world.now_ms
    world.now_ms += 5_000
    world.lose(world.state.agents[agent].worker, FailureKind.KILLED)
    world.now_ms += 60_000
    world.settle()
    world.now_ms += 1_000
    world.send(c.TerminateAgent(now_ms=world.now_ms, agent=agent))
    world.settle()
    gone_ms = world.now_ms
    world.now_ms += 1_000
    views = views_of(world, tmp_path / "views.db")
    row = views.agents()[0]
    views.close()
    assert (row.ready_ms, row.ended_ms, row.status) == (ready_ms, gone_ms, "terminated")
