"""Tools about outside effects: effects lists them, effect_resolve says what became of one in
doubt."""

import asyncio
from typing import Annotated, Any, Literal

from visionflow.domain.access import OPERATORS, READERS
from visionflow.domain.errors import UnknownId, UsageError
from visionflow.domain.tasks import Payload
from visionflow.engine.decide.outside import waiting_for
from visionflow.interfaces.outside import resolving, statuses_in
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.finding import open_swarm, readable_swarm
from visionflow.interfaces.tools.forms import about, form, number_in
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.recording import command_id, recorded
from visionflow.interfaces.tools.tasks import CURSOR, checked_limit
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.ports.views import EffectFilter, EffectRow
from visionflow.runtime.ended import AnySwarm
from visionflow.runtime.intake import sound, unpack
from visionflow.runtime.queries import Queries
from visionflow.runtime.swarms import LiveSwarm

EXAMPLE = "task_1757967065850_abc123xyz/send#1:9fe45101352499c7"
Resolving = Literal["done", "not_done", "abandoned"]


class EffectsArguments(Arguments, frozen=True, kw_only=True):
    swarm_id: str | None = None
    status: Annotated[tuple[str, ...], form("words", "Any of these, such as in_doubt.")] = ()
    task_id: str | None = None
    key: Annotated[str | None, about("This one, with its result.")] = None
    limit: Annotated[int, about("1 to 1000.")] = 100
    cursor: Annotated[str | None, about(CURSOR)] = None


class ResolveArguments(Arguments, frozen=True, kw_only=True):
    key: str
    resolution: Annotated[
        Resolving, about("not_done: it is carried out; abandoned: its tasks fail.")
    ]
    note: Annotated[str, about("How you know.")]
    result: Annotated[Any, about("Of one that was done: what it returned.")] = None
    swarm_id: str | None = None


class EffectShown(Result, frozen=True, kw_only=True):
    key: str
    name: str
    effect_class: str
    status: str
    task_id: str
    attempt: int
    request: str
    reason: str | None
    resolution: str | None
    by: str | None
    note: str | None
    result: Any
    reserved_at: str
    changed_at: str


class Listed(Result, frozen=True, kw_only=True):
    swarm_id: str
    effects: list[EffectShown]
    next_cursor: str | None


class Resolved(Result, frozen=True, kw_only=True):
    swarm_id: str
    key: str
    status: str
    resolution: str | None
    tasks: Annotated[list[str], about("That waited for it.")]


class EffectTools:
    """The tools of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def listed(self, call: Call, given: EffectsArguments) -> Listed:
        """A page of effects in the order of their reservation."""
        swarm = readable_swarm(self._server, call, given.swarm_id)
        limit, after = checked_limit(given.limit), _after(given.cursor)
        statuses = statuses_in(given.status)
        key, wanted = given.key, EffectFilter(statuses=statuses, task=given.task_id)
        await swarm.settled()

        def look(queries: Queries) -> list[EffectRow]:
            return queries.effects(wanted, after, limit) if key is None else [queries.effect(key)]

        rows = await swarm.read(look)
        shown = await self._shown(swarm, rows, whole=key is not None)
        call.saw(swarm)
        last = rows[-1] if key is None and len(rows) == limit else None
        return Listed(
            swarm_id=swarm.id,
            effects=shown,
            next_cursor=None if last is None else f"{last.reserved_ms}-{last.key}",
        )

    async def resolve(self, call: Call, given: ResolveArguments) -> Resolved:
        """Say what became of an effect in doubt."""
        swarm = self._place(call, given.key, given.swarm_id)
        command = command_id(call, "effect_resolve")
        loop = asyncio.get_running_loop()
        make = await loop.run_in_executor(
            None,
            lambda: resolving(
                given.key,
                given.resolution,
                given.note,
                given.result,
                call.caller.name,
                swarm.blobs,
            ),
        )
        asked = sound(make(swarm.now_ms, command))
        waiting: list[str] = []

        async def change() -> None:
            waiting.extend(waiting_for(swarm.state, given.key))
            await swarm.ask(asked)

        await recorded(
            self._server,
            call,
            "effect_resolve",
            change,
            swarm=swarm,
            subject=given.key,
            command=command,
        )
        row = await swarm.read(lambda queries: queries.effect(given.key))
        call.saw(swarm)
        return Resolved(
            swarm_id=swarm.id,
            key=row.key,
            status=row.status,
            resolution=row.resolution,
            tasks=waiting,
        )

    def _place(self, call: Call, key: str, given: str | None) -> LiveSwarm:
        """The living swarm that has this effect.

        Raises:
            UnknownSwarm: there is none of this id, or it is over.
            UnknownId: none has such an effect.
        """
        if given is not None:
            return open_swarm(self._server, call, given)
        for swarm in self._server.swarms.all():
            if key in swarm.state.outside.effects:
                return swarm
        raise UnknownId(
            f"No swarm that is not over has an effect {key[:200]!r}.",
            code="unknown_effect",
            hint="effects lists those of a swarm.",
        )

    async def _shown(
        self, swarm: AnySwarm, rows: list[EffectRow], *, whole: bool
    ) -> list[EffectShown]:
        def read() -> list[EffectShown]:
            return [_shown(row, _result(swarm, row) if whole else None) for row in rows]

        shown = await asyncio.get_running_loop().run_in_executor(None, read)
        tasks = list(dict.fromkeys(row.task for row in rows))
        return await self._server.jobs.veiled(tasks, shown, at_once=True)


def _result(swarm: AnySwarm, row: EffectRow) -> Any:
    return unpack(Payload(inline=row.result, blob=row.result_blob), swarm.blobs)


def _shown(row: EffectRow, result: Any) -> EffectShown:
    return EffectShown(
        key=row.key,
        name=row.name,
        effect_class=row.kind,
        status=row.status,
        task_id=row.task,
        attempt=row.attempt,
        request=row.request,
        reason=row.reason,
        resolution=row.resolution,
        by=row.by,
        note=row.note,
        result=result,
        reserved_at=iso(row.reserved_ms),
        changed_at=iso(row.changed_ms),
    )


def _after(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return -1, ""
    digits, dash, key = cursor.partition("-")
    at_ms = number_in(digits)
    if not dash or at_ms is None:
        raise UsageError(f"cursor is {cursor[:60]!r}; it is the nextCursor of an earlier page.")
    return at_ms, key


def effect_tools(server: Server) -> list[AnyTool]:
    """effects and effect_resolve."""
    tools = EffectTools(server)
    return [
        Tool(
            name="effects",
            group="tasks",
            summary="What agents did to the world outside, and what of it is in doubt.",
            arguments=EffectsArguments,
            result=Listed,
            roles=READERS,
            run=tools.listed,
            example={"status": ["in_doubt"]},
            reads=True,
        ),
        Tool(
            name="effect_resolve",
            group="tasks",
            summary="Say what became of an effect in doubt; what waits for it goes on, or fails.",
            arguments=ResolveArguments,
            result=Resolved,
            roles=OPERATORS,
            run=tools.resolve,
            example={
                "key": EXAMPLE,
                "resolution": "not_done",
                "note": "The bank has no such order",
            },
            positional=("key", "resolution"),
        ),
    ]
