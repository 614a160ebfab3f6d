"""The tool task_queue_clear: ends tasks that meet a filter, tells which, and takes it back.

What was cleared is on record: each task is cancelled with the clear's id in its reason, so what a
clear did is read from the log, and an undo queues the same tasks again. What an undo cannot bring
back (a part of a plan, or a plan) is named before and after.
"""

import asyncio
import secrets
from hashlib import sha256
from typing import Annotated

import msgspec

from visionflow.domain import commands as c
from visionflow.domain.access import ADMINS
from visionflow.domain.errors import Refused, UnknownId, UsageError
from visionflow.domain.ids import make_id
from visionflow.domain.tasks import TaskStatus
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.filtering import Filter, parse_filter
from visionflow.interfaces.tools.finding import open_swarm
from visionflow.interfaces.tools.forms import about
from visionflow.interfaces.tools.locating import agent_named
from visionflow.interfaces.tools.recording import command_id, once, recorded
from visionflow.interfaces.tools.stuck import Stuck
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.ports.views import TaskFilter, TaskRow
from visionflow.runtime.swarms import LiveSwarm

CLEAR_MAX = 1_000
"""Tasks of one clear: so many ended ones the state keeps, so that they can come back."""
LISTED_MAX = 200
TOOL = "task_queue_clear"


class ClearArguments(Arguments, frozen=True, kw_only=True):
    swarm_id: str | None = None
    filter: Annotated[
        str,
        about(
            "key:value terms that must all hold: status (or stuck), age (seconds, as >3600), "
            "priority, type, agent, capability; a|b for either."
        ),
    ] = ""
    all: Annotated[bool, about("Without a filter: all that waits.")] = False
    dry_run: Annotated[bool, about("Only tell what would be cleared.")] = False
    undo: Annotated[str | None, about("clearId of a clear to take back.")] = None


class ClearedTask(Result, frozen=True, kw_only=True):
    task_id: str
    status: Annotated[str, about("Before it was cleared.")]
    undoable: bool


class NotRestored(Result, frozen=True, kw_only=True):
    task_id: str
    reason: str


class ClearResult(Result, frozen=True, kw_only=True):
    swarm_id: str
    clear_id: str | None
    dry_run: bool
    cleared: int
    tasks: Annotated[list[ClearedTask], about(f"At most {LISTED_MAX} of them.")]
    more: Annotated[bool, about(f"Others meet the filter: one clear takes {CLEAR_MAX}.")]
    restored: list[str]
    not_restored: list[NotRestored]


class Cleared(msgspec.Struct, frozen=True):
    """What one clear ended, as its reason tells."""

    row: TaskRow
    before: str


