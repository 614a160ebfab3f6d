"""How work goes down a hierarchy and comes back: tasks by which the manager and the leads lead.

All of it is tasks and steps in the log, so whoever takes the seat of somebody who died goes on
where that one was. The manager hands a task to the team that the engine chooses; its lead cuts it
up, has the parts done by the team, and joins what comes; the manager reviews that, and sends it
back once.
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, cast

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure, current_attempt
from visionflow.agents.leading import Leading, PartResult, TeamResult, check_config
from visionflow.agents.task import Task
from visionflow.domain.errors import AwaitedTaskFailed, UsageError
from visionflow.domain.pipelines import Value
from visionflow.domain.teams import (
    ACCEPT,
    AGGREGATE,
    ASSIGN,
    DELEGATE,
    DISTRIBUTE,
    LEAD,
    LEADS,
    REVIEW,
    Seated,
    TeamView,
    lead_word,
    team_word,
)
from visionflow.domain.wording import shown

LEAD_MS = 24 * 3_600_000
"""Of one attempt that leads: it mostly waits, and what it waits for has limits of its own."""
ROUNDS = 2


class Order(msgspec.Struct, omit_defaults=True):
    """A task as it goes down, and what came of it when it is sent back."""

    type: str = "task"
    description: str = ""
    input: Any = None
    config: dict[str, Any] = {}
    capabilities: tuple[str, ...] = ()
    agent_type: str | None = None
    priority: int | None = None
    timeout_ms: int | None = None
    reasons: list[str] = []
    """Why it was sent back."""
    before: list[PartResult] = []
    """And what its parts had come to then."""

    def task(self) -> Task:
        """As the agents' own methods take it."""
        return Task(
            type=self.type,
            description=self.description,
            input=self.input,
            config=self.config,
            required_capabilities=self.capabilities,
        )


async def lead(agent: BaseAgent, task: Task) -> Any:
    """Do one of the tasks by which agents lead.

    Raises:
        PermanentFailure: there is no such, or a team could not do what it was given.
    """
    found = _DOES.get(task.type)
    if found is None:
        raise PermanentFailure(
            f"There is no task of type {task.type!r}.", hint=f"There is {', '.join(_DOES)}."
        )
    kind, does = found
    try:
        order = msgspec.convert(task.input or {}, kind)
    except msgspec.ValidationError as error:
        raise PermanentFailure(
            f"A task of type {task.type} was given something else: {error}"
        ) from error
    given = order.order if isinstance(order, Judged) else order
    if isinstance(given, Order):
        # Before anything is handed down: a review that cannot be made would cost what was done.
        try:
            check_config(given.config)
        except UsageError as error:
            raise PermanentFailure(error.message, hint=error.hint) from error
    return msgspec.to_builtins(await does(agent, order))


async def _team() -> TeamView:
    return await current_attempt.get().asking.team()


def _able(view: TeamView, order: Order) -> list[Seated]:
    """Who can do the parts, least busy first."""
    able = [
        each
        for each in view.members
        if set(order.capabilities) <= set(each.capabilities)
        and order.agent_type in (None, each.type)
    ]
    return sorted(able, key=lambda each: each.open / max(1, each.tasks_max))


async def _handed_down(
    agent: BaseAgent, kind: str, order: Order, words: tuple[str, ...], agent_type: str | None
) -> Any:
    """The result of a task for a lead.

    Raises:
        PermanentFailure: it ended without one. It was tried again already.
    """
    task = await agent.delegate(
        kind,
        description=order.description,
        input=msgspec.to_builtins(order),
        capabilities=words,
        agent_type=agent_type,
        priority=order.priority,
        timeout_ms=LEAD_MS,
    )
    try:
        return await agent.result_of(task)
    except AwaitedTaskFailed as error:
        raise PermanentFailure(f"The lead of its team came to no result: {error}") from error


# The manager -----------------------------------------------------------------------------------


async def _assign(agent: BaseAgent, order: Order) -> Any:
    """Have the engine choose a team, whose lead says that it is its own now."""
    words = (*order.capabilities, LEADS)
    return await _handed_down(agent, ACCEPT, order, words, order.agent_type)


class Reviewed(TeamResult, frozen=True, kw_only=True):
    """A team's result, and what the manager said to it."""

    accepted: bool
    reasons: list[str]
    """What stands against it."""
    rounds: int
    """How often it was done; 2: it was sent back once."""
    manager: str


async def _delegate(agent: BaseAgent, order: Order) -> Reviewed:
    words: tuple[str, ...] = (*order.capabilities, LEADS)
    kind, rounds = order.agent_type, 1
    while True:
        found = msgspec.convert(await _handed_down(agent, LEAD, order, words, kind), TeamResult)
        reasons = await _review(agent, order, found, rounds)
        if not reasons or rounds == ROUNDS:
            break
        order.reasons, order.before = reasons, found.parts
        rounds += 1
        if found.team:
            words, kind = (lead_word(found.team),), None
    return _reviewed(agent, found, reasons, rounds)


async def _review(agent: BaseAgent, order: Order, found: TeamResult, rounds: int) -> list[str]:
    given = taken_by(agent.review_result, found, order.task())
    reasons = await agent.step(f"review {rounds}", agent.review_result, *given)
    return cast("list[str]", reasons or [])


def _reviewed(agent: BaseAgent, found: TeamResult, reasons: list[str], rounds: int) -> Reviewed:
    return Reviewed(
        team=found.team,
        lead=found.lead,
        parts=found.parts,
        result=found.result,
        measures=found.measures,
        accepted=not reasons,
        reasons=reasons,
        rounds=rounds,
        manager=agent.id,
    )


