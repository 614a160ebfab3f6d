"""The tool task_orchestrate: a goal or a task into a swarm; the plan at once, or the result."""

from typing import Annotated, Any

import msgspec

from visionflow.domain.access import OPERATORS
from visionflow.domain.swarms import Topology
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.domain.votes import Mechanism
from visionflow.engine.topology.rules import is_living, topology_in_force
from visionflow.engine.voting import FULL_BP, THRESHOLD_MESH_BP, THRESHOLD_WEIGHTED_BP
from visionflow.interfaces.aggregation_rules import by_ids
from visionflow.interfaces.jobs import PhasePlan, Started
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.able import crowded, in_vain
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.finding import find_agent
from visionflow.interfaces.tools.forms import about
from visionflow.interfaces.tools.locating import agent_named, story_of
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.ordering import OrchestrateArguments, order_of
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.results import Results, ResultsArguments, ResultTools
from visionflow.interfaces.tools.spawning import place_for
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.interfaces.tools.voted import vote_on
from visionflow.interfaces.tools.waiting import ended
from visionflow.runtime.ended import AnySwarm
from visionflow.runtime.swarms import LiveSwarm

NAME = "task_orchestrate"
HALF_BP = 5_000
_LEFT_OUT = "{} is left out, because it is large: task_results gives it by pieces".format


class AssignedAgent(Result, frozen=True, kw_only=True):
    agent_id: str
    role: str
    capabilities: list[str]


class PlannedPhase(Result, frozen=True, kw_only=True):
    name: str
    agents: list[str]
    tasks: list[str]
    dependencies: list[str]
    estimated_duration: Annotated[
        float | None, about("Seconds, by what like tasks took; null without such.")
    ]


class OrchestrationPlan(Result, frozen=True, kw_only=True):
    phases: list[PlannedPhase]


class Coordination(Result, frozen=True, kw_only=True):
    """The vote that the plan holds on its change, or the swarm on its result: its members once it
    is open, and before that the agents that are here, of which those vote that make no part."""

    consensus_threshold: float
    voting_mechanism: str
    conflict_resolution: str
    members: list[str]
    vote_id: str | None


class McpConnections(Result, frozen=True, kw_only=True):
    active: int
    pool_utilization: float


class Orchestrated(Result, frozen=True, kw_only=True):
    task_id: str
    swarm_id: str
    status: str
    assigned_agents: list[AssignedAgent]
    orchestration_plan: OrchestrationPlan
    coordination: Coordination | None
    estimated_completion: str | None
    mcp_connections: McpConnections
    playbook: str | None
    why: str | None
    reason: Annotated[str | None, about("With wait: why it failed, or what it waits for.")]
    missing: Annotated[str | None, about("What it waits for when it is blocked.")]
    unmet_capabilities: list[str]
    formed_agents: list[str]
    run_id: str | None
    swarm_created: bool
    result: Annotated[Any, about("With wait, as task_results has it.")]
    warnings: list[str]


