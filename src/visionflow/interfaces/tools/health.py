"""The tool agent_health: whether agents are well, by their record, their signals and the system."""

from typing import Annotated, NamedTuple

from visionflow.domain.access import READERS
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import UnknownAgent, UsageError
from visionflow.domain.limits import RESTART_PERIOD_MS
from visionflow.domain.supervision import CircuitStatus
from visionflow.engine.state import AgentState, SwarmState
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.agent_reads import find_left
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.degraded import degraded as told_degraded
from visionflow.interfaces.tools.finding import find_agent, open_swarm
from visionflow.interfaces.tools.forms import about
from visionflow.interfaces.tools.moments import iso_or_none
from visionflow.interfaces.tools.probed import Answers, probe_all
from visionflow.interfaces.tools.readiness import UP
from visionflow.interfaces.tools.showing import circuit_of, debug_until
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.ports.views import AgentRow
from visionflow.runtime.swarms import LiveSwarm

PAGE = 100
PAGE_MAX = 1_000
ERROR_RATE_MAX = 0.1
"""Above it the guide calls an error rate high."""
ATTEMPTS_MIN = 10
"""With fewer attempts a rate says little."""


class AgentHealth(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_health."""

    agent_id: Annotated[str | None, about("Id or name; absent: all agents of the swarm.")] = None
    swarm_id: Annotated[str | None, about("Absent: that of the agent, else your latest.")] = None
    limit: Annotated[int, about("At most so many.")] = PAGE
    cursor: Annotated[str | None, about("nextCursor of the page before.")] = None


class Health(Result, frozen=True, kw_only=True):
    """How an agent is. What nothing has told is null."""

    agent_id: str
    name: str
    type: str
    status: str
    healthy: bool
    reasons: Annotated[list[str], about("Why it is not.")]
    worker: str | None
    pid: int | None
    process: Annotated[str | None, about("running, stopped, zombie or gone.")]
    incarnation: int | None
    """Which process of its worker that is, from 1."""
    last_heartbeat_age: Annotated[float | None, about("Seconds.")]
    probes: Annotated[dict[str, bool], about("What its worker answered just now.")]
    restarts: Annotated[int, about("In the last minute.")]
    circuit: Annotated[str, about("closed, open or half_open.")]
    circuit_until: str | None
    current_task: str | None
    current_task_seconds: float | None
    stalled_tasks: list[str]
    """Those of its tasks that make no progress."""
    memory_bytes: Annotated[int | None, about("Resident, of its process.")]
    memory_limit_bytes: int | None
    error_rate: float | None
    debug_until: str | None


class HealthTold(Result, frozen=True, kw_only=True):
    """A page of agents, oldest first."""

    swarm_id: str
    healthy: bool
    degraded: Annotated[str | None, about("Why part of the swarm does not come back.")]
    agents: list[Health]
    total: int
    next_cursor: str | None


def health(server: Server) -> AnyTool:
    """agent_health."""

    async def run(call: Call, given: AgentHealth) -> HealthTold:
        if not 1 <= given.limit <= PAGE_MAX:
            raise UsageError(f"limit is {given.limit}; it is 1 to {PAGE_MAX}.")
        if given.agent_id is None:
            swarm = open_swarm(server, call, given.swarm_id)
            names = sorted(swarm.state.agents)
        else:
            try:
                swarm, agent = find_agent(server, call, given.agent_id, given.swarm_id)
            except UnknownAgent:
                return await _left(server, call, given)
            names = [agent.spec.id]
        rest = [name for name in names if name > (given.cursor or "")]
        page = rest[: given.limit]
        workers = [swarm.state.agents[name].worker for name in page]
        answers = await probe_all(swarm, workers)
        call.saw(swarm)
        agents = swarm.state.agents
        # One that left while its worker was asked is in the page no more.
        told = [_health(swarm, agents[name], answers) for name in page if name in agents]
        degraded = told_degraded(swarm.state)
        return HealthTold(
            swarm_id=swarm.id,
            healthy=degraded is None and all(each.healthy for each in told),
            degraded=degraded,
            agents=told,
            total=len(names),
            next_cursor=page[-1] if len(rest) > len(page) else None,
        )

    return Tool(
        name="agent_health",
        group="agents",
        summary="Whether agents are well: process, heartbeat, probes, circuit, memory, errors.",
        arguments=AgentHealth,
        result=HealthTold,
        roles=READERS,
        run=run,
        example={"agentId": "tester-1"},
        positional=("agentId",),
        reads=True,
    )


class _Signals(NamedTuple):
    """What the state does not have."""

    process: str | None
    age_ms: int | None
    resident_bytes: int | None


def _signals(swarm: LiveSwarm, worker: str) -> _Signals:
    heard = swarm.node.liveness.last_heard(worker)
    state = swarm.node.process_state(worker)
    return _Signals(
        None if state is None else state.value,
        None if heard is None else heard.age_ms,
        None if heard is None else heard.resident_bytes,
    )


def _health(swarm: LiveSwarm, agent: AgentState, answers: dict[str, Answers]) -> Health:
    state, name = swarm.state, agent.spec.id
    worker = state.workers.get(agent.worker)
    signals = _signals(swarm, agent.worker)
    probes = answers.get(agent.worker, {})
    circuit = state.supervised.circuits.get(f"agent:{name}")
    word = circuit_of(state, name)
    current = next(iter(agent.open), None)
    since_ms = None if current is None else state.tasks[current].changed_ms
    ends = agent.completed + agent.failed
    reasons = _reasons(state, agent, probes, signals)
    deaths = [] if worker is None else [at for at, _ in worker.deaths]
    return Health(
        agent_id=name,
        name=agent.spec.name,
        type=agent.spec.type,
        status=agent.status,
        healthy=not reasons,
        reasons=reasons,
        worker=agent.worker,
        pid=None if worker is None else worker.pid,
        process=signals.process,
        incarnation=None if worker is None or worker.pid is None else worker.incarnation,
        last_heartbeat_age=None if signals.age_ms is None else signals.age_ms / 1_000,
        probes=probes,
        restarts=sum(1 for at in deaths if at > swarm.now_ms - RESTART_PERIOD_MS),
        circuit=word,
        circuit_until=iso_or_none(
            circuit.until_ms if circuit is not None and word is CircuitStatus.OPEN else None
        ),
        current_task=current,
        current_task_seconds=None if since_ms is None else max(0, swarm.now_ms - since_ms) / 1_000,
        stalled_tasks=_stalled(state, agent),
        memory_bytes=signals.resident_bytes,
        memory_limit_bytes=agent.spec.limits.memory_bytes,
        error_rate=agent.failed / ends if ends else None,
        debug_until=debug_until(swarm, name),
    )


def _stalled(state: SwarmState, agent: AgentState) -> list[str]:
    stalled = state.supervised.stalled
    return [task for task, attempt in agent.open.items() if stalled.get(task) == attempt]


def _reasons(state: SwarmState, agent: AgentState, probes: Answers, signals: _Signals) -> list[str]:
    """Why it is not well."""
    name, worker, sup = agent.spec.id, agent.worker, state.supervised
    found: list[str] = []
    if agent.status not in UP:
        why = f": {agent.reason}" if agent.reason and agent.status in _AILING else ""
        found.append(f"it is {agent.status}{why}")
    failed = [probe for probe, answered in probes.items() if not answered]
    if failed and agent.status in UP:
        found.append(f"its worker did not answer: {', '.join(failed)}")
    if worker in sup.suspects:
        found.append(f"its worker may be gone: {sup.suspects[worker]}")
    if worker in sup.awaited:
        found.append("its worker has not said hello since the server was started again")
    circuit = sup.circuits.get(f"agent:{name}")
    if circuit is not None and circuit.status is not CircuitStatus.CLOSED:
        found.append(f"its circuit is {circuit.status}: {circuit.reason}")
    found += [f"{task} makes no progress" for task in _stalled(state, agent)]
    ends, limit = agent.completed + agent.failed, agent.spec.limits.memory_bytes
    if ends >= ATTEMPTS_MIN and agent.failed / ends > ERROR_RATE_MAX:
        found.append(f"{agent.failed} of its {ends} attempts failed or were rejected")
    share = None if limit is None else agent.spec.recycling.memory_bp
    held = signals.resident_bytes
    if held is not None and limit is not None and held * 10_000 >= limit * (share or 10_000):
        found.append(f"it holds {held} bytes of memory, of at most {limit}")
    return found


_AILING = (AgentStatus.ERROR, AgentStatus.RECOVERING, AgentStatus.FAILED)


async def _left(server: Server, call: Call, given: AgentHealth) -> HealthTold:
    """Of one that has left: that it has."""
    found = await find_left(server, call, given.agent_id or "", given.swarm_id)
    if found is None:
        raise UnknownAgent(
            f"There is no agent {given.agent_id!r}.", hint="agent_list has them all."
        )
    swarm, row = found
    return HealthTold(
        swarm_id=swarm.id,
        healthy=False,
        degraded=told_degraded(swarm.state),
        agents=[_gone(row)],
        total=1,
        next_cursor=None,
    )


def _gone(row: AgentRow) -> Health:
    return Health(
        agent_id=row.id,
        name=row.name,
        type=row.type,
        status=row.status,
        healthy=False,
        reasons=["it has left"],
        worker=None,
        pid=None,
        process=None,
        incarnation=None,
        last_heartbeat_age=None,
        probes={},
        restarts=0,
        circuit=CircuitStatus.CLOSED,
        circuit_until=None,
        current_task=None,
        current_task_seconds=None,
        stalled_tasks=[],
        memory_bytes=None,
        memory_limit_bytes=None,
        error_rate=None,
        debug_until=None,
    )
