"""The Python face: a fleet of agents from a user's program, for loops and for plain threads.

It turns what a caller hands in into commands, what the log says into handles, and keeps nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from visionflow.agents.task import Task
from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain.agents import AgentSpec, AgentStatus
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import UnknownId, UsageError, VisionFlowError, refusal
from visionflow.domain.supervision import USUAL_UPKEEP, Upkeep
from visionflow.domain.tasks import (
    DEFAULT_RETRY,
    NOTHING,
    TERMINAL,
    Payload,
    Phase,
    Priority,
    RetryPolicy,
    TaskSpec,
    TaskStatus,
)
from visionflow.engine.state import Answer
from visionflow.interfaces import outside
from visionflow.interfaces.breaker import Circuit
from visionflow.interfaces.classes import AgentClass, class_path
from visionflow.interfaces.faces import Face
from visionflow.interfaces.handles import PlanHandle, TaskHandle
from visionflow.interfaces.mailing import FleetMail
from visionflow.interfaces.mending import EmbeddedMending
from visionflow.interfaces.running import Runtime
from visionflow.interfaces.submission import Submission
from visionflow.interfaces.templates import class_of, tasks_at_once
from visionflow.interfaces.tools.agreeing import agreement_in, vote_on_result
from visionflow.interfaces.voting import FleetVotes
from visionflow.ports.views import EffectRow
from visionflow.runtime.completions import Ended
from visionflow.runtime.intake import pack, sound
from visionflow.runtime.queries import Queries
from visionflow.settings.agents import AgentSettings, load_agents

T = TypeVar("T")
POLL_S = 0.2
"""How often somebody who waits looks whether the runtime has ended."""
MAP_WINDOW = 1_024


class AgentHandle:
    """An agent of the fleet."""

    def __init__(
        self, fleet: "Fleet", spec: AgentSpec, config: Mapping[str, Any] | None = None
    ) -> None:
        self._fleet = fleet
        self.id = spec.id
        self.name = spec.name
        self.type = spec.type
        self.capabilities = spec.capabilities
        self.config = dict(config or {})
        """The settings that it was spawned with, the template's included."""
        self.memory_bytes = spec.limits.memory_bytes
        """The ceiling of its own process; `None` when it shares one."""

    def __repr__(self) -> str:
        return f"AgentHandle({self.id}, {self.type})"

    def submit(self, task: Task) -> TaskHandle:
        """Give this agent a task; nobody else will take it."""
        return self._fleet.submit(task, agent=self)

    async def process_task(self, task: Task) -> Any:
        """Give this agent a task and wait for its result."""
        return await self.submit(task)


def priority_of(value: int | str) -> int:
    """A priority by number or word.

    Raises:
        UsageError: the word is none of critical, high, medium, low.
    """
    if isinstance(value, int):
        return value
    try:
        return Priority[value.upper()]
    except (KeyError, AttributeError):
        words = ", ".join(word.name.lower() for word in Priority)
        raise UsageError(f"{value!r} is no priority.", hint=f"Use a number or {words}.") from None


def words(values: Sequence[object], what: str) -> tuple[str, ...]:
    """Words in order, from a list of them.

    Raises:
        UsageError: it is one text, or holds something else than texts.
    """
    found = [] if isinstance(values, str) else [word for word in values if isinstance(word, str)]
    if len(found) < len(values):
        raise UsageError(f"{what} is {values!r}, not a list of words.", hint="Write ['maths'].")
    return tuple(sorted(found))


def id_of(thing: AgentHandle | TaskHandle | str) -> str:
    """The id of what a handle stands for; an id stands for itself."""
    return thing if isinstance(thing, str) else thing.id


