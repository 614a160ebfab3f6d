"""The guide's `HierarchicalCoordinator`: a manager, team leads, and workers, over a fleet.

It keeps nothing but who was spawned: seats, choices and what becomes of work are the engine's, and
go on when this program, or anybody in the hierarchy, ends. What it hands out stands for seats:
whoever sits there when a task comes does it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, cast

import msgspec

from visionflow.agents.leading import TeamResult, check_config
from visionflow.agents.led import Order, Reviewed
from visionflow.agents.task import Task
from visionflow.compose.api import AgentOrchestrator
from visionflow.domain.errors import UnknownId, UsageError, VisionFlowError
from visionflow.domain.swarms import Topology
from visionflow.domain.teams import (
    AGGREGATE,
    ASSIGN,
    DELEGATE,
    DISTRIBUTE,
    MANAGER,
    REVIEW,
    lead_word,
    team_word,
)
from visionflow.interfaces.async_fleet import AsyncFleet
from visionflow.interfaces.classes import AgentClass
from visionflow.interfaces.client.remote import RemoteFleet
from visionflow.interfaces.orchestrator import Fleet, priority_of
from visionflow.interfaces.seating import Agent, EmbeddedSeating, RemoteSeating, Seating
from visionflow.interfaces.seats import Seat, span_in

Orchestrator = AgentOrchestrator[Any, Any]


class TeamAssignment(msgspec.Struct, frozen=True):
    """The team that the manager gave a task to."""

    team: str
    """Empty: nobody in a team is able to do it."""
    lead: str
    """The agent that led it then."""


class HierarchyAgent:
    """Somebody in a hierarchy, as the seat that they were given."""

    def __init__(self, coordinator: "HierarchicalCoordinator", agent: Agent, seat: Seat) -> None:
        self._coordinator = coordinator
        self._agent = agent
        self.id = agent.id
        self.type = agent.type
        self.config = agent.config
        self.rank = seat.rank
        self.team = seat.team
        self._given: Task | None = None

    def __repr__(self) -> str:
        where = f" of team {self.team}" if self.team else ""
        return f"HierarchyAgent({self.id}, {self.rank}{where})"

    async def process_task(self, task: Task) -> Any:
        """Have a task done by this agent, or whoever of its team has room and can; of the manager,
        by itself."""
        if not self.team:
            return await self._coordinator.seating.run(task, self._agent)
        words = (*task.required_capabilities, team_word(self.team))
        return await self._run(msgspec.structs.replace(task, required_capabilities=words))

    # As the manager ----------------------------------------------------------------------------

    async def assign_to_team(self, task: Task) -> TeamAssignment:
        """Choose a team for a task, by what it asks for and how the teams stand; it is in the log
        with its figures."""
        self._must_be("manager", "assign_to_team")
        said = await self._lead(ASSIGN, order_of(task), MANAGER)
        return msgspec.convert(said, TeamAssignment)

    async def review_result(self, result: Any, task: Task | None = None) -> Reviewed:
        """Whether a team's result is accepted, and what stands against it. `task`: what it was
        for, with what its config demands."""
        self._must_be("manager", "review_result")
        whole = result if isinstance(result, TeamResult) else _team_result(result)
        given = {"result": msgspec.to_builtins(whole), "order": order_of(task or Task())}
        return msgspec.convert(await self._lead(REVIEW, given, MANAGER), Reviewed)

    # As a lead ---------------------------------------------------------------------------------

    async def distribute_work(self, task: Task) -> list[tuple["HierarchyAgent", Task]]:
        """The parts of a task, each with a member of the team; the lead's class decides which."""
        self._must_be("lead", "distribute_work")
        said = await self._lead(DISTRIBUTE, order_of(task), lead_word(self.team))
        config = {key: value for key, value in task.config.items() if key != "parts"}
        return [
            (
                self._coordinator.found(each["agent"], self),
                msgspec.structs.replace(task, id="", input=each["input"], config=config),
            )
            for each in cast("list[dict[str, Any]]", said)
        ]

    async def aggregate_results(self, results: Sequence[Any]) -> Any:
        """One result of those of the parts, in their order; the lead's class decides how."""
        self._must_be("lead", "aggregate_results")
        return await self._lead(AGGREGATE, {"results": list(results)}, lead_word(self.team))

    # How ---------------------------------------------------------------------------------------

    def _must_be(self, rank: str, what: str) -> None:
        if self.rank != rank:
            raise UsageError(f"{self!r} cannot {what}: that is for a {rank}.")

    async def _lead(self, kind: str, given: object, word: str) -> Any:
        description = kind.rpartition(".")[2]
        task = Task(type=kind, description=description, input=given, required_capabilities=[word])
        return await self._run(task)

    async def _run(self, task: Task) -> Any:
        return await self._coordinator.seating.run(task)