class ClearTool:
    """The tool of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def clear(self, call: Call, given: ClearArguments) -> ClearResult:
        """Clear, tell what would be cleared, or take a clear back."""
        if given.undo is not None:
            if given.filter or given.all or given.dry_run:
                raise UsageError("undo stands alone.", hint="Leave filter, all and dryRun out.")
            return await self._undo(call, given.undo, given.swarm_id)
        if not given.filter.strip(" ,") and not given.all:
            raise UsageError(
                "Nothing is cleared without a filter.",
                hint='Give one, such as "status:stuck,age:>3600", or all: true.',
            )
        swarm = open_swarm(self._server, call, given.swarm_id)
        wanted = parse_filter(given.filter, lambda word: agent_named(swarm, word))
        if given.dry_run:
            rows, more = await self._matching(swarm, wanted)
            found = [Cleared(row, row.status) for row in rows]
            return _told(swarm, None, found, more=more, dry_run=True)
        command = command_id(call, TOOL)
        clear = _clear_id(swarm, command)

        async def make() -> bool:
            if command is not None and await _of_clear(swarm, clear):
                return False  # This call was made before: it is done once.
            rows, more = await self._matching(swarm, wanted)
            await _cancel(swarm, rows, clear)
            return more

        more = await recorded(
            self._server, call, TOOL, make, swarm=swarm, subject=clear, command=command
        )
        return _told(swarm, clear, await _of_clear(swarm, clear), more=more)

    async def _matching(self, swarm: LiveSwarm, wanted: Filter) -> tuple[list[TaskRow], bool]:
        """Tasks that meet a filter, oldest first, and whether there are more of them."""
        await swarm.settled()
        stuck = Stuck(swarm, self._server.settings.agent_timeout_ms)
        found: list[TaskRow] = []
        now_ms = swarm.now_ms
        looked = TaskFilter(statuses=wanted.statuses)
        page = await swarm.read(lambda queries: queries.tasks(wanted=looked))
        while page:
            for row in page:
                if not wanted.holds(row, now_ms):
                    continue
                if wanted.stuck and not await stuck.is_so(row, now_ms):
                    continue
                if len(found) == CLEAR_MAX:
                    return found, True
                found.append(row)
            last = page[-1]
            page = await swarm.read(
                lambda queries, last=last: queries.tasks(after=last, wanted=looked)
            )
        return found, False

    async def _undo(self, call: Call, clear: str, swarm: str | None) -> ClearResult:
        """Queue again what a clear ended; once for a key."""
        command = command_id(call, TOOL, "undo")
        if command is None:
            return await self._undo_now(call, clear, swarm, None)
        told, _ = await once(
            self._server, f"{command}/all", lambda: self._undo_once(call, clear, swarm, command)
        )
        return told

    async def _undo_once(
        self, call: Call, clear: str, swarm: str | None, command: str
    ) -> ClearResult:
        before = await self._undone(command)
        if before is None:
            return await self._undo_now(call, clear, swarm, command)
        place, restored = before
        # What could not be queued again then may be by now.
        left = await _of_clear(place, clear)
        failed = await asyncio.gather(*(_restore(place, each, command) for each in left))
        again = [each.row.id for each, fault in zip(left, failed, strict=True) if fault is None]
        faults = [fault for fault in failed if fault is not None]
        return _undo_told(place, clear, [*restored, *again], faults)

    async def _undo_now(
        self, call: Call, clear: str, swarm: str | None, command: str | None
    ) -> ClearResult:
        place, cleared = await self._place(call, clear, swarm)

        async def make() -> list[NotRestored | None]:
            return await asyncio.gather(*(_restore(place, each, command) for each in cleared))

        failed = await recorded(
            self._server, call, TOOL, make, swarm=place, subject=clear, command=command
        )
        return _undo_told(
            place,
            clear,
            [each.row.id for each, fault in zip(cleared, failed, strict=True) if fault is None],
            [fault for fault in failed if fault is not None],
        )

    async def _undone(self, command: str) -> tuple[LiveSwarm, list[str]] | None:
        """Where a call of this key was made before, and what it queued again."""
        begins = f"{command}/"
        for swarm in self._server.swarms.all():
            await swarm.settled()
            restored = [
                name[len(begins) :].partition("/")[0]
                for name, answer in swarm.state.answers.items()
                if name.startswith(begins) and answer.code is None
            ]
            if restored:
                return swarm, restored
        return None

    async def _place(
        self, call: Call, clear: str, swarm: str | None
    ) -> tuple[LiveSwarm, list[Cleared]]:
        looked = (
            list(reversed(self._server.swarms.all()))
            if swarm is None
            else [open_swarm(self._server, call, swarm)]
        )
        for each in looked:
            found = await _of_clear(each, clear)
            if found:
                return each, found
        raise UnknownId(
            f"No task is cancelled by a clear {clear[:100]!r}.",
            hint="Give the clearId of its reply. What was taken back already is not listed again.",
        )


def _clear_id(swarm: LiveSwarm, command: str | None) -> str:
    """A fresh id; of a call with a key always the same, so that a retry finds what it did."""
    if command is None:
        return make_id("clear", swarm.now_ms, secrets.randbits(64))
    return f"clear_{sha256(f'{swarm.id}/{command}'.encode()).hexdigest()[:24]}"


def _begins(clear: str) -> str:
    return f"cleared by {clear}: "


async def _of_clear(swarm: LiveSwarm, clear: str) -> list[Cleared]:
    """What a clear ended, or is ending, and has not been queued again."""
    await swarm.settled()
    begins = _begins(clear)
    wanted = TaskFilter(statuses=(TaskStatus.CANCELLED,), reason_begins=begins)
    found: list[Cleared] = []
    page = await swarm.read(lambda queries: queries.tasks(wanted=wanted))
    while page:
        found += [Cleared(row, _before(row.reason or "", begins)) for row in page]
        last = page[-1]
        page = await swarm.read(lambda queries, last=last: queries.tasks(after=last, wanted=wanted))
    ending = [
        (name, task.cancelling)
        for name, task in swarm.state.tasks.items()
        if task.cancelling is not None and task.cancelling.startswith(begins)
    ]
    for name, reason in ending:
        row = await swarm.read(lambda queries, name=name: queries.task(name))
        found.append(Cleared(row, _before(reason, begins)))
    return found


def _before(reason: str, begins: str) -> str:
    return reason[len(begins) :].partition(" ")[2].partition(";")[0]


async def _cancel(swarm: LiveSwarm, rows: list[TaskRow], clear: str) -> None:
    """End these tasks; one that has ended meanwhile stays as it is."""

    async def one(row: TaskRow) -> None:
        kept = f"; {row.reason}" if row.status == TaskStatus.BLOCKED and row.reason else ""
        reason = f"{_begins(clear)}was {row.status}{kept}"
        try:
            await swarm.ask(c.CancelTask(now_ms=swarm.now_ms, task=row.id, reason=reason))
        except Refused as error:
            if error.reason not in ("already_ended", "unknown_task", "unknown_id"):
                raise

    # Parts first: the end of a plan ends them too, for another reason.
    await asyncio.gather(*(one(row) for row in rows if row.parent is not None))
    await asyncio.gather(*(one(row) for row in rows if row.parent is None))


async def _restore(swarm: LiveSwarm, each: Cleared, command: str | None) -> NotRestored | None:
    """Queue a task again; why it could not be, if so."""
    name = each.row.id
    known = None if command is None else f"{command}/{name}"
    missing = None
    if each.before == TaskStatus.BLOCKED:
        missing = (each.row.reason or "").partition("; ")[2] or "it was blocked before"
    try:
        await swarm.ask(c.RetryTask(now_ms=swarm.now_ms, command=known, task=name, blocked=missing))
    except Refused as error:
        return NotRestored(task_id=name, reason=error.message)
    return None


def _undoable(row: TaskRow) -> bool:
    return row.parent is None and not row.phases


def _told(
    swarm: LiveSwarm,
    clear: str | None,
    found: list[Cleared],
    *,
    more: bool,
    dry_run: bool = False,
) -> ClearResult:
    return ClearResult(
        swarm_id=swarm.id,
        clear_id=clear,
        dry_run=dry_run,
        cleared=len(found),
        tasks=[
            ClearedTask(task_id=each.row.id, status=each.before, undoable=_undoable(each.row))
            for each in found[:LISTED_MAX]
        ],
        more=more,
        restored=[],
        not_restored=[],
    )


def _undo_told(
    swarm: LiveSwarm, clear: str | None, restored: list[str], failed: list[NotRestored]
) -> ClearResult:
    return ClearResult(
        swarm_id=swarm.id,
        clear_id=clear,
        dry_run=False,
        cleared=0,
        tasks=[],
        more=False,
        restored=restored,
        not_restored=failed,
    )


def clearing_tools(server: Server) -> list[AnyTool]:
    """task_queue_clear."""
    return [
        Tool(
            name=TOOL,
            group="tasks",
            summary="Cancel tasks that meet a filter; undo brings them back. For admins.",
            arguments=ClearArguments,
            result=ClearResult,
            roles=ADMINS,
            run=ClearTool(server).clear,
            example={"filter": "status:stuck,age:>3600", "dryRun": True},
        )
    ]
