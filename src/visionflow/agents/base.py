"""The class that every agent is one of, and what it is given by the process that hosts it.

An agent says what it can do and does it. It does not know of queues, retries or other agents:
whoever hosts it provides the attempt under way (`Attempt`) and the rest (`AgentContext`).
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from visionflow.agents.asking import (
    Asking,
    Delegation,
    Failures,
    holding,
    holding_in_thread,
    through,
    through_in_thread,
)
from visionflow.agents.leading import Leading
from visionflow.agents.messaging import Messaging, Post
from visionflow.agents.outside import Order, OutsideEffect, order_of
from visionflow.agents.task import Task
from visionflow.agents.voting import Voting
from visionflow.domain.errors import TryLater as TryLater
from visionflow.domain.errors import UsageError, VisionFlowError
from visionflow.domain.outside import EffectClass
from visionflow.domain.tasks import RetryPolicy
from visionflow.ports.blobs import Blobs
from visionflow.ports.sandbox import Sandbox

if TYPE_CHECKING:
    from visionflow.agents.gate.results import GateResult


class PermanentFailure(VisionFlowError):
    """Raised by an agent: no further attempt can help, so none is made."""

    code = "permanent_failure"


class GateRunner(Protocol):
    """Compares a working tree with a commit of its own repository, as `visionflow gate` does."""

    async def __call__(
        self,
        workspace: Path,
        base: str,
        *,
        state: Path,
        virtual_env: str | None,
        trusted: bool,
        tests_s: float,
        cache: str | None,
        on_stage: Callable[[str], None],
    ) -> "GateResult":
        """`state`: a folder of ours that it may use; `tests_s`: at most for a run of the tests;
        `cache`: where results are kept by content, or `None`.

        Raises:
            VisionFlowError: it cannot be run.
        """
        ...


class WorkspaceTrees(Protocol):
    """States of a workspace, by the git tree that holds them."""

    async def tree_of(self, path: Path) -> str:
        """Record what the workspace at `path` holds now, durably, and return its tree."""
        ...

    async def restore(self, path: Path, tree: str) -> None:
        """Make the workspace at `path` hold exactly what it held when `tree` was recorded."""
        ...


class Cancelled(Protocol):
    """Set once the attempt should stop. May be waited for in a thread."""

    def is_set(self) -> bool:
        """Whether it should stop."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it should stop, for at most `timeout` seconds; whether it should."""
        ...


class Attempt(Protocol):
    """The attempt under way, as its host sees it."""

    async def step(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], workspace: Path | None
    ) -> Any:
        """See `BaseAgent.step`."""
        ...

    def step_in_thread(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], workspace: Path | None
    ) -> Any:
        """See `BaseAgent.step_sync`."""
        ...

    async def effect(self, order: Order) -> Any:
        """See `BaseAgent.effect`."""
        ...

    def effect_in_thread(self, order: Order) -> Any:
        """See `BaseAgent.effect_sync`."""
        ...

    @property
    def asking(self) -> Asking:
        """What it may ask of its swarm."""
        ...

    def progress(self, fraction: float | None, note: str) -> None:
        """See `BaseAgent.progress`."""
        ...

    @property
    def cancelled(self) -> Cancelled:
        """See `BaseAgent.cancelled`."""
        ...


current_attempt: ContextVar[Attempt] = ContextVar("visionflow_attempt")
"""Set by the host around each call of `process_task`; an agent may have several under way."""