def order_of(task: Task) -> dict[str, Any]:
    """A task as it goes down a hierarchy.

    Raises:
        UsageError: its config says what no lead or manager could understand.
    """
    check_config(task.config)
    return msgspec.to_builtins(
        Order(
            type=task.type,
            description=task.description,
            input=task.input,
            config=dict(task.config),
            capabilities=tuple(task.required_capabilities),
            priority=priority_of(task.priority),
        )
    )


def _team_result(result: object) -> TeamResult:
    return TeamResult(team="", lead="", parts=[], result=result)


class HierarchicalCoordinator:
    """A manager, team leads for domains, and workers.

    `hierarchy` has them as objects: `manager`, `team_leads`, and `workers` by the id of their lead.
    """

    _orchestrator: Orchestrator | Fleet | AsyncFleet | RemoteFleet | None = None
    _seating: Seating | None = None
    _opened: Orchestrator | None = None
    _people: dict[str, HierarchyAgent] | None = None
    _classes: Mapping[str, AgentClass] = MappingProxyType({})
    hierarchy: dict[str, Any]

    def __init__(
        self,
        orchestrator: Orchestrator | Fleet | AsyncFleet | RemoteFleet | None = None,
        *,
        agents: Mapping[str, AgentClass] | None = None,
    ) -> None:
        """`orchestrator`: whose agents they are; `None`: one of its own, until `aclose`. `agents`:
        by type, classes of this program; of an embedded one."""
        self.hierarchy = {"manager": None, "team_leads": [], "workers": {}}
        if orchestrator is not None:
            self.use(orchestrator)
        self._classes = dict(agents or {})

    def use(
        self,
        orchestrator: Orchestrator | Fleet | AsyncFleet | RemoteFleet,
        agents: Mapping[str, AgentClass] | None = None,
    ) -> None:
        """Have the agents be those of this orchestrator, where the constructor was not told."""
        self._orchestrator, self._seating = orchestrator, None
        if agents is not None:
            self._classes = dict(agents)

    # As the guide has it -----------------------------------------------------------------------

    async def build_hierarchy(self, project_config: Mapping[str, Any]) -> None:
        """Spawn a manager, and for each map under `teams` a lead of its `lead_type` with its
        `config`, and its `workers` (maps with `type` and `config`). A team may have a `name`, a
        `domain` and `capabilities`, the words of its domain. So many report to a lead as its
        `max_workers` says, 10 at most where it says nothing; so do leads to the manager, whose
        `config` may be given as `manager`.

        Raises:
            UsageError: a map lacks a key, or has one that is not known; nobody was spawned.
            LimitReached: more would report to somebody than may, or the swarm is full.

        Whoever was spawned before it could not go on is ended.
        """
        teams = _checked(project_config)
        await self._must_choose()
        before = list(self._people or {})
        try:
            await self._build(project_config, teams)
        except Exception:
            for agent in reversed([one for one in self._people or {} if one not in before]):
                with suppress(VisionFlowError):
                    await self.seating.end(agent)
            self._people = {one: self._people[one] for one in before} if self._people else None
            self.hierarchy = {"manager": None, "team_leads": [], "workers": {}}
            raise

    async def _build(
        self, project_config: Mapping[str, Any], teams: list[Mapping[str, Any]]
    ) -> None:
        config = project_config.get("manager") or {"max_workers": 10, "strategy": "centralized"}
        self.hierarchy["manager"] = await self._spawn("coordinator", config, _manager(config))
        for number, team in enumerate(teams, 1):
            lead = await self._spawn(
                team["lead_type"],
                team.get("config") or {},
                Seat(
                    "lead",
                    team.get("name") or team.get("domain") or f"{team['lead_type']}-{number}",
                    team.get("domain") or "",
                    tuple(team.get("capabilities") or ()),
                    span_in(team.get("config") or {}),
                ),
            )
            self.hierarchy["team_leads"].append(lead)
            self.hierarchy["workers"][lead.id] = [
                await self._spawn(each["type"], each.get("config") or {}, Seat("worker", lead.team))
                for each in team["workers"]
            ]

    async def delegate_task(self, task: Task) -> Reviewed:
        """Have a task done by the team that the manager chooses, cut up and joined by its lead, and
        reviewed; it is sent back once. It goes on whatever happens to this program.

        Raises:
            TaskFailed: there is no result at all.
            UsageError: nobody manages, the topology lets teams choose nothing, or `validation` or
                `parts` in the task's config cannot be understood.
        """
        given = order_of(task)
        await self._must_choose()
        if self.hierarchy["manager"] is None and (await self.teams())["manager"] is None:
            raise UsageError(
                "Nobody manages here, so nobody can delegate this task.",
                hint="Await build_hierarchy(...) first.",
            )
        whole = Task(
            id=task.id,
            type=DELEGATE,
            description=task.description or task.type,
            input={**given, "config": dict(task.config)},
            priority=task.priority,
            required_capabilities=[MANAGER],
        )
        return msgspec.convert(await self.seating.run(whole), Reviewed)

    async def spawn_agent(
        self, type: str, config: Mapping[str, Any] | None = None
    ) -> HierarchyAgent:
        """Add an agent to the hierarchy as it stands: the manager while there is none; then a
        lead, unless the lead added last has no workers under `hierarchy["workers"]` yet: then one
        of its workers."""
        settings = dict(config or {})
        if self.hierarchy["manager"] is None:
            return await self._spawn(type, settings, _manager(settings))
        leads = cast("list[HierarchyAgent]", self.hierarchy["team_leads"])
        if leads and leads[-1].id not in self.hierarchy["workers"]:
            return await self._spawn(type, settings, Seat("worker", leads[-1].team))
        name = f"{type}-{len(leads) + 1}"
        return await self._spawn(type, settings, Seat("lead", name, span=span_in(settings)))

    def get_team_lead(self, assignment: TeamAssignment | str) -> HierarchyAgent:
        """The lead of the team that a task was assigned to.

        Raises:
            UnknownId: this coordinator built no such team.
        """
        team = assignment if isinstance(assignment, str) else assignment.team
        for lead in cast("list[HierarchyAgent]", self.hierarchy["team_leads"]):
            if lead.team == team:
                return lead
        raise UnknownId(f"There is no team {team!r} in this hierarchy.")

    async def teams(self) -> dict[str, Any]:
        """The hierarchy as the engine has it now: `manager`, and `teams` by name with `lead` and
        `members`. Who took somebody's seat is there."""
        return await self.seating.teams()

    async def aclose(self) -> None:
        """Close the orchestrator, where this one made it."""
        if self._opened is not None:
            await self._opened.aclose()
            self._opened = self._seating = None

    # How ---------------------------------------------------------------------------------------

    @property
    def seating(self) -> Seating:
        """Where its agents are."""
        if self._seating is None:
            self._seating = self._seated()
        return self._seating

    def _seated(self) -> Seating:
        found = self._orchestrator
        if found is None:
            found = self._opened = AgentOrchestrator()
        if isinstance(found, AgentOrchestrator):
            found = cast("Orchestrator", found)
            return LazySeating(found, self._classes)
        if isinstance(found, RemoteFleet):
            return RemoteSeating(found)
        fleet = AsyncFleet(found) if isinstance(found, Fleet) else found
        return EmbeddedSeating(fleet, self._classes)

    async def _must_choose(self) -> None:
        topology = await self.seating.topology()
        if topology.startswith(Topology.ADAPTIVE) or topology == Topology.HIERARCHICAL:
            return
        raise UsageError(
            f"The topology of this swarm is {topology}, in which teams choose nothing.",
            hint='Build the hierarchy in a swarm of its own: initialize_swarm("hierarchical").',
        )

    async def _spawn(self, kind: str, config: Mapping[str, Any], seat: Seat) -> HierarchyAgent:
        agent = HierarchyAgent(self, await self.seating.spawn(kind, config, seat), seat)
        if self._people is None:
            self._people = {}
        self._people[agent.id] = agent
        return agent

    def found(self, agent: str, lead: HierarchyAgent) -> HierarchyAgent:
        """Somebody by id; who joined the team later is stood for by its lead, for the seat
        counts."""
        return (self._people or {}).get(agent, lead)


