"""What is told of a job that was taken on, read from the state of its swarm.

The first answer and the answer to a call that comes again are made alike. Nothing is guessed: an
estimate is what like tasks took in this swarm, or unknown.
"""

import time
from collections.abc import Iterable

import msgspec

from visionflow.compose.serve.jobs_team import Need, offers_of, unmet, waiting
from visionflow.domain.errors import UnknownTask
from visionflow.domain.tasks import TaskSpec, TaskStatus
from visionflow.engine.pipelines import PipelineState
from visionflow.engine.state import TaskState
from visionflow.interfaces.jobs import PhasePlan, Started
from visionflow.runtime.queries import Queries
from visionflow.runtime.swarms import LiveSwarm

FRESH_S = 2.0
KINDS_MAX = 1_000


def need_of(spec: TaskSpec) -> Need:
    """Who may do this task."""
    return Need(spec.description[:100], spec.agent_type, spec.capabilities, spec.agent)


class Estimates:
    """How long tasks of a type take in a swarm, by its record of like tasks. Looked up again when
    more have completed, and then at most once in `FRESH_S` seconds: it costs a look at the disk."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[int, float, float | None]] = {}

    async def of(self, swarm: LiveSwarm, kinds: Iterable[str]) -> dict[str, float | None]:
        """Milliseconds by type; `None` where none completed yet."""
        completed, now = swarm.state.counters.completed, time.monotonic()
        found: dict[str, float | None] = {}
        stale: list[str] = []
        for kind in kinds:
            known = self._known.get((swarm.id, kind))
            if not completed:
                found[kind] = None
            elif known is not None and (known[0] == completed or now - known[1] < FRESH_S):
                found[kind] = known[2]
            else:
                stale.append(kind)
        if stale:
            read = await swarm.read(lambda queries: _record(queries, stale))
            for kind, took_ms in read.items():
                self._known.pop((swarm.id, kind), None)
                self._known[swarm.id, kind] = (completed, now, took_ms)
            while len(self._known) > KINDS_MAX:
                del self._known[next(iter(self._known))]
            found |= read
        return found


async def told(
    swarm: LiveSwarm, root: str, known: Started, estimates: Estimates, full: str | None = None
) -> Started:
    """How the job stands: `known` with its status, phases, agents, estimates and warnings. `full`:
    why nothing can be spawned now, and what makes room."""
    task = swarm.state.tasks.get(root)
    if task is None:
        return msgspec.structs.replace(known, status=await _past(swarm, root))
    pipeline = swarm.state.pipelines.find(root)
    if pipeline is not None:
        return await _told_stages(swarm, task, pipeline, known, estimates, full)
    parts = _parts(swarm, task)
    kinds = sorted({part.spec.type for _, found in parts for part in found})
    took_ms = await estimates.of(swarm, kinds)
    offers = offers_of(swarm.state)
    phases: list[PhasePlan] = []
    before: tuple[str, ...] = ()
    plan = task.plan
    for place, (name, found) in enumerate(parts):
        able = [offer.agent for offer in offers if any(offer.meets(need_of(p.spec)) for p in found)]
        one_by_one = plan is not None and plan.phases[place].sequential
        uses = () if plan is None else tuple(plan.phases[u].name for u in plan.phases[place].uses)
        phases.append(
            PhasePlan(
                name=name,
                tasks=tuple(part.spec.id for part in found),
                agents=tuple(able),
                dependencies=tuple(dict.fromkeys((*uses, *before))),
                estimated_ms=_estimate(
                    [took_ms.get(part.spec.type) for part in found], len(able), one_by_one
                ),
            )
        )
        before = (name,)
    needs = [need_of(part.spec) for _, found in parts for part in found]
    blocked = task.reason if task.status is TaskStatus.BLOCKED else None
    # A plan that waits for what nobody has says so once.
    lacking = waiting(needs, offers, full) if blocked is None else ()
    times = [phase.estimated_ms for phase in phases]
    whole = None if None in times else sum(each for each in times if each is not None)
    return msgspec.structs.replace(
        known,
        status=str(task.status),
        phases=tuple(phases) if plan is not None else (),
        agents=tuple(dict.fromkeys(agent for phase in phases for agent in phase.agents)),
        estimated_ms=whole,
        why=known.why or blocked,
        missing=blocked,
        unmet=known.unmet or tuple(dict.fromkeys(w for need in needs for w in unmet(need, offers))),
        lacking=(*known.lacking, *lacking),
    )


async def _told_stages(
    swarm: LiveSwarm,
    task: TaskState,
    pipeline: PipelineState,
    known: Started,
    estimates: Estimates,
    full: str | None,
) -> Started:
    """How a pipeline stands: a phase for each stage, with the tasks that it had by now."""
    stages = pipeline.spec.stages
    took_ms = await estimates.of(swarm, sorted({stage.task_type for stage in stages}))
    offers = offers_of(swarm.state)
    needs = [
        Need(stage.description[:100], stage.agent_type, stage.capabilities, None)
        for stage in stages
    ]
    phases: list[PhasePlan] = []
    for place, (stage, need) in enumerate(zip(stages, needs, strict=True)):
        able = tuple(offer.agent for offer in offers if offer.meets(need))
        phases.append(
            PhasePlan(
                name=stage.name,
                tasks=tuple(r.task for r in pipeline.rounds if r.stage == stage.name),
                agents=able,
                dependencies=(stages[place - 1].name,) if place else (),
                estimated_ms=_estimate([took_ms.get(stage.task_type)], len(able), True),
            )
        )
    times = [phase.estimated_ms for phase in phases]
    whole = None if None in times else sum(each for each in times if each is not None)
    return msgspec.structs.replace(
        known,
        status=str(task.status),
        phases=tuple(phases),
        agents=tuple(dict.fromkeys(agent for phase in phases for agent in phase.agents)),
        estimated_ms=whole,
        unmet=known.unmet or tuple(dict.fromkeys(w for need in needs for w in unmet(need, offers))),
        lacking=(*known.lacking, *waiting(needs, offers, full)),
    )


def _parts(swarm: LiveSwarm, task: TaskState) -> list[tuple[str, list[TaskState]]]:
    if task.plan is None:
        return [(task.spec.id, [task])]
    tasks = swarm.state.tasks
    return [
        (phase.name, [tasks[name] for name in phase.tasks if name in tasks])
        for phase in task.plan.phases
    ]


def _record(queries: Queries, kinds: Iterable[str]) -> dict[str, float | None]:
    """How long like tasks took, in milliseconds; `None` where none completed yet."""
    found: dict[str, float | None] = {}
    for kind in kinds:
        took_us = queries.durations(kind)
        found[kind] = sum(took_us) / len(took_us) / 1_000 if took_us else None
    return found


def _estimate(times_ms: list[float | None], agents: int, one_by_one: bool) -> int | None:
    known = [each for each in times_ms if each is not None]
    if not known or len(known) < len(times_ms) or not agents:
        return None
    if one_by_one:
        return round(sum(known))
    return round(max(max(known), sum(known) / agents))


async def _past(swarm: LiveSwarm, root: str) -> str:
    """The status of a task that left the state."""
    try:
        return await swarm.read(lambda queries: queries.task(root).status)
    except UnknownTask:
        return "unknown"
