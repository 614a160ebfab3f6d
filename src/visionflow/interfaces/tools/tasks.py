"""Tools about single tasks and lists of them: task_status, task_list, task_cancel, task_retry."""

from collections.abc import Awaitable
from typing import Annotated

from visionflow.domain import commands as c
from visionflow.domain.access import OPERATORS, READERS
from visionflow.domain.errors import Refused, UnknownTask, UsageError
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.able import crowded
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import readable_swarm
from visionflow.interfaces.tools.forms import about, form, number_in
from visionflow.interfaces.tools.locating import (
    agent_in,
    live_place_of,
    living,
    parts_of,
    place_of,
    places,
    story_of,
)
from visionflow.interfaces.tools.moments import iso, iso_or_none
from visionflow.interfaces.tools.piped import report_for, took
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.standing import TaskStanding, row_of, standing, why
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.ports.views import TaskFilter, TaskRow
from visionflow.runtime.ended import AnySwarm
from visionflow.runtime.intake import sound
from visionflow.runtime.swarms import LiveSwarm

DESCRIPTION_CHARS = 200
"""Of a task's text in a list; task_status has all of it."""
LIMIT_MAX = 1_000
CURSOR = "nextCursor of the page before."
EXAMPLE = "task_1757967065850_abc123xyz"


class TaskArguments(Arguments, frozen=True, kw_only=True):
    task_id: str
    swarm_id: Annotated[str | None, about("Where to look; all swarms otherwise.")] = None


class CancelArguments(TaskArguments, frozen=True, kw_only=True):
    reason: str = "cancelled on request"


class ListArguments(Arguments, frozen=True, kw_only=True):
    swarm_id: str | None = None
    status: Annotated[tuple[str, ...], form("words", "Any of these.")] = ()
    agent_id: Annotated[str | None, about("Id or name: what it holds, held, or alone may.")] = None
    parent: Annotated[str | None, about("Parts of this plan.")] = None
    type: str | None = None
    limit: Annotated[int, about("1 to 1000.")] = 100
    cursor: Annotated[str | None, about(CURSOR)] = None


class TaskShown(Result, frozen=True, kw_only=True):
    task_id: str
    status: str
    reason: str | None
    type: str
    description: Annotated[str, about(f"At most {DESCRIPTION_CHARS} characters of it.")]
    priority: int
    agent_id: str | None
    parent: str | None
    phase: str | None
    attempt: int
    retry_at: Annotated[str | None, about("When it is tried again, where it waits for that.")]
    created_at: str
    ended_at: str | None


class Listed(Result, frozen=True, kw_only=True):
    swarm_id: str
    tasks: list[TaskShown]
    next_cursor: str | None


class Changed(Result, frozen=True, kw_only=True):
    task_id: str
    swarm_id: str
    status: str
    cancelling: Annotated[bool, about("Its worker was told to stop and has not yet.")]
    reason: str | None


