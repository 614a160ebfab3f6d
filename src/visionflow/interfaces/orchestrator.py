"""The Python face: a fleet of agents from a user's program, for loops and for plain threads.

It turns what a caller hands in into commands, and what the log then says into handles. It keeps
no state of its own: the engine does.
"""

import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import MailboxFull, UsageError, VisionFlowError, refusal
from visionflow.domain.tasks import (
    DEFAULT_RETRY,
    NOTHING,
    Phase,
    Priority,
    RetryPolicy,
    TaskSpec,
)
from visionflow.engine.state import Answer
from visionflow.interfaces.handles import PlanHandle, TaskHandle
from visionflow.interfaces.submission import Submission
from visionflow.interfaces.templates import class_of
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import pack
from visionflow.runtime.node import Node
from visionflow.runtime.queries import Queries
from visionflow.settings.agents import AgentSettings, load_agents

T = TypeVar("T")
AgentClass = type[BaseAgent] | Callable[..., Any] | str
Part = Task | Mapping[str, Any]


class Runtime(Protocol):
    """What this face needs of whatever runs the node."""

    @property
    def blobs(self) -> Blobs:
        """Where large values go."""
        ...

    @property
    def node(self) -> Node:
        """The node; its methods belong to the runtime's thread."""
        ...

    @property
    def queries(self) -> Queries:
        """The read service."""
        ...

    @property
    def failure(self) -> BaseException | None:
        """Why it stopped by itself, if it did."""
        ...

    def post(self, call: Callable[[], None]) -> None:
        """Run in the runtime's thread."""
        ...


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


def class_path(agent: AgentClass) -> str:
    """The import path by which a worker finds this class or function.

    What a script defines is found in its file, whose `__main__` part does not run again.

    Raises:
        UsageError: it was defined inside a function, or typed into a prompt.
    """
    if isinstance(agent, str):
        return agent if ":" in agent else ":".join(agent.rsplit(".", 1))
    name = getattr(agent, "__qualname__", "")
    module = getattr(agent, "__module__", "")
    if not name or "<" in name:
        raise UsageError(
            f"{name or agent!r} cannot be imported by a worker process.",
            hint="Define it at the top of a module or script.",
        )
    if module != "__main__":
        return f"{module}:{name}"
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None or not Path(file).is_file():
        raise UsageError(
            f"{name} was typed into a prompt, so a worker process cannot import it.",
            hint="Put it into a file.",
        )
    return f"{Path(file).resolve()}:{name}"


def priority_of(value: int | str) -> int:
    """A priority by number or word.

    Raises:
        UsageError: the word is none of critical, high, medium, low.
    """
    if isinstance(value, int):
        return value
    try:
        return Priority[value.upper()]
    except KeyError:
        words = ", ".join(word.name.lower() for word in Priority)
        raise UsageError(f"{value!r} is no priority.", hint=f"Use a number or {words}.") from None


class Fleet:
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
    ) -> list[AgentHandle]:
        """Add `count` agents of a class, a function, or an import path; returns once durable.

        An agent with `memory_bytes` has a process of its own with that ceiling.

        Raises:
            LimitReached: the swarm's `agents_max` is reached. Those before it are spawned.
            UsageError: a worker could not import it.
            NotPersistable: `config` cannot be written down.
        """
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
                capabilities=tuple(offered),
                config=settings,
                tasks_max=tasks_max,
                memory_bytes=memory_bytes,
            )
            for number in range(1, count + 1)
        ]
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
            Refused: `role_absent`: it names a role of the guide that is not there.
            ConfigError: its class cannot be imported. Also what `spawn` raises.
        """
        if self._agents is None:
            self._agents = load_agents(None)
        found = self._agents.template(template)
        made = class_of(found)
        return self.spawn(
            found.class_path,
            count=count,
            name=name,
            type=template,
            capabilities=made.capabilities,
            config={**found.config, **(config or {})},
            memory_bytes=found.ceiling_bytes,
        )

    def terminate(self, agent: AgentHandle) -> None:
        """End an agent; tasks that it holds are given to others.

        Raises:
            UnknownId: it is gone already.
        """
        intake = self._runtime.node.intake
        self._ask(intake.stamp(lambda now: c.TerminateAgent(now_ms=now, agent=agent.id)))

    # Tasks ---------------------------------------------------------------------------------

    def submit(
        self,
        task: Task,
        *,
        agent: AgentHandle | None = None,
        depends_on: Sequence[TaskHandle] = (),
        timeout_ms: int | None = None,
        retry: RetryPolicy = DEFAULT_RETRY,
    ) -> TaskHandle:
        """Hand in a task. The handle is settled when its end is durable, or it was refused.

        Raises:
            NotPersistable: its input cannot be written down; nothing was submitted.
        """
        now_ms = self._runtime.node.intake.now_ms()
        spec = self._spec(
            task,
            now_ms,
            agent=None if agent is None else agent.id,
            depends_on=tuple([handle.id for handle in depends_on]) if depends_on else (),
            timeout_ms=timeout_ms,
            retry=retry,
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
    ) -> PlanHandle:
        """Hand in phases that run one after the other, the tasks of each side by side.

        A task gets the results of the phase before in `task.dependencies`. Of each phase the
        share `failure_threshold` (0 to 1) may fail.

        Raises:
            NotPersistable: an input cannot be written down; nothing was submitted.
        """
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
        command = c.SubmitPlan(
            now_ms=now_ms,
            spec=root,
            phases=tuple(made),
            failure_threshold_bp=round(failure_threshold * 10_000),
        )
        parts = [part for each in handles.values() for part in each]
        self._runtime.post(Submission(self._runtime, command, handle, parts))
        return handle

    def cancel(self, handle: TaskHandle, reason: str = "cancelled on request") -> None:
        """End a task, and its parts if it is a plan; returns once that is durable.

        Raises:
            Refused: it has ended already.
        """
        intake = self._runtime.node.intake
        self._ask(intake.stamp(lambda now: c.CancelTask(now_ms=now, task=handle.id, reason=reason)))

    def map(self, tasks: Iterable[Task]) -> list[Any]:
        """Submit all and wait for all; results in the order of the tasks.

        Raises:
            TaskFailed: one of them ended without a result.
        """
        handles = [self.submit(task) for task in tasks]
        return [handle.result() for handle in handles]

    @property
    def queries(self) -> Queries:
        """Lists of tasks and agents, attempts, counts: what happened, read from the log."""
        return self._runtime.queries

    # The way in ----------------------------------------------------------------------------

    def _spec(self, task: Task, now_ms: int, **fields: Any) -> TaskSpec:
        blobs, identity, wanted = self._runtime.blobs, task.id, task.required_capabilities
        config = NOTHING
        if task.config:
            config = pack(task.config, f"the config of {identity or task.type}", blobs)
        return TaskSpec(
            id=identity or self._runtime.node.intake.new_id("task", now_ms),
            type=task.type,
            description=task.description,
            input=pack(task.input, f"the input of {identity or task.type}", blobs),
            config=config,
            capabilities=tuple(sorted(wanted)) if wanted else (),
            priority=priority_of(task.priority),
            deadline_ms=task.deadline_ms,
            **fields,
        )

    def _ask(self, command: AnyCommand) -> Answer:
        """Have a command decided and wait, in this thread, until the outcome is durable."""
        asked = TaskHandle("", self._runtime.blobs)
        found: list[Answer] = []

        def answered(answer: Answer) -> None:
            found.append(answer)
            asked.settle(None, _as_error(answer))

        def offer() -> None:
            try:
                self._runtime.node.control.offer(command, answered)
            except MailboxFull as error:
                asked.settle(None, error)

        self._runtime.post(offer)
        while not asked.wait(0.2):
            if self._runtime.failure is not None:
                raise self._runtime.failure
        if not found or found[0].code is not None:
            asked.result()
        return found[0]


class _Accepted(VisionFlowError):
    """Not an error: it marks a command's answer as there."""