class Orchestration:
    """The tool of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._results = ResultTools(server)

    async def orchestrate(self, call: Call, given: OrchestrateArguments) -> Orchestrated:
        """Take it on; the plan, or the result once it has ended."""
        server, command = self._server, command_id(call, NAME)
        names: dict[str, str] = {}
        # Read before a swarm may be made for it: what is refused leaves nothing behind.
        order = order_of(given, server.now_ms(), command, lambda name: names.setdefault(name, name))
        swarm, created = await place_for(server, call, NAME, given.swarm_id)
        if names:
            ids = {name: find_agent(server, call, name, swarm.id)[1].spec.id for name in names}
            order = order_of(given, swarm.now_ms, command, ids.__getitem__)
        if order.aggregation is not None:
            rule = by_ids(order.aggregation, lambda word: agent_named(swarm, word))
            order = msgspec.structs.replace(order, aggregation=rule)
        if order.workspace is None and swarm.spec.workspace:
            order = msgspec.structs.replace(order, workspace=swarm.spec.workspace)

        async def start() -> Started:
            return await server.jobs.start(order, swarm, call.caller)

        started = await recorded(
            server,
            call,
            NAME,
            start,
            swarm=swarm,
            subject=lambda made: made.task,
            command=command,
        )
        result: Results | None = None
        lacking: list[str] = []
        # What is blocked may be so for days: whoever waits is told at once.
        if given.wait and started.status != TaskStatus.BLOCKED:
            call.took_effect()
            over = await ended(
                server, swarm, started.task, call, given.wait_timeout, begun_here=True
            )
            call.provisional = not over
            result = await self._results.results(call, ResultsArguments(task_id=started.task))
            if over:
                place = server.ended.find(swarm.id) or swarm
                started = msgspec.structs.replace(
                    started, agents=await _who_did(place, started, result), lacking=()
                )
            live = None if over else swarm.state.tasks.get(started.task)
            lacking = [] if live is None else in_vain(swarm.state, live, crowded(server.swarms))
        place = server.ended.find(swarm.id) or swarm
        agents = await _assigned(place, started.agents)
        call.saw(swarm)
        found = _told(server, swarm, started, created, result, agents)
        new = [each for each in lacking if each not in found.warnings]
        return msgspec.structs.replace(found, warnings=[*found.warnings, *new])


async def _assigned(swarm: AnySwarm, agents: tuple[str, ...]) -> list[AssignedAgent]:
    """What these agents are or were: those that were formed for a goal leave with it."""
    there = {name: each.spec for name, each in swarm.state.agents.items()}
    found = {
        name: AssignedAgent(agent_id=name, role=spec.type, capabilities=list(spec.capabilities))
        for name in agents
        if (spec := there.get(name)) is not None
    }
    if len(found) < len(agents):
        for row in await swarm.read(lambda queries: queries.agents()):
            found.setdefault(
                row.id,
                AssignedAgent(agent_id=row.id, role=row.type, capabilities=list(row.capabilities)),
            )
    return [found[name] for name in agents if name in found]


def _told(
    server: Server,
    swarm: LiveSwarm,
    started: Started,
    created: bool,
    result: Results | None,
    agents: list[AssignedAgent],
) -> Orchestrated:
    limit = server.connections.limit
    status = started.status if result is None else result.status
    # When members of a vote, or a person, will have answered is not known.
    unknown = status in TERMINAL or started.agreement is not None
    later_ms = None if unknown else started.estimated_ms
    return Orchestrated(
        task_id=started.task,
        swarm_id=swarm.id,
        status=status,
        assigned_agents=agents,
        orchestration_plan=OrchestrationPlan(phases=[_phase(each) for each in started.phases]),
        coordination=_coordination(swarm, started),
        estimated_completion=None if later_ms is None else iso(swarm.now_ms + later_ms),
        mcp_connections=McpConnections(
            active=server.connections.total,
            pool_utilization=round(server.connections.total / limit, 4) if limit else 0.0,
        ),
        playbook=started.playbook,
        why=started.why,
        reason=None if result is None else result.reason,
        missing=started.missing,
        unmet_capabilities=list(started.unmet),
        formed_agents=list(started.formed),
        run_id=started.run,
        swarm_created=created,
        result=None if result is None else result.result,
        warnings=[
            *started.warnings,
            *started.lacking,
            *([] if result is None else _of_result(result)),
            *_alone(swarm, started),
        ],
    )


def _of_result(result: Results) -> list[str]:
    return [*result.warnings, *map(_LEFT_OUT, result.left_out)]


async def _who_did(swarm: AnySwarm, started: Started, result: Results) -> tuple[str, ...]:
    """Agents that it was given to, now that it has ended; before, those that may."""
    _, attempts = await story_of(swarm, started.task)
    names = (*(each.agent for each in attempts), *(part.agent_id for part in result.parts))
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _alone(swarm: LiveSwarm, started: Started) -> list[str]:
    """That one agent had the only ballot."""
    vote = None if started.agreement is None else vote_on(swarm.state, started.task)
    if vote is None or len(vote.spec.electorate) > 1:
        return []
    member = ", ".join(vote.spec.electorate)
    told = f"Vote {vote.spec.id} on its result has one member, {member}: there was no other agent"
    return [f"{told} that did not make it."]


def _coordination(swarm: LiveSwarm, started: Started) -> Coordination | None:
    agreement = started.agreement
    if agreement is not None:
        state, terms = swarm.state, agreement.terms
        mesh = topology_in_force(state) is Topology.MESH
        usual = THRESHOLD_MESH_BP if mesh else THRESHOLD_WEIGHTED_BP
        if agreement.mechanism is not Mechanism.WEIGHTED:
            usual = HALF_BP
        share_bp = terms.threshold_bp or usual
        vote = vote_on(state, started.task)
        living = [name for name in state.agents if is_living(state, name)]
        return Coordination(
            consensus_threshold=1.0
            if agreement.mechanism is Mechanism.UNANIMOUS
            else share_bp / FULL_BP,
            voting_mechanism=agreement.mechanism.value,
            conflict_resolution=terms.resolution.value,
            members=living if vote is None else list(vote.spec.electorate),
            vote_id=None if vote is None else vote.spec.id,
        )
    if not started.electorate:
        return None
    return Coordination(
        consensus_threshold=0.5,
        voting_mechanism="majority",
        conflict_resolution="a tie decides nothing, and the change is not taken over",
        members=list(started.electorate),
        vote_id=None,
    )


def _phase(phase: PhasePlan) -> PlannedPhase:
    return PlannedPhase(
        name=phase.name,
        agents=list(phase.agents),
        tasks=list(phase.tasks),
        dependencies=list(phase.dependencies),
        estimated_duration=None if phase.estimated_ms is None else phase.estimated_ms / 1_000,
    )


def orchestration_tools(server: Server) -> list[AnyTool]:
    """task_orchestrate."""
    return [
        Tool(
            name=NAME,
            group="tasks",
            summary="Have a goal or a task carried out by a swarm's agents; answers with the plan.",
            arguments=OrchestrateArguments,
            result=Orchestrated,
            roles=OPERATORS,
            run=Orchestration(server).orchestrate,
            example={"task": "Explain this repository", "priority": "high", "wait": True},
            positional=("task",),
            long=True,
        )
    ]
