"""Tools that tell of swarms: one as it is now, and the list of all. They change nothing."""

from collections.abc import Awaitable
from itertools import islice
from pathlib import Path
from typing import Annotated
from weakref import WeakKeyDictionary

from visionflow.domain.access import READERS
from visionflow.domain.errors import UsageError
from visionflow.domain.limits import CodingLimits
from visionflow.domain.supervision import CircuitStatus
from visionflow.domain.swarms import Strategy, SwarmSpec, Topology
from visionflow.domain.tasks import Priority, TaskStatus
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.able import crowded, nobody_can
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.degraded import degraded as told_degraded
from visionflow.interfaces.tools.finding import readable_swarm
from visionflow.interfaces.tools.forms import about
from visionflow.interfaces.tools.limiting import (
    LimitsTold,
    UsageTold,
    limits_told,
    usage_told,
)
from visionflow.interfaces.tools.meshes_told import MeshTold, mesh_told
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.shaping import shown_topology
from visionflow.interfaces.tools.teams_told import TeamTold, idle_teams, teams_told
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.interfaces.tools.voted import referred
from visionflow.runtime.ended import EndedSwarm
from visionflow.runtime.queries import Queries
from visionflow.runtime.swarms import LiveSwarm
from visionflow.runtime.tally import Tally

PAGE_MAX = 1_000
KINDS_LOOKED_AT_MAX = 50
"""Kinds of queued tasks of which is told whether somebody can take them."""
THROTTLED_LOOKED_AT_MAX = 1_000
WAITS_TOLD_MAX = 3
CIRCUITS_TOLD_MAX = STALLED_TOLD_MAX = 100
DISTRIBUTED = Strategy.DISTRIBUTED
_WORDS = {int(word): word.name.lower() for word in Priority}
_STANDING = (
    TaskStatus.PENDING,
    TaskStatus.QUEUED,
    TaskStatus.ASSIGNED,
    TaskStatus.RUNNING,
    TaskStatus.BLOCKED,
    TaskStatus.ORCHESTRATING,
)


def unused(spec: SwarmSpec) -> list[str]:
    """What of a swarm's shape has no effect: a strategy where the topology leaves it no say."""
    has_say = spec.strategy is Strategy.CENTRALIZED
    if spec.topology is Topology.RING and not has_say:
        return [f"in a ring the token decides who is given a task; {spec.strategy} has no say"]
    if spec.topology is Topology.MESH and not has_say and spec.strategy is not DISTRIBUTED:
        return [f"in a mesh the peers decide by auction; {spec.strategy} has no say"]
    return []


def workspace_of(server: Server, spec: SwarmSpec) -> str | None:
    """Where its tasks work that name no folder: its own, else the server's first, if any."""
    return spec.workspace or next(iter(server.settings.workspaces), None)


def word_of(swarm: LiveSwarm) -> str:
    """Where a swarm stands: active, closed or failed."""
    if swarm.node.control.failure is not None:
        return "failed"
    return "active" if swarm.state.closed is None else "closed"


# swarm_status ----------------------------------------------------------------------------------


class SwarmStatusOf(Arguments, frozen=True, kw_only=True):
    """Arguments of swarm_status."""

    swarm_id: Annotated[str | None, about("Absent: your latest swarm.")] = None


class Member(Result, frozen=True, kw_only=True):
    """An agent of the swarm."""

    id: str
    type: str
    name: str
    status: str
    current_task: str | None
    pid: int | None


class Queue(Result, frozen=True, kw_only=True):
    """Tasks by where they stand."""

    pending: int
    queued: int
    assigned: int
    running: int
    blocked: int
    orchestrating: int
    completed: int
    failed: int
    cancelled: int
    dead_letter: int
    oldest_wait_seconds: float | None
    """Of those queued."""
    by_priority: dict[str, int]
    """Of those queued."""


class Totals(Result, frozen=True, kw_only=True):
    """What came of tasks so far."""

    tasks_completed: int
    avg_completion_time: float | None
    """Seconds from submission to completion."""
    success_rate: float | None
    """Completed among those that completed, failed or were given up."""


class SwarmShown(Result, frozen=True, kw_only=True):
    """A swarm as it is now."""

    swarm_id: str
    name: str
    goal: str
    topology: str
    strategy: str
    status: Annotated[str, about("active, closed, failed, or ended.")]
    reason: Annotated[str | None, about("Why it ended.")]
    ended_at: str | None
    ended_by: str | None
    max_agents: int
    workspace: str | None
    limits: Annotated[LimitsTold | None, about("Of its coding agents.")]
    usage: Annotated[UsageTold | None, about("By its coding agents; null without limits.")]
    agents: list[Member]
    manager: str | None
    teams: list[TeamTold]
    mesh: MeshTold | None
    task_queue: Queue
    metrics: Totals
    degraded: Annotated[str | None, about("Why part of it does not come back.")]
    suspected: Annotated[list[str], about("Workers that may be gone.")]
    open_circuits: Annotated[list[str], about("Nothing is tried with these.")]
    stalled_tasks: Annotated[list[str], about("They make no progress.")]
    warnings: list[str]