def _as_error(answer: Answer) -> BaseException:
    if answer.code is None:
        return _Accepted("accepted")
    return refusal(answer.code, answer.message or answer.code)


async def in_thread(call: Callable[[], T]) -> T:
    """Run what blocks in a thread of the running loop's pool."""
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(None, call)


class AsyncFleet:
    """The same for a program with a loop of its own: what blocks there is awaited here."""

    def __init__(self, fleet: Fleet) -> None:
        self.sync = fleet

    async def spawn(self, agent: AgentClass, **options: Any) -> list[AgentHandle]:
        """See `Fleet.spawn`."""
        return await in_thread(lambda: self.sync.spawn(agent, **options))

    async def spawn_template(self, template: str, **options: Any) -> list[AgentHandle]:
        """See `Fleet.spawn_template`."""
        return await in_thread(lambda: self.sync.spawn_template(template, **options))

    async def spawn_agent(
        self, agent_type: str, config: Mapping[str, Any] | None = None
    ) -> AgentHandle:
        """Add one agent of a template. See `Fleet.spawn_template`."""
        return (await self.spawn_template(agent_type, config=config))[0]

    async def spawn_agents(self, agents: Iterable[Mapping[str, Any]]) -> list[AgentHandle]:
        """Add agents by maps with `type` and, where wanted, `count` and `config`.

        Those before the first that is refused stay.

        Raises:
            UsageError: a map has no type, or a key that is not known. Also what `spawn_template`
                raises.
        """
        found: list[AgentHandle] = []
        for wanted in agents:
            unknown = sorted(set(wanted) - {"type", "count", "config"})
            if unknown or "type" not in wanted:
                raise UsageError(
                    f"{dict(wanted)!r} does not say which agents to spawn.",
                    hint="Its keys are type, count and config; type must be there.",
                )
            options = {key: wanted[key] for key in ("count", "config") if key in wanted}
            found += await self.spawn_template(wanted["type"], **options)
        return found

    async def terminate(self, agent: AgentHandle) -> None:
        """See `Fleet.terminate`."""
        await in_thread(lambda: self.sync.terminate(agent))

    def submit(self, task: Task, **options: Any) -> TaskHandle:
        """See `Fleet.submit`; `await` the handle for the result."""
        return self.sync.submit(task, **options)

    async def cancel(self, handle: TaskHandle, reason: str = "cancelled on request") -> None:
        """See `Fleet.cancel`."""
        await in_thread(lambda: self.sync.cancel(handle, reason))

    async def map(self, tasks: Iterable[Task]) -> AsyncIterator[Any]:
        """Submit all; yields results in the order of the tasks."""
        for handle in [self.sync.submit(task) for task in tasks]:
            yield await handle


def is_agent(value: object) -> bool:
    """Whether this is a class or function that can serve as an agent."""
    return inspect.isfunction(value) or (inspect.isclass(value) and issubclass(value, BaseAgent))