class AgentContext:
    """What an agent may use beside its task."""

    def __init__(
        self,
        *,
        folder: Path,
        blobs: Blobs,
        open_sandbox: Callable[[], Sandbox],
        write_log: Callable[[str, str], None],
        trees: WorkspaceTrees | None = None,
        gate: GateRunner | None = None,
    ) -> None:
        """`open_sandbox` may be slow (it tries what holds); `write_log` takes level and text."""
        self.gate = gate
        """`None` where its host has none to offer."""
        self.post: Post | None = None
        """What carries its messages; set by its host."""
        self.blobs = blobs
        self.trees = trees
        self.write_log = write_log
        self._folder = folder
        self._open_sandbox = open_sandbox
        self._sandbox: Sandbox | None = None

    @property
    def folder(self) -> Path:
        """A folder for scratch of this agent alone, made when it is first asked for."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @property
    def sandbox(self) -> Sandbox:
        """The only way to run a foreign command; made when it is first asked for."""
        if self._sandbox is None:
            self._sandbox = self._open_sandbox()
        return self._sandbox


class BaseAgent(Messaging, Voting, Leading):
    """Derive from it and write `process_task`.

    `async def process_task` runs in the loop of its worker; a plain `def process_task` runs in a
    thread, unless the class says `blocking = False` because it only takes an instant.
    """

    type: str = "custom"
    capabilities: tuple[str, ...] = ()
    measures: ClassVar[tuple[str, ...]] = ()
    """What the results of its tasks say under `measures`, by name: stages may demand it."""
    blocking: ClassVar[bool] = True
    """Whether a `process_task` that is no coroutine may take longer than a moment."""

    def __init__(
        self, agent_id: str, name: str, type: str, config: dict[str, Any], context: AgentContext
    ) -> None:
        """Called by the worker. Open what is slow or may fail in `start` instead."""
        self.id = agent_id
        self.name = name
        self.type = type or self.__class__.type
        self.config = config
        self.context = context

    @property
    def _post(self) -> Post:
        post = self.context.post
        if post is None:
            raise UsageError(
                "This agent is in no swarm, so it can neither send nor get messages.",
                hint="Have it hosted by an AgentOrchestrator.",
            )
        return post

    async def start(self) -> None:
        """Called once before the first task. Raising here means that the agent is not there."""

    async def stop(self) -> None:
        """Called once after the last task, unless the process is killed."""

    def process_task(self, task: Task) -> Any:
        """Do the work and return a result that MessagePack can hold (maps, lists, text, bytes,
        numbers, dates, dataclasses, Structs). May be `async`.

        Who asked gets what MessagePack gives back: a tuple or set as a list, a dataclass as a
        map, a path, a date, or a time without a zone as text. Processes that it starts end with
        the worker, unless they begin a session of their own.

        Raises:
            PermanentFailure: trying again cannot help. Any other exception is tried again.
        """
        raise PermanentFailure(
            f"{self.__class__.__name__} does not define process_task, so it cannot do anything.",
            hint="Define `async def process_task(self, task)` in the class.",
        )

    def supports_batch(self, task_type: str) -> bool:
        """Whether several tasks of this type may be handed over at once, to `batch_process`. No
        agent does by itself."""
        return False

    def batch_process(self, tasks: list[Task]) -> Any:
        """Do several tasks of one type, as many as wait and five at most; a list with one result
        for each, in their order. May be `async`; a plain function runs in a thread.

        Each task keeps its own attempt, limit and retries. When this raises, or gives another
        number of results, all of them have failed, and are tried again one by one. Steps and all
        else that belongs to one task are not to be had here.
        """
        raise PermanentFailure(
            f"{self.__class__.__name__} says that it takes several tasks at once, and does not "
            "define batch_process.",
            hint="Define `async def batch_process(self, tasks)` in the class.",
        )

    async def step(
        self, name: str, call: Callable[..., Any], *args: Any, workspace: Path | None = None
    ) -> Any:
        """Run `call(*args)` once for this task, whatever happens to processes in between.

        Its value is durable before this returns; a later attempt gets it without running
        anything. A step is known by the task, its name, how often that name came before, its
        `args`, and the code of `call`: change one of them and it runs anew. What a function
        takes from around it instead of by `args` is not noticed. A plain function runs in a
        thread, a coroutine function in the loop. The value comes back as MessagePack gives it
        (a tuple as a list, a dataclass as a map), on the first run too.

        Where `workspace` is given, the files there are recorded after the step, and a later
        attempt puts them back before the first step that it really runs. Work that needs those
        files belongs into a step.

        Raises:
            StaleAttempt: another attempt has begun; end this one.
            NotPersistable: `args` or the value cannot be stored. Nothing ran, or nothing of it
                counts.
        """
        return await _attempt().step(name, call, args, workspace)

    def step_sync(
        self, name: str, call: Callable[..., Any], *args: Any, workspace: Path | None = None
    ) -> Any:
        """`step` for a `process_task` that runs in a thread. Blocks."""
        return _attempt().step_in_thread(name, call, args, workspace)

    async def effect(
        self,
        what: str | OutsideEffect,
        call: Callable[..., Any] | None = None,
        /,
        *args: Any,
        key: str | None = None,
        probe: Callable[..., Any] | None = None,
        cls: EffectClass | str | None = None,
        about: str = "",
    ) -> Any:
        """Do something to the world outside once for this task, or have it said that nobody knows.

        It is reserved durably before `call(*args)` runs, and its value is durable before this
        returns. A later attempt gets that value without running anything. One that finds it begun
        and not settled goes by its class (docs/effects.md): `transactional` and `idempotent` are
        repeated as `call(key, *args)`; of `probeable`, `probe(key, *args)` returns `Done(result)`,
        `NOT_DONE` or `UNKNOWN`; `in_doubt`, and what a probe cannot tell, waits for a person. The
        default is `probeable` with a probe, else `in_doubt`. An effect of `agents.effects`, such as
        `WriteFile`, stands alone in the place of name and call.

        It is known by the task, its name, how many other effects that name had before, and its
        `args`. Where these are not the same on each attempt, give a `key`: it holds in the whole
        swarm, and one thing is done once under it. `about` says in words, and without secrets, what
        a person reads who has to find out what became of it.

        Raises:
            NotDone: `call` says that it did not happen; any other exception of it leaves that open.
            InDoubt: a person is asked. Let it pass: the task is blocked until they have said.
            EffectAbandoned: a person said that nobody is to go on with it.
            EffectHeld: another task is at it under the same key.
            StaleAttempt: another attempt has begun; end this one. Nothing was done.
        """
        order = order_of(what, call, args, key=key, probe=probe, cls=cls, about=about)
        return await _attempt().effect(order)

    def effect_sync(
        self,
        what: str | OutsideEffect,
        call: Callable[..., Any] | None = None,
        /,
        *args: Any,
        key: str | None = None,
        probe: Callable[..., Any] | None = None,
        cls: EffectClass | str | None = None,
        about: str = "",
    ) -> Any:
        """`effect` for a `process_task` that runs in a thread. Blocks."""
        order = order_of(what, call, args, key=key, probe=probe, cls=cls, about=about)
        return _attempt().effect_in_thread(order)

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        """`async with self.lock("deploy"):` holds a lock of the swarm, for one attempt at a time.

        Who asks first gets it first. However the attempt ends, it lets go of it. Where attempts
        wait for each other in a ring, the youngest of them is ended and tried again later.

        Raises:
            StaleAttempt: another attempt has begun; end this one.
            UsageError: this attempt holds it or waits for it already.
        """
        return holding(_attempt().asking, name)

    def lock_sync(self, name: str) -> AbstractContextManager[None]:
        """`lock` for a `process_task` that runs in a thread. Blocks."""
        return holding_in_thread(_attempt().asking, name)

    def circuit(
        self, name: str, *, failures: Failures = (Exception,)
    ) -> AbstractAsyncContextManager[None]:
        """`async with self.circuit("provider:acme"):` calls something that may be down.

        Exceptions of the kinds `failures` that leave the block count as its failures; five in a
        row, of all agents of the swarm, open the circuit: nothing is called for a minute, then one
        call may try. `TryLater` and being stopped count as nothing. `name` begins with
        `provider:` or `tool:`.

        Raises:
            CircuitOpenError: it is open. Let it pass, and the task is tried again once the
                circuit's time is over, which counts as no failure.
        """
        return through(_attempt().asking, name, failures)

    def circuit_sync(
        self, name: str, *, failures: Failures = (Exception,)
    ) -> AbstractContextManager[None]:
        """`circuit` for a `process_task` that runs in a thread. Blocks."""
        return through_in_thread(_attempt().asking, name, failures)

    async def delegate(
        self,
        type: str,
        *,
        description: str = "",
        input: Any = None,
        config: dict[str, Any] | None = None,
        capabilities: tuple[str, ...] = (),
        agent_type: str | None = None,
        agent: str | None = None,
        priority: int | None = None,
        timeout_ms: int | None = None,
        retry: RetryPolicy | None = None,
        depends_on: tuple[str, ...] = (),
    ) -> str:
        """Have a task done by the swarm; its id, once it is durably accepted.

        It is known by what it is and how often the same came before in this task: a later attempt
        that delegates it again gets the same task, and its result if that has come. `result_of`
        waits for it; meanwhile this attempt keeps its place and its time goes on.

        Raises:
            StaleAttempt: another attempt has begun; end this one.
            NotPersistable: `input` or `config` cannot be stored.
            Refused: the swarm does not take it, or (`not_allowed`) the topology does not let this
                agent speak to `agent`; the message says why.
        """
        order = Delegation(
            type=type,
            description=description,
            input=input,
            config=config,
            capabilities=capabilities,
            agent_type=agent_type,
            agent=agent,
            priority=priority,
            timeout_ms=timeout_ms,
            retry=retry,
            depends_on=depends_on,
        )
        return await _attempt().asking.delegate(order)

    def delegate_sync(self, type: str, **fields: Any) -> str:
        """`delegate` for a `process_task` that runs in a thread. Blocks."""
        asking = _attempt().asking
        return asking.in_thread(lambda: asking.delegate(Delegation(type, **fields)))

    async def result_of(self, task: str) -> Any:
        """The result of another task of the swarm, once it has one.

        Raises:
            AwaitedTaskFailed: it ended without one. Let it pass, and this task has failed too.
            UnknownTask: no such task is known (any more).
            StaleAttempt: another attempt has begun; end this one.
        """
        return await _attempt().asking.result_of(task)

    def result_of_sync(self, task: str) -> Any:
        """`result_of` for a `process_task` that runs in a thread. Blocks."""
        asking = _attempt().asking
        return asking.in_thread(lambda: asking.result_of(task))

    def progress(self, fraction: float | None, note: str = "") -> None:
        """Show how far this attempt is: 0 to 1, or `None` when that cannot be known."""
        _attempt().progress(fraction, note)

    def log(self, text: str, level: str = "info") -> None:
        """A line for this agent's log; `level` is debug, info, warning or error."""
        self.context.write_log(level, text)

    @property
    def cancelled(self) -> Cancelled:
        """Set when this attempt should stop. A thread must look at it: it cannot be stopped."""
        return _attempt().cancelled


def _attempt() -> Attempt:
    try:
        return current_attempt.get()
    except LookupError:
        raise UsageError(
            "There is no attempt here: step, progress and cancelled belong to process_task.",
            hint="In a thread of your own, run it with contextvars.copy_context().run(...).",
        ) from None