class Fleet(FleetMail, FleetVotes):
    """A swarm of agents, from any thread. Submitting never blocks; handles tell the outcome."""

    def __init__(self, runtime: Runtime, agents: AgentSettings | None = None) -> None:
        """`agents`: the templates to spawn from; the built-in ones when left out."""
        self._runtime = runtime
        self._agents = agents

    # Agents --------------------------------------------------------------------------------

    def spawn(
        self,
        agent: AgentClass,
        *,
        count: int = 1,
        name: str | None = None,
        type: str | None = None,
        capabilities: Sequence[str] | None = None,
        config: Mapping[str, Any] | None = None,
        tasks_max: int = 1,
        memory_bytes: int | None = None,
        upkeep: Upkeep = USUAL_UPKEEP,
    ) -> list[AgentHandle]:
        """Add `count` agents of a class, a function, or an import path; returns once durable.

        An agent with `memory_bytes` has a process of its own with that ceiling. `upkeep`: how it is
        recovered and recycled.

        Raises:
            LimitReached: the swarm's `agents_max` is reached. Those before it are spawned.
            UsageError: a worker could not import it, or an argument is of the wrong type.
            ConfigError: it is no agent.
            NotPersistable: `config` cannot be written down.
        """
        if count < 1:
            raise UsageError(f"count is {count}; it is at least 1.")
        offered = capabilities
        if offered is None:
            offered = () if isinstance(agent, str) else getattr(agent, "capabilities", ())
        kind = type or ("custom" if isinstance(agent, str) else getattr(agent, "type", "custom"))
        settings = dict(config) if config else None
        specs = [
            self._runtime.node.intake.agent(
                kind,
                class_path(agent),
                name=name if count == 1 or name is None else f"{name}-{number}",
                capabilities=words(offered, "capabilities"),
                config=settings,
                tasks_max=tasks_max,
                memory_bytes=memory_bytes,
                upkeep=upkeep,
            )
            for number in range(1, count + 1)
        ]
        specs = [sound(command) for command in specs]
        for command in specs:
            self._ask(command)
        return [AgentHandle(self, command.spec, settings) for command in specs]

    def spawn_template(
        self,
        template: str,
        *,
        count: int = 1,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> list[AgentHandle]:
        """Add `count` agents of a template; `config` goes over the template's settings.

        Raises:
            UsageError: there is no such template.
            ConfigError: its class cannot be imported. Also what `spawn` raises.
        """
        if self._agents is None:
            self._agents = load_agents(None)
        found = self._agents.template(template)
        made, settings = class_of(found), {**found.config, **(config or {})}
        return self.spawn(
            found.class_path,
            count=count,
            name=name,
            type=template,
            capabilities=made.capabilities,
            config=settings,
            tasks_max=tasks_at_once(settings),
            memory_bytes=found.ceiling_bytes,
            upkeep=found.upkeep,
        )

    def agents(self) -> list[AgentHandle]:
        """The agents that are there or coming, those of earlier programs on the folder included.

        Those that failed or were terminated are listed by `queries.agents()`.
        """
        found: list[AgentHandle] = []
        control = self._runtime.node.control

        def look() -> None:
            found.extend(
                AgentHandle(self, agent.spec)
                for agent in control.state.agents.values()
                if agent.status is not AgentStatus.FAILED
            )

        self._in_turn(look)
        return found

    def terminate(self, agent: AgentHandle | str) -> None:
        """End an agent; tasks that it holds are given to others.

        Raises:
            UnknownId: it is gone already.
        """
        now_ms = self._runtime.node.intake.now_ms()
        self._ask(sound(c.TerminateAgent(now_ms=now_ms, agent=id_of(agent))))

    # Tasks ---------------------------------------------------------------------------------

    def submit(
        self,
        task: Task,
        *,
        agent: AgentHandle | None = None,
        depends_on: Sequence[TaskHandle | str] = (),
        timeout_ms: int | None = None,
        retry: RetryPolicy = DEFAULT_RETRY,
    ) -> TaskHandle:
        """Hand in a task. The handle is settled when its end is durable, or it was refused.

        Raises:
            NotPersistable: its input cannot be written down; nothing was submitted.
            UsageError: something is of the wrong type; nothing was submitted.
        """
        now_ms = self._runtime.node.intake.now_ms()
        spec = sound(
            self._spec(
                task,
                now_ms,
                agent=None if agent is None else id_of(agent),
                depends_on=tuple([id_of(task) for task in depends_on]) if depends_on else (),
                timeout_ms=timeout_ms,
                retry=retry,
            )
        )
        handle = TaskHandle(spec.id, self._runtime.blobs)
        command = c.SubmitTask(now_ms=now_ms, spec=spec)
        self._runtime.post(Submission(self._runtime, command, handle))
        return handle

    def submit_plan(
        self,
        description: str,
        phases: Mapping[str, Sequence[Task]],
        *,
        failure_threshold: float = 0.0,
        priority: int | str = Priority.MEDIUM,
        consensus_required: bool | Mapping[str, Any] = False,
    ) -> PlanHandle:
        """Hand in phases that run one after the other, the tasks of each side by side.

        A task gets the results of the phase before in `task.dependencies`. Of each phase the
        share `failure_threshold` (0 to 1) may fail. `consensus_required`: agents that made no part
        of it vote on the results before it completes; a map says how, as in docs/consensus.md.

        Raises:
            NotPersistable: an input cannot be written down; nothing was submitted.
            UsageError: something is of the wrong type; nothing was submitted.
        """
        if not 0.0 <= failure_threshold <= 1.0:
            raise UsageError(f"failure_threshold is {failure_threshold}; it is between 0 and 1.")
        agreement = agreement_in(consensus_required)
        intake, blobs = self._runtime.node.intake, self._runtime.blobs
        now_ms = intake.now_ms()
        root = TaskSpec(
            id=intake.new_id("task", now_ms),
            type="plan",
            description=description,
            priority=priority_of(priority),
        )
        made: list[Phase] = []
        handles: dict[str, list[TaskHandle]] = {}
        for name, tasks in phases.items():
            specs = tuple(self._spec(task, now_ms, parent=root.id, phase=name) for task in tasks)
            made.append(Phase(name, specs))
            handles[name] = [TaskHandle(spec.id, blobs) for spec in specs]
        handle = PlanHandle(root.id, blobs, handles)
        command = sound(
            c.SubmitPlan(
                now_ms=now_ms,
                spec=root,
                phases=tuple(made),
                failure_threshold_bp=round(failure_threshold * 10_000),
                consensus=vote_on_result(root.id, agreement),
            )
        )
        parts = [part for each in handles.values() for part in each]
        self._runtime.post(Submission(self._runtime, command, handle, parts))
        return handle

    def handle(self, task: str) -> TaskHandle:
        """A handle on a task by its id, whoever submitted it: an earlier program, perhaps.

        Of a plan, `result()` is `None`; ask for its parts by their ids.

        Raises:
            UnknownId: there never was such a task.
        """
        node = self._runtime.node
        handle = TaskHandle(task, self._runtime.blobs)
        # First from now on, then before now: so no end can be missed.
        self._in_turn(lambda: node.completions.wait(task, handle.settle))
        try:
            row = self.queries.task(task)
        except UnknownId:
            self._in_turn(lambda: node.completions.forget(task, handle.settle))
            raise
        handle.accept()
        if row.status in TERMINAL:
            self._in_turn(lambda: node.completions.forget(task, handle.settle))
            result = Payload(row.result, row.result_blob)
            handle.settle(Ended(task, TaskStatus(row.status), row.attempt, result, row.reason))
        return handle

    def cancel(self, handle: TaskHandle | str, reason: str = "cancelled on request") -> None:
        """End a task, and its parts if it is a plan; returns once that is durable.

        Raises:
            Refused: `already_ended`.
            UnknownId: there is no such task.
        """
        now_ms = self._runtime.node.intake.now_ms()
        self._ask(sound(c.CancelTask(now_ms=now_ms, task=id_of(handle), reason=reason)))

    def effects(self, status: str | None = None, task: str | None = None) -> list[EffectRow]:
        """Outside effects in the order of their reservation; `status` such as `in_doubt`. Blocks.

        Raises:
            UsageError: there is no such status.
        """
        return outside.listed(self.queries, status, task)

    def resolve_effect(
        self, key: str, resolution: str, note: str, *, result: Any = None, by: str = "python"
    ) -> None:
        """Say what became of an effect in doubt: `done` (with what it returned), `not_done`, or
        `abandoned`. `note`: how that is known, `by`: who says so. Tasks that wait for it go on, or
        fail. Returns once that is durable.

        Raises:
            Refused: `not_in_doubt`, `unknown_effect`.
            UsageError: there is no such resolution.
        """
        now_ms = self._runtime.node.intake.now_ms()
        made = outside.resolving(key, resolution, note, result, by, self._runtime.blobs)
        self._ask(sound(made(now_ms, None)))

    def circuits(self) -> dict[str, Circuit]:
        """Circuits of agents, providers and tools that have counted a failure, by name."""
        found: dict[str, Circuit] = {}
        known = self._runtime.node.control.state.supervised.circuits
        self._in_turn(lambda: found.update({n: Circuit.of(each) for n, each in known.items()}))
        return found

    def reset_circuit(self, name: str) -> None:
        """Close a circuit, whatever stands against it: `agent:ID`, `provider:NAME`, `tool:NAME`.

        Raises:
            UnknownId: it has counted no failure.
        """
        now_ms = self._runtime.node.intake.now_ms()
        self._ask(sound(sc.ResetCircuit(now_ms=now_ms, circuit=name)))

    def face(self, kind: Face[T]) -> T:
        """Another face of the same fleet."""
        it = self._runtime
        return kind(it.node, it.blobs, it.queries, it.post, self._ask)

    @property
    def mending(self) -> EmbeddedMending:
        """What can be seen and done of its agents, for a loop."""
        return self.face(EmbeddedMending)

    def map(self, tasks: Iterable[Task]) -> list[Any]:
        """Submit all and wait for all; results in the order of the tasks. Never more than
        `MAP_WINDOW` are under way, so that any number of tasks fits into the mailbox.

        Raises:
            TaskFailed: one of them ended without a result.
        """
        handles: list[TaskHandle] = []
        for task in tasks:
            if len(handles) >= MAP_WINDOW:
                handles[-MAP_WINDOW].wait()
            handles.append(self.submit(task))
        return [handle.result() for handle in handles]

    @property
    def queries(self) -> Queries:
        """Lists of tasks and agents, attempts, counts: what happened, read from the log."""
        return self._runtime.queries

    def _spec(self, task: Task, now_ms: int, **fields: Any) -> TaskSpec:
        blobs, identity, wanted = self._runtime.blobs, task.id, task.required_capabilities
        config = NOTHING
        if task.config:
            if not isinstance(task.config, dict):  # type: ignore[reportUnnecessaryIsInstance]
                raise UsageError(f"The config of a task is a map, not {task.config!r:.50}.")
            config = pack(task.config, f"the config of {identity or task.type}", blobs)
        return TaskSpec(
            id=identity or self._runtime.node.intake.new_id("task", now_ms),
            type=task.type,
            description=task.description,
            input=pack(task.input, f"the input of {identity or task.type}", blobs),
            config=config,
            capabilities=words(wanted, "required_capabilities") if wanted else (),
            priority=priority_of(task.priority),
            deadline_ms=task.deadline_ms,
            **fields,
        )

    def _in_turn(self, look: Callable[[], None]) -> None:
        """Have the runtime's thread look at what it holds, and wait until that is durable.

        Raises:
            VisionFlowError: it has ended. Also what `look` raises.
        """
        control = self._runtime.node.control
        looked = TaskHandle("", self._runtime.blobs)
        failed: list[Exception] = []

        def call() -> None:
            try:
                look()
            except Exception as error:
                failed.append(error)
            control.after_commit(looked.accept)

        self._runtime.post(call)
        while not looked.wait_accepted(POLL_S):
            if control.failure is not None:
                raise control.failure
        if failed:
            raise failed[0]

    def _ask(self, command: AnyCommand) -> Answer:
        """Have a command decided and wait, in this thread, until the outcome is durable."""
        asked = TaskHandle("", self._runtime.blobs)
        found: list[Answer] = []

        def answered(answer: Answer) -> None:
            found.append(answer)
            asked.settle(None, _as_error(answer))

        def offer() -> None:
            try:
                control.offer(command, answered)
            except VisionFlowError as error:
                asked.settle(None, error)

        control = self._runtime.node.control
        self._runtime.post(offer)
        while not asked.wait(POLL_S):
            if control.failure is not None and not asked.done:
                raise control.failure
        if not found or found[0].code is not None:
            asked.result()
        return found[0]


class _Accepted(VisionFlowError):
    """Not an error: it marks a command's answer as there."""


def _as_error(answer: Answer) -> BaseException:
    if answer.code is None:
        return _Accepted("accepted")
    return refusal(answer.code, answer.message or answer.code)