class LazySeating:
    """Of an orchestrator that is opened with the first agent. Satisfies `Seating`."""

    def __init__(self, orchestrator: Orchestrator, classes: Mapping[str, AgentClass]) -> None:
        self._orchestrator = orchestrator
        self._classes = classes
        self._inner: Seating | None = None

    async def _open(self) -> Seating:
        if self._inner is None:
            fleet = await self._orchestrator.fleet()
            if isinstance(fleet, RemoteFleet):
                self._inner = RemoteSeating(fleet)
            else:
                self._inner = EmbeddedSeating(fleet, self._classes)
        return self._inner

    async def spawn(self, kind: str, config: Mapping[str, Any], seat: Seat) -> Agent:
        """See `Seating`."""
        return await (await self._open()).spawn(kind, config, seat)

    async def run(self, task: Task, agent: Agent | None = None) -> Any:
        """See `Seating`."""
        return await (await self._open()).run(task, agent)

    async def end(self, agent: str) -> None:
        """See `Seating`."""
        await (await self._open()).end(agent)

    async def teams(self) -> dict[str, Any]:
        """See `Seating`."""
        return await (await self._open()).teams()

    async def topology(self) -> str:
        """See `Seating`."""
        return await (await self._open()).topology()


def _manager(config: Mapping[str, Any]) -> Seat:
    return Seat("manager", span=span_in(config))


def _checked(project: object) -> list[Mapping[str, Any]]:
    known = isinstance(project, Mapping)
    teams = cast("Mapping[str, Any]", project).get("teams") if known else None
    if not isinstance(teams, Sequence) or isinstance(teams, str) or not teams:
        raise UsageError(
            "A hierarchy is a map with teams.",
            hint='Write {"teams": [{"lead_type": "coder", "workers": [{"type": "coder"}]}]}.',
        )
    allowed = {"lead_type", "config", "workers", "name", "domain", "capabilities"}
    for team in cast("Sequence[Any]", teams):
        if not isinstance(team, Mapping):
            raise UsageError(f"A team is a map, not {team!r:.100}.")
        unknown = sorted(set(cast("Mapping[str, Any]", team)) - allowed)
        if unknown or "lead_type" not in team or "workers" not in team:
            raise UsageError(
                f"A team has lead_type and workers, and may have config, name, domain and "
                f"capabilities; this one is {team!r:.200}."
            )
        for worker in cast("Sequence[Any]", team["workers"]):
            if not isinstance(worker, Mapping) or "type" not in worker:
                raise UsageError(f"A worker is a map with type and config, not {worker!r:.100}.")
    return cast("list[Mapping[str, Any]]", teams)