class Judged(msgspec.Struct):
    """What a manager is given for a review alone."""

    result: TeamResult
    order: Order = msgspec.field(default_factory=Order)


async def _judge(agent: BaseAgent, given: Judged) -> Any:
    measures = _measured(given.order, given.result.result)
    found = msgspec.structs.replace(given.result, measures=measures)
    reasons = await _review(agent, given.order, found, 1)
    return _reviewed(agent, found, reasons, 1)


# The lead --------------------------------------------------------------------------------------


async def _accept(agent: BaseAgent, order: Order) -> Any:
    view = await _team()
    return {"team": view.name, "lead": agent.id}


async def _lead(agent: BaseAgent, order: Order) -> TeamResult:
    view = await _team()
    redone = [part for part in order.before if not part.completed or part.result is None]
    if redone:
        given = [(part.part, part.input) for part in redone]
    else:
        given = list(enumerate(await _cut_up(agent, view, order)))
    config = {**order.config, "sent_back": order.reasons} if order.reasons else order.config
    config = {key: value for key, value in config.items() if key != "parts"}
    words = (*order.capabilities, team_word(view.name)) if view.name else order.capabilities
    tasks = [
        await agent.delegate(
            order.type,
            description=order.description,
            input=value,
            config=config or None,
            capabilities=words,
            agent_type=order.agent_type,
            priority=order.priority,
            timeout_ms=order.timeout_ms,
        )
        for _, value in given
    ]
    done = {part.part: part for part in order.before}
    for (place, value), task in zip(given, tasks, strict=True):
        done[place] = await _came_to(agent, place, task, value)
    parts = [done[place] for place in sorted(done)]
    result = await _joined(agent, [part.result for part in parts if part.completed])
    return TeamResult(
        team=view.name,
        lead=agent.id,
        parts=parts,
        result=result,
        measures=_measured(order, result),
    )


def _measured(order: Order, result: Any) -> dict[str, Value]:
    # The roles, whose measures these are, cost half a second to import.
    if not order.config.get("validation"):
        return {}
    from visionflow.agents.measures import all_measures_of

    return all_measures_of(result)


async def _cut_up(agent: BaseAgent, view: TeamView, order: Order) -> list[Any]:
    named = order.config.get("parts")
    is_own = type(agent).distribute_work is not Leading.distribute_work
    if not is_own and not (named is None or isinstance(named, list)):
        raise PermanentFailure(
            f"parts in the config of the task is {shown(named)}, not a list.",
            hint="Name the input of each part, or leave it out.",
        )
    given = taken_by(agent.distribute_work, order.task(), _able(view, order))

    async def cut_up() -> Any:
        return await cast("Any", agent.distribute_work(*given))

    def cut_up_in_a_thread() -> Any:
        return agent.distribute_work(*given)

    # Known by the team's name alone: who is in it may be others when this is gone on with.
    is_async = inspect.iscoroutinefunction(agent.distribute_work)
    call = cut_up if is_async else cut_up_in_a_thread
    parts: object = await agent.step(f"distribute to {view.name or 'nobody'}", call)
    if not isinstance(parts, list) or not parts:
        raise PermanentFailure(
            f"{type(agent).__name__}.distribute_work gave {parts!r:.100} and no list of parts."
        )
    return cast("list[Any]", parts)


def taken_by(method: Callable[..., Any], *given: Any) -> tuple[Any, ...]:
    """As many of these, in order, as a method takes: the guide's own take the first alone.

    Raises:
        PermanentFailure: it takes no such number of them.
    """
    signature = inspect.signature(method)
    for count in range(len(given), 0, -1):
        try:
            signature.bind(*given[:count])
        except TypeError:
            continue
        return given[:count]
    raise PermanentFailure(
        f"{method.__qualname__}{signature} cannot be called with {len(given)} values or fewer.",
        hint="distribute_work(task, members), review_result(result, task): the second may be "
        "left out.",
    )


async def _came_to(agent: BaseAgent, place: int, task: str, given: Any) -> PartResult:
    try:
        result = await agent.result_of(task)
    except AwaitedTaskFailed as error:
        why = str(error.reason or error)
        return PartResult(part=place, task=task, completed=False, reason=why, input=given)
    if result is None:
        return PartResult(part=place, task=task, completed=True, input=given)
    return PartResult(part=place, task=task, completed=True, result=result)


async def _joined(agent: BaseAgent, results: list[Any]) -> Any:
    return await agent.step("aggregate", agent.aggregate_results, results)


async def _distribute(agent: BaseAgent, order: Order) -> Any:
    """The parts, and of each the member whose turn it is."""
    view = await _team()
    able = _able(view, order)
    parts = await _cut_up(agent, view, order)
    names = [each.agent for each in able] or [agent.id]
    return [{"agent": names[n % len(names)], "input": part} for n, part in enumerate(parts)]


class Pile(msgspec.Struct):
    """What a lead is given to join."""

    results: list[Any] = []


async def _aggregate(agent: BaseAgent, given: Pile) -> Any:
    return await _joined(agent, given.results)


_DOES: dict[str, tuple[Any, Callable[[BaseAgent, Any], Coroutine[Any, Any, Any]]]] = {
    ASSIGN: (Order, _assign),
    DELEGATE: (Order, _delegate),
    REVIEW: (Judged, _judge),
    ACCEPT: (Order, _accept),
    LEAD: (Order, _lead),
    DISTRIBUTE: (Order, _distribute),
    AGGREGATE: (Pile, _aggregate),
}
