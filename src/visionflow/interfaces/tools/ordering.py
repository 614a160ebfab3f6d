"""The arguments of task_orchestrate, read to an `Order`.

A task is a text or an object of its own; what the object says wins over what stands beside it.
Every argument changes what happens, or is refused by its name.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, cast

import msgspec

from visionflow.domain.errors import UsageError
from visionflow.domain.limits import INLINE_BYTES_MAX, WORD_CHARS_MAX
from visionflow.domain.tasks import DEFAULT_RETRY, Backoff, Priority, RetryPolicy
from visionflow.interfaces.aggregation_rules import read_rule
from visionflow.interfaces.jobs import Order, Work
from visionflow.interfaces.stages import read_stages
from visionflow.interfaces.tools.agreeing import agreement_in
from visionflow.interfaces.tools.arguments import Arguments, parse
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.limiting import bounds_of, read_limits

STRATEGIES: dict[str, bool | None] = {"adaptive": None, "sequential": True, "parallel": False}
"""Whether tasks run one after the other; `None`: as the plan has it."""
MODES: dict[str, bool | None] = {"distributed": None, "sequential": True, "parallel": False}
SUBTASKS_MAX = 1_000
ACCEPT_MAX = 20


def _map() -> Any:
    return msgspec.field(default_factory=dict[str, Any])


class Execution(Arguments, frozen=True, kw_only=True):
    """How it is carried out."""

    mode: str = "distributed"
    retry_policy: str | None = None
    result_aggregation: Any = "all"
    failure_threshold: float | None = None


class Common(Arguments, frozen=True, kw_only=True):
    """What may stand in the task or beside it."""

    priority: Annotated[
        int | None, form("priority", "critical, high, medium, low; or 0 to 30, lower first.")
    ] = None
    strategy: Annotated[str | None, about("sequential, parallel or adaptive.")] = None
    timeout: Annotated[int | None, form("seconds", "Of each attempt, in seconds.")] = None
    deadline: Annotated[int | None, form("seconds", "From now, in seconds.")] = None
    required_capabilities: Annotated[
        tuple[str, ...], form("words", "The agents together must have them.")
    ] = ()
    parallelism: Annotated[int | None, about("At most so many tasks at once.")] = None
    consensus_required: Annotated[
        bool | dict[str, Any] | None,
        about("Its result is voted on: true, or votingMechanism, threshold, conflictResolution."),
    ] = None
    stages: Annotated[
        tuple[Any, ...],
        form(
            "stages",
            "Phases: research, plan, architect, code, review, test, or agent types; or objects: "
            "stage, agentType, taskType, config, validation ({measure: demand}), onFailure.",
        ),
    ] = ()
    workspace: Annotated[str | None, about("A folder under one of the server's.")] = None
    playbook: Annotated[str | None, about("audit, test, fix, explain or code.")] = None
    candidates: Annotated[
        int | None, about("So many coding agents do it side by side; the best one is kept.")
    ] = None
    accept: Annotated[list[str], about("Commands that have to end with 0 on what is taken.")] = (
        msgspec.field(default_factory=list[str])
    )
    limits: Annotated[
        dict[str, Any],
        form(
            "object",
            "Of coding agents: agentTimeout, timeLimit (seconds), agentMemory, maxTokens, maxCost "
            "(dollars).",
        ),
    ] = _map()


_DEFAULTS = tuple(
    (
        field.name,
        field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory(),
    )
    for field in msgspec.structs.fields(Common)
)


class TaskObject(Common, frozen=True, kw_only=True):
    """A task as an object."""

    ALIASES: ClassVar[Mapping[str, str]] = {"capabilities": "requiredCapabilities"}

    description: str = ""
    type: str | None = None
    input: Any = None
    config: Annotated[dict[str, Any], form("object", "For the agent.")] = _map()
    subtasks: list[Any] = msgspec.field(default_factory=list[Any])
    agent_id: str | None = None
    agent_type: str | None = None


class SubtaskObject(Arguments, frozen=True, kw_only=True):
    """A subtask as an object."""

    ALIASES: ClassVar[Mapping[str, str]] = {"capabilities": "requiredCapabilities"}

    description: str = ""
    type: str = "task"
    input: Any = None
    config: Annotated[dict[str, Any], form("object", "For the agent.")] = _map()
    required_capabilities: Annotated[tuple[str, ...], form("words", "")] = ()
    agent_id: str | None = None
    agent_type: str | None = None


class OrchestrateArguments(Common, frozen=True, kw_only=True):
    """What is to be done, and how."""

    task: Annotated[
        str | dict[str, Any],
        about(
            "What is to be done, in words; or an object: description, type, input, config, "
            "subtasks, agentId, agentType, and any argument beside it."
        ),
    ]
    swarm_id: Annotated[str | None, about("A new id makes a swarm.")] = None
    execution: Annotated[
        dict[str, Any],
        form(
            "object",
            "mode (distributed, parallel, sequential), retryPolicy (exponential_backoff, "
            "linear_backoff, none), failureThreshold (0 to 1), resultAggregation (all, "
            "majority_vote, merge, first_success; {method, equality, key, weights, score}).",
        ),
    ] = _map()
    form_team: Annotated[
        bool | None,
        about("Spawn the agents it needs; by default the roles that no agent here has."),
    ] = None
    wait: Annotated[
        bool,
        about(
            "Answer with the result, once it has ended; or at once while nobody can do it, with "
            "what is lacking."
        ),
    ] = False
    wait_timeout: Annotated[
        int | None, form("seconds", "Wait so many seconds at most, also for somebody who can.")
    ] = None


def order_of(
    given: OrchestrateArguments,
    now_ms: int,
    key: str | None,
    agent_id: Callable[[str], str],
) -> Order:
    """What is asked for. `agent_id` gives the id of an agent by its name.

    Raises:
        UsageError: an argument has no meaning, here or at all; the message names it.
    """
    task = _task(given.task)
    both = _merged(given, task)
    execution = _within("execution", lambda: parse(Execution, given.execution))
    if both.deadline == 0:
        raise UsageError("deadline is 0; it is a time from now.", hint="Leave it out.")
    return Order(
        description=task.description,
        task_type=task.type,
        input=task.input,
        config=task.config,
        workspace=both.workspace,
        playbook=both.playbook,
        stages=both.stages if _are_words(both.stages) else (),
        pipeline=() if _are_words(both.stages) else read_stages(both.stages, transforms=False),
        subtasks=_subtasks(task.subtasks, agent_id),
        sequential=_sequential(both.strategy, execution.mode),
        parallelism=both.parallelism,
        priority=Priority.MEDIUM if both.priority is None else both.priority,
        timeout_ms=both.timeout,
        deadline_ms=None if both.deadline is None else now_ms + both.deadline,
        capabilities=both.required_capabilities,
        failure_threshold=execution.failure_threshold,
        aggregation=_within("resultAggregation", lambda: read_rule(execution.result_aggregation)),
        retry=_retry(execution.retry_policy),
        agent=None if task.agent_id is None else agent_id(task.agent_id),
        agent_type=task.agent_type,
        candidates=both.candidates,
        agreement=agreement_in(both.consensus_required),
        accept=_predicates(both.accept),
        bounds=bounds_of(read_limits(both.limits, now_ms)),
        form_team=given.form_team,
        key=key,
    )


def _are_words(stages: tuple[object, ...]) -> bool:
    return all(isinstance(each, str) for each in stages)


def _predicates(given: list[str]) -> tuple[str, ...]:
    if len(given) > ACCEPT_MAX or not all(0 < len(each) <= WORD_CHARS_MAX for each in given):
        raise UsageError(
            f"accept are at most {ACCEPT_MAX} commands of 1 to {WORD_CHARS_MAX} characters."
        )
    return tuple(given)


def _task(given: str | dict[str, Any]) -> TaskObject:
    if isinstance(given, str):
        return TaskObject(description=_checked(given, "task"))
    task: TaskObject = _within("task", lambda: parse(TaskObject, given))
    _checked(task.description, "task.description")
    _checked(task.type or "", "task.type", WORD_CHARS_MAX)
    return task


def _checked(text: str, name: str, most: int = INLINE_BYTES_MAX) -> str:
    if len(text) > most:
        hint = "Put the rest into `input`." if most == INLINE_BYTES_MAX else None
        raise UsageError(f"{name} has {len(text)} characters; {most} are the most.", hint=hint)
    return text


def _within(name: str, read: "Callable[[], Any]") -> Any:
    try:
        return read()
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}", hint=error.hint) from error


def _merged(given: OrchestrateArguments, task: TaskObject) -> Common:
    """What the task says, and where it says nothing what stands beside it."""
    values: dict[str, Any] = {}
    for name, default in _DEFAULTS:
        own = getattr(task, name)
        values[name] = getattr(given, name) if own == default else own
    return Common(**values)


def _sequential(strategy: str | None, mode: str) -> bool | None:
    if strategy is not None and strategy not in STRATEGIES:
        raise UsageError(
            f"There is no strategy {strategy!r:.100}.", hint=f"There are {', '.join(STRATEGIES)}."
        )
    if mode not in MODES:
        raise UsageError(f"There is no mode {mode!r:.100}.", hint=f"There are {', '.join(MODES)}.")
    asked = None if strategy is None else STRATEGIES[strategy]
    if asked is not None and MODES[mode] is not None and asked is not MODES[mode]:
        raise UsageError(f"strategy is {strategy} and execution.mode is {mode}: which is it?")
    return MODES[mode] if asked is None else asked


def _retry(policy: str | None) -> RetryPolicy:
    if policy is None:
        return DEFAULT_RETRY
    words = [word.value for word in Backoff]
    if policy not in words:
        raise UsageError(
            f"There is no retryPolicy {policy!r:.100}.", hint=f"There are {', '.join(words)}."
        )
    return msgspec.structs.replace(DEFAULT_RETRY, backoff=Backoff(policy))


def _subtasks(given: list[Any], agent_id: Callable[[str], str]) -> tuple[Work, ...]:
    if len(given) > SUBTASKS_MAX:
        raise UsageError(f"There are {len(given)} subtasks; {SUBTASKS_MAX} are the most.")
    return tuple(_subtask(number, each, agent_id) for number, each in enumerate(given, 1))


def _subtask(number: int, given: object, agent_id: Callable[[str], str]) -> Work:
    name = f"subtask {number}"
    if isinstance(given, str):
        return Work(description=_checked(given, name))
    if not isinstance(given, Mapping):
        raise UsageError(f"{name} is a text or an object.")
    words = cast("Mapping[str, object]", given)
    read: SubtaskObject = _within(name, lambda: parse(SubtaskObject, words))
    _checked(read.description, f"{name}: description")
    _checked(read.type, f"{name}: type", WORD_CHARS_MAX)
    return Work(
        type=read.type,
        description=read.description,
        input=read.input,
        config=read.config,
        capabilities=read.required_capabilities,
        agent=None if read.agent_id is None else agent_id(read.agent_id),
        agent_type=read.agent_type,
    )
