"""From what a client asks for to what a swarm is given: the command, and the agents to spawn.

Nothing is written and nothing is asked here: `jobs` does that, in an order that a crash may cut
anywhere.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from visionflow.agents.candidates.planning import commands_of
from visionflow.agents.plans import Plan
from visionflow.compose.job.coding import bounded
from visionflow.compose.job.creating import Planned, order_of
from visionflow.compose.job.folder import AgentOrder, CodingOrder, RunFolder, Served, iso
from visionflow.compose.job.folder import Order as RunOrder
from visionflow.compose.job.plan import (
    as_formed,
    spawn_command,
    spawn_of,
    spawns,
)
from visionflow.compose.job.team import agents_of, coders_of
from visionflow.compose.serve.core import Core
from visionflow.compose.serve.jobs_aims import Aim, aim_of
from visionflow.compose.serve.jobs_checking import check
from visionflow.compose.serve.jobs_forming import Teams
from visionflow.compose.serve.jobs_lacking import lacking
from visionflow.compose.serve.jobs_pipelines import aim_of_stages, opening
from visionflow.compose.serve.jobs_runs import ServedRun
from visionflow.compose.serve.jobs_store import RunStore
from visionflow.compose.serve.jobs_team import (
    IMPLEMENT,
    NEEDS_MODEL,
    Offer,
    alive,
    apart_from_coding,
    forming,
    kinds_of,
    offers_of,
    shares,
    types_of_plan,
    unmet_by,
)
from visionflow.compose.serve.jobs_works import (
    Ground,
    copies_of,
    doers_of_plan,
    has_peers,
    is_plain,
    role_types,
)
from visionflow.domain import commands as c
from visionflow.domain.access import Caller
from visionflow.domain.errors import ConfigError, Refused, UsageError
from visionflow.domain.pipelines_commands import OpenPipeline
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import TERMINAL, Phase, TaskSpec
from visionflow.engine.state import SwarmState
from visionflow.interfaces.aggregation_rules import config_of
from visionflow.interfaces.jobs import Order, Started, Work
from visionflow.interfaces.templates import class_of
from visionflow.interfaces.tools.agreeing import vote_on_result
from visionflow.interfaces.tools.limiting import pool_of, within
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import pack, sound
from visionflow.runtime.swarms import LiveSwarm
from visionflow.settings.agents import AgentSettings

T = TypeVar("T")
Handed = c.SubmitTask | c.SubmitPlan | OpenPipeline
GOAL = "goal"
"""The type of a task that waits for somebody who can do what its words say."""


class Hand(msgspec.Struct, frozen=True, kw_only=True):
    """What a swarm is given for an order."""

    known: Started
    order: RunOrder | None = None
    """Of a playbook: it is promised on disk, and its plan is handed in from there."""
    command: Handed | None = None
    """Of anything else."""


def electorate_of(plan: Plan) -> tuple[str, ...]:
    """Members that vote on the change of a plan."""
    return tuple(task.agent for _, task in plan.tasks() if task.type == "vote")


def _came(served: Served, name: str, swarm: LiveSwarm) -> bool:
    """Whether an agent of a run was spawned for it, as far as its swarm remembers."""
    if served.forming[name] in swarm.state.agents:
        return True
    answer = swarm.state.answers.get(spawn_command(served, name))
    return answer is not None and answer.code is None


def _made(
    chosen: Mapping[str, str], plan: Plan | None, templates: AgentSettings
) -> dict[str, AgentOrder]:
    """The agents of a job by its names for them, from the kind of each."""
    commands = {} if plan is None else commands_of(plan)
    coders = {name: commands[name] for name, kind in chosen.items() if kind == IMPLEMENT}
    roles = {name: kind for name, kind in chosen.items() if kind != IMPLEMENT}
    return {**coders_of(coders), **agents_of(roles, templates)}


def _coding(plan: Plan, order: Order, home: Path, spec: SwarmSpec) -> CodingOrder | None:
    if plan.playbook != "code":
        return None
    return CodingOrder(
        bounds=bounded(within(order.bounds, spec.coding)),
        governor=str(home / "governor"),
        pool=pool_of(home, spec),
    )


def is_open(state: SwarmState, task: str) -> bool:
    """Whether a task has not ended."""
    found = state.tasks.get(task)
    return found is not None and found.status not in TERMINAL


class Planner:
    """Reads orders. Its methods belong to the loop's thread; what blocks is done in `threads`."""

    def __init__(self, core: Core, store: RunStore, threads: ThreadPoolExecutor) -> None:
        self._core = core
        self._store = store
        self._threads = threads
        self.teams = Teams(core.swarms)

    async def hand(self, order: Order, swarm: LiveSwarm, caller: Caller, root: str) -> Hand:
        """What to give to the swarm; `root`: the id that the root task gets. Agents that are
        spawned for it are there when this returns, and the run of a playbook is promised.

        Raises:
            UsageError: the order cannot be understood.
            WorkspaceError: its workspace cannot be used.
            Refused: it holds what cannot be written down.
        """
        check(order)
        peers = has_peers(each.spec for each in alive(swarm.state))
        ground = Ground(self._core.settings, self._core.templates, *_living(swarm.state), peers)
        if order.pipeline:
            aim = await self._in_thread(lambda: aim_of_stages(order, ground, swarm.state))
        elif is_plain(order):
            aim = aim_of(order, ground)
        else:
            aim = await self._in_thread(lambda: aim_of(order, ground))
        if aim.missing is not None:
            return self._missing(order, aim, aim.missing, swarm, root)
        if aim.plan is not None:
            async with self.teams.turn(swarm):
                team = {} if order.form_team else doers_of_plan(aim.plan, ground)
                return await self._run(order, aim, aim.plan, team, swarm, root, caller)
        works = [aim.work] if aim.work is not None else [w for g in aim.groups for w in g.works]
        wanted = _wanted(works, self._core.templates)
        if not wanted or order.form_team is False:
            return await self._work(order, aim, {}, swarm, root)
        async with self.teams.turn(swarm):
            return await self._work(order, aim, wanted, swarm, root)

    async def form_again(self, order: RunOrder, swarm: LiveSwarm) -> None:
        """Spawn the agents of a run that was promised, those that are not there.

        Raises:
            Refused: the swarm takes no agents.
        """
        await self.teams.form(swarm, spawns(order, swarm.now_ms, self._core.blobs))

    def known(
        self, folder: RunFolder, order: RunOrder, swarm: LiveSwarm, known: Started
    ) -> Started:
        """What is told of a run beside how it stands."""
        served, plan = order.served, order.plan
        if served is None or plan is None:
            return known
        formed = {name: each for name, each in served.forming.items() if _came(served, name, swarm)}
        warnings = [*known.warnings, *order.warnings]
        lacking_now: tuple[str, ...] = ()
        there = [name for name, each in served.forming.items() if each in swarm.state.agents]
        if len(there) < len(served.forming) and is_open(swarm.state, served.root):
            missing = [name for name in served.forming if name not in there]
            lacking_now = (f"Not spawned, or ended by now: {', '.join(missing)}.",)
        members = electorate_of(plan)
        voters = sum(agent.spec.type == "reviewer" for agent in alive(swarm.state))
        if members and voters < len(members):
            warnings.append(
                f"{len(members)} members vote on the change ({', '.join(members)}), and {voters} "
                f"agent{'' if voters == 1 else 's'} of type reviewer stand behind them."
            )
        return msgspec.structs.replace(
            known,
            task=served.root,
            playbook=plan.playbook,
            why=order.why,
            run=folder.run,
            formed=tuple(formed.values()),
            unmet=unmet_by(served, plan, swarm.state),
            electorate=members,
            agreement=served.agreement,
            warnings=tuple(warnings),
            lacking=lacking_now,
        )

    # Kinds of orders -------------------------------------------------------------------------

    def _missing(self, order: Order, aim: Aim, missing: str, swarm: LiveSwarm, root: str) -> Hand:
        spec = TaskSpec(
            id=root,
            type=GOAL,
            description=order.description,
            priority=order.priority,
            timeout_ms=order.timeout_ms,
            deadline_ms=order.deadline_ms,
            capabilities=(NEEDS_MODEL, *order.capabilities),
            retry=order.retry,
        )
        command = c.SubmitTask(
            now_ms=swarm.now_ms, command=order.key, spec=sound(spec), blocked=missing
        )
        return Hand(known=Started(task=root, status="", why=aim.why), command=command)

    def room(self, run: ServedRun) -> int:
        """How many agents could be spawned for it now."""
        return 0 if run.swarm is None else self.teams.room(run.swarm)

    def is_coming(self, besides: LiveSwarm) -> bool:
        """Whether a job is being taken on in any other swarm."""
        return self.teams.is_coming(besides)

    async def fill_up(self, run: ServedRun) -> None:
        """Spawn one agent of each role that an open run lacks, once there is room for all of
        them: two runs that held half a team each would wait for one another.

        Raises:
            Refused: the swarm takes no agents.
        """
        swarm = run.swarm
        if swarm is None:
            return
        async with self.teams.turn(swarm):
            wanted = lacking(run, swarm.state)
            if not wanted or len(wanted) > self.teams.room(swarm):
                return
            templates, now_ms = self._core.templates, swarm.now_ms
            plan = run.order.plan
            made = await self._in_thread(lambda: _made(wanted, plan, templates))
            ids = {name: swarm.node.intake.new_id("agent") for name in made}
            root, blobs = run.served.root, self._core.blobs
            spawns = await self._in_thread(
                lambda: [
                    as_formed(
                        spawn_of(name, agent, ids[name], f"{root}/later-{ids[name]}", now_ms, blobs)
                    )
                    for name, agent in made.items()
                ]
            )
            await self.teams.form(swarm, spawns)

    async def _run(
        self,
        order: Order,
        aim: Aim,
        plan: Plan,
        doers: dict[str, str],
        swarm: LiveSwarm,
        root: str,
        caller: Caller,
    ) -> Hand:
        types = types_of_plan(plan, doers)
        chosen = await self._team(kinds_of(plan, doers), order, swarm)
        ids = {name: swarm.node.intake.new_id("agent") for name in chosen}
        templates = self._core.templates
        made = await self._in_thread(lambda: _made(chosen, plan, templates))
        classes = await self._in_thread(lambda: _classes(types, templates))
        offers = [*offers_of(swarm.state), *_offers(ids, made)]
        needs, _ = shares(order.capabilities, types, offers, classes)
        if plan.playbook != "code":
            living = _living(swarm.state)[1]
            for role in types:
                needs[role] = (*needs.get(role, ()), *apart_from_coding(role, living, templates))
        served = Served(
            swarm=swarm.id,
            root=root,
            store=str(self._core.store.folder),
            after=swarm.node.control.head.seq,
            command=order.key or f"{root}/submit",
            by=caller.name,
            priority=order.priority,
            timeout_ms=order.timeout_ms,
            deadline_ms=order.deadline_ms,
            capabilities=order.capabilities,
            needs=needs,
            doers=doers,
            failure_threshold=order.failure_threshold,
            retry=order.retry,
            width=order.parallelism or 0,
            forming=ids,
            form_team=order.form_team,
            agreement=order.agreement,
            aggregation=order.aggregation,
        )
        folder = self._store.place(root)
        home = Path(self._core.settings.home)
        planned = Planned(order.description, aim.workspace, plan, aim.why)
        started = iso(swarm.now_ms)

        def promise() -> RunOrder:
            trust = Ground(self._core.settings, templates, ()).trusts(aim.workspace)
            made_up = order_of(folder, planned, templates, trust, started, (home,))
            whole = msgspec.structs.replace(
                made_up, agents=made, cache=str(home / "cache"), served=served,
                coding=_coding(plan, order, home, swarm.spec),
            )  # fmt: skip
            self._store.write(folder, whole)
            return whole

        promised = await self._in_thread(promise)
        try:
            await self.form_again(promised, swarm)
        except Refused:
            await self._in_thread(lambda: self._store.drop(folder))
            raise
        return Hand(known=Started(task=root, status=""), order=promised)

    async def _team(
        self, wanted: Mapping[str, str], order: Order, swarm: LiveSwarm
    ) -> dict[str, str]:
        """Agents to spawn for a job, by its names for them: the type of each."""
        wishes = forming(wanted, swarm.state, order.form_team, len(wanted))
        room = await self.teams.room_for(swarm, len(wishes)) if wishes else 0
        return forming(wanted, swarm.state, order.form_team, room)

    async def _work(
        self, order: Order, aim: Aim, wanted: dict[str, str], swarm: LiveSwarm, root: str
    ) -> Hand:
        chosen = await self._team(wanted, order, swarm)
        ids = {name: swarm.node.intake.new_id("agent") for name in chosen}
        word, now_ms = order.key or root, swarm.now_ms

        def make(
            blobs: Blobs,
        ) -> tuple[Handed, tuple[c.SpawnAgent, ...]]:
            made = agents_of(chosen, self._core.templates)
            found = [
                spawn_of(name, agent, ids[name], f"{word}/spawn-{name}", now_ms, blobs)
                for name, agent in made.items()
            ]
            formed = tuple(map(as_formed, found))
            return self._submission(order, aim, root, now_ms, blobs), formed

        try:
            command, formed = make(_InlineOnly())
        except _TooLarge:
            command, formed = await self._in_thread(lambda: make(self._core.blobs))
        await self.teams.form(swarm, formed)
        came = tuple(each for each in ids.values() if each in swarm.state.agents)
        why, agreed = aim.why or None, order.agreement
        known = Started(task=root, status="", why=why, formed=came, agreement=agreed)
        return Hand(known=known, command=command)

    def _submission(self, order: Order, aim: Aim, root: str, now_ms: int, blobs: Blobs) -> Handed:
        groups = aim.groups
        if aim.pipeline:
            works = tuple(work for group in groups for work in group.works)
            return opening(aim.pipeline, works, order, root, now_ms, blobs)
        if aim.work is not None and (order.agreement or order.aggregation):
            groups = (copies_of(aim.work, order),)
        elif aim.work is not None:
            spec = self._spec(order, aim.work, blobs, root, deadline_ms=order.deadline_ms)
            return c.SubmitTask(now_ms=now_ms, command=order.key, spec=spec)
        numbers = iter(range(1, 1 + sum(len(group.works) for group in groups)))
        phases = tuple(
            Phase(
                group.name,
                tuple(
                    self._spec(order, work, blobs, f"{root}.{next(numbers)}", root, group.name)
                    for work in group.works
                ),
                sequential=group.sequential,
                width=order.parallelism or 0,
                uses=tuple(each.name for each in groups[: max(0, place - 1)]),
            )
            for place, group in enumerate(groups)
        )
        whole = TaskSpec(
            id=root,
            type="plan",
            description=order.description,
            priority=order.priority,
            deadline_ms=order.deadline_ms,
            config=config_of(order.aggregation, blobs),
        )
        return c.SubmitPlan(
            now_ms=now_ms,
            command=order.key,
            spec=sound(whole),
            phases=phases,
            failure_threshold_bp=round(10_000 * (order.failure_threshold or 0.0)),
            consensus=vote_on_result(root, order.agreement),
        )

    def _spec(
        self,
        order: Order,
        work: Work,
        blobs: Blobs,
        identity: str,
        parent: str | None = None,
        phase: str | None = None,
        deadline_ms: int | None = None,
    ) -> TaskSpec:
        return sound(
            TaskSpec(
                id=identity,
                type=work.type,
                description=work.description,
                input=pack(work.input, f"the input of {work.type}", blobs),
                config=pack(work.config or None, f"the config of {work.type}", blobs),
                capabilities=tuple(sorted(set(work.capabilities))),
                agent_type=work.agent_type,
                agent=work.agent,
                priority=order.priority,
                timeout_ms=order.timeout_ms,
                deadline_ms=deadline_ms,
                retry=order.retry,
                parent=parent,
                phase=phase,
            )
        )

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