class TaskTools:
    """The tools of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def status(self, call: Call, given: TaskArguments) -> TaskStanding | Awaitable[TaskStanding]:
        """Where a task stands: at once while no attempt was made, else with its attempts. What a
        plan tells of its parts may have to be veiled."""
        looked = places(self._server, call, given.swarm_id)
        found = living(looked, given.task_id)
        if found is None or found[1].attempt or found[1].plan is not None:
            return self._status(call, given)
        swarm, task = found
        call.saw(swarm)
        return standing(swarm, row_of(task), [], full=crowded(self._server.swarms))

    async def _status(self, call: Call, given: TaskArguments) -> TaskStanding:
        swarm = await place_of(self._server, call, given.task_id, given.swarm_id)
        row, attempts = await story_of(swarm, given.task_id)
        parts = await parts_of(swarm, row) if row.phases else None
        call.saw(swarm)
        duration = took(row, await report_for(swarm, row))
        found = standing(swarm, row, attempts, parts, crowded(self._server.swarms), duration)
        return await self._server.jobs.veiled([row.id], found, at_once=True)

    async def list(self, call: Call, given: ListArguments) -> Listed:
        """A page of tasks in the order of submission."""
        swarm = readable_swarm(self._server, call, given.swarm_id)
        agent = None if given.agent_id is None else await agent_in(swarm, given.agent_id)
        wanted = TaskFilter(
            statuses=statuses_in(given.status), agent=agent, parent=given.parent, type=given.type
        )
        limit, after = checked_limit(given.limit), _after(given.cursor)
        await swarm.settled()
        rows = await swarm.read(
            lambda queries: queries.tasks(after=after, limit=limit, wanted=wanted)
        )
        parts = [row.id for row in rows if row.parent is not None and row.reason]
        shown = [_shown(swarm, row, crowded(self._server.swarms)) for row in rows]
        shown = await self._server.jobs.veiled(parts, shown, at_once=True)
        call.saw(swarm)
        last = rows[-1] if len(rows) == limit else None
        return Listed(
            swarm_id=swarm.id,
            tasks=shown,
            next_cursor=None if last is None else f"{last.submitted_ms}-{last.id}",
        )

    async def cancel(self, call: Call, given: CancelArguments) -> Changed:
        """End a task, and its parts if it is a plan."""
        swarm = await live_place_of(self._server, call, given.task_id, given.swarm_id)
        command = command_id(call, "task_cancel")
        asked = c.CancelTask(
            now_ms=swarm.now_ms, command=command, task=given.task_id, reason=given.reason
        )
        return await self._change(call, "task_cancel", swarm, sound(asked))

    async def retry(self, call: Call, given: TaskArguments) -> Changed:
        """Queue an ended task again."""
        swarm = await live_place_of(self._server, call, given.task_id, given.swarm_id)
        command = command_id(call, "task_retry")
        asked = c.RetryTask(now_ms=swarm.now_ms, command=command, task=given.task_id)
        return await self._change(call, "task_retry", swarm, asked)

    async def _change(
        self, call: Call, tool: str, swarm: LiveSwarm, asked: c.CancelTask | c.RetryTask
    ) -> Changed:
        async def make() -> None:
            try:
                await swarm.ask(asked)
            except UnknownTask as error:
                row, _ = await story_of(swarm, asked.task)
                raise Refused(
                    f"Task {asked.task} is {row.status}, and ended so long ago that it cannot be "
                    "changed any more.",
                    code="already_ended",
                    hint="Orchestrate it anew.",
                    ids={"taskId": asked.task},
                ) from error

        await recorded(
            self._server,
            call,
            tool,
            make,
            swarm=swarm,
            subject=asked.task,
            command=asked.command,
        )
        # Before the look at the disk: by the time that comes back the task may have moved on.
        live = swarm.state.tasks.get(asked.task)
        cancelling = live is not None and live.cancelling is not None
        row, _ = await story_of(swarm, asked.task)
        call.saw(swarm)
        return Changed(
            task_id=row.id,
            swarm_id=swarm.id,
            status=row.status,
            cancelling=cancelling and row.status not in TERMINAL,
            reason=row.reason,
        )


def statuses_in(words: tuple[str, ...]) -> tuple[str, ...]:
    """These words as statuses of tasks.

    Raises:
        UsageError: one is none.
    """
    known = [status.value for status in TaskStatus]
    for word in words:
        if word not in known:
            raise UsageError(
                f"{word[:60]!r} is no status of a task.", hint=f"Allowed: {', '.join(known)}."
            )
    return words


def checked_limit(limit: int, most: int = LIMIT_MAX) -> int:
    """How many items a page may have.

    Raises:
        UsageError: it is out of bounds.
    """
    if not 1 <= limit <= most:
        raise UsageError(f"limit is {limit}; it is between 1 and {most}.")
    return limit


def _after(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    digits, dash, task = cursor.partition("-")
    at_ms = number_in(digits)
    if not dash or at_ms is None:
        raise UsageError(f"cursor is {cursor[:60]!r}; it is the nextCursor of an earlier page.")
    return at_ms, task


def _shown(swarm: AnySwarm, row: TaskRow, full: str | None) -> TaskShown:
    live = swarm.state.tasks.get(row.id)
    reason, retry_at_ms = row.reason, None
    if live is not None and live.status == row.status:
        reason, retry_at_ms = why(swarm.state, live, full), live.retry_at_ms
    return TaskShown(
        task_id=row.id,
        status=row.status,
        reason=reason,
        type=row.type,
        description=row.description[:DESCRIPTION_CHARS],
        priority=row.priority,
        agent_id=row.agent,
        parent=row.parent,
        phase=row.phase,
        attempt=row.attempt,
        retry_at=iso_or_none(retry_at_ms),
        created_at=iso(row.submitted_ms),
        ended_at=iso_or_none(row.ended_ms),
    )


def task_tools(server: Server) -> list[AnyTool]:
    """task_status, task_list, task_cancel and task_retry."""
    tools = TaskTools(server)
    return [
        Tool(
            name="task_status",
            group="tasks",
            summary="Where a task stands, how far it is, and each attempt at it.",
            arguments=TaskArguments,
            result=TaskStanding,
            roles=READERS,
            run=tools.status,
            example={"taskId": EXAMPLE},
            positional=("taskId",),
            reads=True,
        ),
        Tool(
            name="task_list",
            group="tasks",
            summary="Tasks of a swarm in the order of submission, filtered, by pages.",
            arguments=ListArguments,
            result=Listed,
            roles=READERS,
            run=tools.list,
            example={"status": ["queued", "running"], "limit": 50},
            reads=True,
        ),
        Tool(
            name="task_cancel",
            group="tasks",
            summary="End a task, and its parts if it is a plan; its worker is told to stop.",
            arguments=CancelArguments,
            result=Changed,
            roles=OPERATORS,
            run=tools.cancel,
            example={"taskId": EXAMPLE, "reason": "not needed any more"},
            positional=("taskId",),
        ),
        Tool(
            name="task_retry",
            group="tasks",
            summary="Queue a failed, cancelled or dead-lettered task again.",
            arguments=TaskArguments,
            result=Changed,
            roles=OPERATORS,
            run=tools.retry,
            example={"taskId": EXAMPLE},
            positional=("taskId",),
        ),
    ]