def status(server: Server) -> AnyTool:
    """swarm_status."""
    tallies: WeakKeyDictionary[LiveSwarm, Tally] = WeakKeyDictionary()

    def run(call: Call, given: SwarmStatusOf) -> SwarmShown | Awaitable[SwarmShown]:
        swarm = readable_swarm(server, call, given.swarm_id)
        if isinstance(swarm, EndedSwarm):
            return _ended(server, swarm)
        call.saw(swarm)
        tally = tallies.get(swarm)
        if tally is None:
            tally = tallies[swarm] = Tally(swarm.node.control)
        if swarm.spec.coding == CodingLimits():
            return _shown(server, swarm, tally, None)
        return _with_usage(server, swarm, tally)

    return Tool(
        name="swarm_status",
        group="swarm",
        summary="A swarm's agents, task queue and metrics.",
        arguments=SwarmStatusOf,
        result=SwarmShown,
        roles=READERS,
        run=run,
        example={},
        positional=("swarmId",),
        reads=True,
    )


async def _with_usage(server: Server, swarm: LiveSwarm, tally: Tally) -> SwarmShown:
    used = await usage_told(Path(server.settings.home), swarm.id)
    return _shown(server, swarm, tally, used)


def _shown(server: Server, swarm: LiveSwarm, tally: Tally, used: UsageTold | None) -> SwarmShown:
    state, spec = swarm.state, swarm.spec
    workers = state.workers
    return SwarmShown(
        swarm_id=swarm.id,
        name=spec.name,
        goal=spec.goal,
        topology=shown_topology(state),
        strategy=spec.strategy,
        status=word_of(swarm),
        reason=state.closed,
        ended_at=None,
        ended_by=None,
        max_agents=spec.limits.agents_max,
        workspace=workspace_of(server, spec),
        limits=limits_told(spec.coding),
        usage=used,
        agents=[
            Member(
                id=agent.spec.id,
                type=agent.spec.type,
                name=agent.spec.name,
                status=agent.status,
                current_task=next(iter(agent.open), None),
                pid=None if (worker := workers.get(agent.worker)) is None else worker.pid,
            )
            for agent in state.agents.values()
        ],
        manager=state.teams.manager,
        teams=teams_told(state),
        mesh=mesh_told(swarm),
        task_queue=_queue(swarm, tally),
        metrics=_totals(swarm),
        degraded=told_degraded(state),
        suspected=list(state.supervised.suspects),
        open_circuits=_open_circuits(swarm),
        stalled_tasks=list(islice(state.supervised.stalled, STALLED_TOLD_MAX)),
        warnings=[
            *unused(spec),
            *_in_vain(swarm, tally, crowded(server.swarms)),
            *_asked_to_wait(server, swarm),
            *referred(state),
            *idle_teams(state),
        ],
    )


async def _ended(server: Server, swarm: EndedSwarm) -> SwarmShown:
    """What was, from its log: nobody is in it and nothing goes on."""

    def read(queries: Queries) -> tuple[dict[str, int], float | None]:
        return queries.counts(), queries.completion_ms()

    counts, took_ms = await swarm.read(read)
    spec, ending = swarm.spec, swarm.ending
    completed, failed, dead = (
        counts.get(each, 0)
        for each in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.DEAD_LETTER)
    )
    ends = completed + failed + dead
    return SwarmShown(
        swarm_id=swarm.id,
        name=spec.name,
        goal=spec.goal,
        topology=spec.topology,
        strategy=spec.strategy,
        status="ended",
        reason=ending.reason,
        ended_at=iso(ending.at_ms),
        ended_by=ending.by,
        max_agents=spec.limits.agents_max,
        workspace=workspace_of(server, spec),
        limits=limits_told(spec.coding),
        usage=None
        if spec.coding == CodingLimits()
        else await usage_told(Path(server.settings.home), swarm.id),
        agents=[],
        manager=None,
        teams=[],
        mesh=None,
        task_queue=Queue(
            **{str(each): counts.get(each, 0) for each in TaskStatus},
            oldest_wait_seconds=None,
            by_priority={},
        ),
        metrics=Totals(
            tasks_completed=completed,
            avg_completion_time=None if took_ms is None else took_ms / 1_000,
            success_rate=completed / ends if ends else None,
        ),
        degraded=None,
        suspected=[],
        open_circuits=[],
        stalled_tasks=[],
        warnings=[],
    )


def _open_circuits(swarm: LiveSwarm) -> list[str]:
    circuits = swarm.state.supervised.circuits
    opened = (name for name, each in circuits.items() if each.status is CircuitStatus.OPEN)
    return list(islice(opened, CIRCUITS_TOLD_MAX))


def _in_vain(swarm: LiveSwarm, tally: Tally, full: str | None) -> list[str]:
    """Of what is queued, what nobody can take."""
    found: list[str] = []
    for key, count in islice(tally.asked.items(), KINDS_LOOKED_AT_MAX):
        why = nobody_can(swarm.state, *key, full=full)
        if why is not None:
            found.append(f"{count} queued task{' waits' if count == 1 else 's wait'}: {why}")
    return found