class _TooLarge(Exception):
    """A value has to go to the disk, which is nothing for the loop."""


class _InlineOnly:
    """Blobs for whoever may not wait: most values are small enough to need none."""

    def put(self, content: bytes) -> str:
        """See `Blobs.put`."""
        raise _TooLarge

    def get(self, name: str) -> bytes:
        """See `Blobs.get`."""
        raise _TooLarge

    def has(self, name: str) -> bool:
        """See `Blobs.has`."""
        return False


def _living(state: SwarmState) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Types of living agents, and what there is of types and capabilities among them."""
    offers = dict.fromkeys((each.spec.type, each.spec.capabilities) for each in alive(state))
    return tuple(dict.fromkeys(kind for kind, _ in offers)), tuple(offers)


def _offers(ids: Mapping[str, str], made: Mapping[str, AgentOrder]) -> list[Offer]:
    return [Offer(ids[name], agent.role, agent.capabilities) for name, agent in made.items()]


def _wanted(works: Iterable[Work], templates: AgentSettings) -> dict[str, str]:
    """Types of agents that the work is for, where a template makes them."""
    found: dict[str, str] = {}
    for work in works:
        kind = work.agent_type or role_types().get(work.type)
        if work.agent is None and kind is not None and kind in templates.templates:
            found[kind] = kind
    return found


def _classes(kinds: Iterable[str], templates: AgentSettings) -> dict[str, tuple[str, ...]]:
    """What the class behind each type can do."""
    found: dict[str, tuple[str, ...]] = {}
    for kind in kinds:
        try:
            found[kind] = tuple(class_of(templates.template(kind)).capabilities)
        except (ConfigError, UsageError):
            continue  # Whoever spawns one is told.
    return found