def _asked_to_wait(server: Server, swarm: LiveSwarm) -> list[str]:
    """Of the tasks that somebody outside asked for patience, until when the first ones wait."""
    found: list[str] = []
    for name in islice(swarm.state.throttles, THROTTLED_LOOKED_AT_MAX):
        task = swarm.state.tasks[name]
        if task.retry_at_ms is not None:
            why = server.jobs.covered(name, task.reason or "")
            found.append(f"{name} waits until {iso(task.retry_at_ms)}: {why}")
        if len(found) == WAITS_TOLD_MAX:
            break
    return found


def _queue(swarm: LiveSwarm, tally: Tally) -> Queue:
    ended, oldest_ms = tally.ended, tally.oldest_ms
    wait = None if oldest_ms is None else max(0, swarm.now_ms - oldest_ms) / 1_000
    pending, queued, assigned, running, blocked, orchestrating = [
        tally.standing[each] for each in _STANDING
    ]
    return Queue(
        pending=pending,
        queued=queued,
        assigned=assigned,
        running=running,
        blocked=blocked,
        orchestrating=orchestrating,
        completed=ended.completed,
        failed=ended.failed,
        cancelled=ended.cancelled,
        dead_letter=ended.dead_letter,
        oldest_wait_seconds=wait,
        by_priority={_WORDS.get(at, str(at)): count for at, count in tally.priorities.items()},
    )


def _totals(swarm: LiveSwarm) -> Totals:
    counters = swarm.state.counters
    completed = counters.completed
    ends = completed + counters.failed + counters.dead_letter
    return Totals(
        tasks_completed=completed,
        avg_completion_time=swarm.state.completion_ms / completed / 1_000 if completed else None,
        success_rate=completed / ends if ends else None,
    )


# swarm_list ------------------------------------------------------------------------------------


class SwarmList(Arguments, frozen=True, kw_only=True):
    """Arguments of swarm_list."""

    limit: Annotated[int, about("At most so many.")] = 100
    cursor: Annotated[str | None, about("nextCursor of the page before.")] = None


class Listed(Result, frozen=True, kw_only=True):
    """A swarm in the list."""

    swarm_id: str
    name: str | None
    topology: str | None
    strategy: str | None
    status: str
    """active, closed, failed, or ended."""
    reason: str | None
    """Why it ended."""
    agents: int
    max_agents: int | None
    open_tasks: int


class SwarmsListed(Result, frozen=True, kw_only=True):
    """A page of swarms: first those that are not over, the newest first; then the others."""

    swarms: list[Listed]
    total: int
    next_cursor: str | None


def listing(server: Server) -> AnyTool:
    """swarm_list."""

    def run(call: Call, given: SwarmList) -> SwarmsListed:
        if not 1 <= given.limit <= PAGE_MAX:
            raise UsageError(f"limit is {given.limit}; it is 1 to {PAGE_MAX}.")
        call.saw(server.fleet)
        ended = server.fleet.state.ended
        live = {swarm.id: swarm for swarm in server.swarms.all()}
        over = [name for name in ended if name not in live]
        names = [*reversed(live), *reversed(over)]
        start = _place(names, given.cursor)
        page = names[start : start + given.limit]
        for name in page:
            if name in live:
                call.saw(live[name])
        return SwarmsListed(
            swarms=[
                _listed(live[name])
                if name in live
                else _over(name, ended[name], server.fleet.state.over.get(name))
                for name in page
            ],
            total=len(names),
            next_cursor=page[-1] if start + len(page) < len(names) else None,
        )

    return Tool(
        name="swarm_list",
        group="swarm",
        summary="List swarms, also those that are over.",
        arguments=SwarmList,
        result=SwarmsListed,
        roles=READERS,
        run=run,
        example={"limit": 10},
        reads=True,
    )


def _place(names: list[str], cursor: str | None) -> int:
    if cursor is None:
        return 0
    if cursor not in names:
        raise UsageError(f"cursor is {cursor[:100]!r}, and there is no such place in the list.")
    return names.index(cursor) + 1


def _listed(swarm: LiveSwarm) -> Listed:
    spec = swarm.spec
    return Listed(
        swarm_id=swarm.id,
        name=spec.name,
        topology=shown_topology(swarm.state),
        strategy=spec.strategy,
        status=word_of(swarm),
        reason=swarm.state.closed,
        agents=len(swarm.state.agents),
        max_agents=spec.limits.agents_max,
        open_tasks=swarm.state.live,
    )


def _over(name: str, reason: str, was: SwarmSpec | None) -> Listed:
    return Listed(
        swarm_id=name,
        name=None if was is None else was.name,
        topology=None if was is None else was.topology,
        strategy=None if was is None else was.strategy,
        status="ended",
        reason=reason,
        agents=0,
        max_agents=None if was is None else was.limits.agents_max,
        open_tasks=0,
    )
