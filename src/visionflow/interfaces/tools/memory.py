"""Tools for memory that agents and clients share: memory_store, memory_retrieve, memory_search.

It is durable, in the fleet's log; what is kept how long is decided there.
"""

from typing import Annotated, Any

from visionflow.domain.access import MEMBERS, READERS
from visionflow.domain.errors import Refused, UsageError
from visionflow.domain.fleet import STORE
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.forms import about, form, number_in
from visionflow.interfaces.tools.moments import iso, iso_or_none
from visionflow.interfaces.tools.recording import command_id, record_refusal
from visionflow.interfaces.tools.tasks import CURSOR, checked_limit
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool

DEFAULT = "default"
PAGE_BYTES_MAX = 1_048_576
"""Of the values of one page."""


class StoreArguments(Arguments, frozen=True, kw_only=True):
    key: str
    value: Annotated[Any, about("Any JSON.")]
    namespace: str = DEFAULT
    ttl: Annotated[int | None, form("seconds", "It is forgotten after so many seconds.")] = None


class RetrieveArguments(Arguments, frozen=True, kw_only=True):
    key: str
    namespace: str = DEFAULT


class SearchArguments(Arguments, frozen=True, kw_only=True):
    query: Annotated[str, about("Beginnings of words in keys and values; all must be there.")] = ""
    namespace: Annotated[str | None, about("All, where none is given.")] = None
    limit: Annotated[int, about("1 to 1000.")] = 50
    cursor: Annotated[str | None, about(CURSOR)] = None


class Stored(Result, frozen=True, kw_only=True):
    namespace: str
    key: str
    size_bytes: Annotated[int, about("Of the value as it is stored, not of its JSON.")]
    stored_at: str
    expires_at: str | None


class Retrieved(Result, frozen=True, kw_only=True):
    namespace: str
    key: str
    found: bool
    value: Any
    size_bytes: int | None
    stored_at: str | None
    stored_by: str | None
    expires_at: str | None


class Found(Result, frozen=True, kw_only=True):
    namespace: str
    key: str
    value: Annotated[Any, about("Null when it is in `leftOut`: retrieve it.")]
    size_bytes: int
    stored_at: str
    expires_at: str | None


class Searched(Result, frozen=True, kw_only=True):
    entries: list[Found]
    left_out: Annotated[list[str], about("namespace/key of values that are left out.")]
    next_cursor: str | None


class MemoryTools:
    """The tools of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._under_way: dict[str, int] = {}
        """How many values of each client are on their way to the disk."""

    async def store(self, call: Call, given: StoreArguments) -> Stored:
        """Keep a value, in the place of an earlier one."""
        if given.ttl is not None and given.ttl <= 0:
            raise UsageError("ttl is 0; it is above 0.", hint="Leave it out to keep the value.")
        caller, command = call.caller, command_id(call, STORE)
        under_way, client = self._under_way, caller.client
        offered = False

        def on_offered() -> None:
            # The client's next request may be looked at: many values share one commit.
            nonlocal offered
            offered = True
            under_way[client] = under_way.get(client, 0) + 1
            call.took_effect()

        try:
            # One record holds the value and the call, and is decided on wherever the caller is.
            kept = await self._server.fleet.store_memory(
                given.namespace,
                given.key,
                given.value,
                ttl_ms=given.ttl,
                by=caller.name,
                command=command,
                role=caller.role,
                face=caller.face,
                offered=on_offered,
            )
        except Refused as error:
            subject = f"{given.namespace}/{given.key}"
            await record_refusal(self._server, call, STORE, error, subject, command=command)
            raise
        finally:
            if offered:
                self._arrived(client)
        return Stored(
            namespace=kept.namespace,
            key=kept.key,
            size_bytes=kept.size_bytes,
            stored_at=iso(kept.stored_ms),
            expires_at=iso_or_none(kept.expires_ms),
        )

    def _arrived(self, client: str) -> None:
        left = self._under_way[client] - 1
        if left:
            self._under_way[client] = left
        else:
            del self._under_way[client]

    async def _own_seen(self, call: Call) -> None:
        """A client reads what it stored before, also where it did not wait for the answer."""
        if call.caller.client in self._under_way:
            await self._server.fleet.quiet()

    async def retrieve(self, call: Call, given: RetrieveArguments) -> Retrieved:
        """The value under a key, or that there is none."""
        await self._own_seen(call)
        row = await self._server.fleet.memory(given.namespace, given.key)
        return Retrieved(
            namespace=given.namespace,
            key=given.key,
            found=row is not None,
            value=None if row is None else row.value,
            size_bytes=None if row is None else row.size_bytes,
            stored_at=None if row is None else iso(row.stored_ms),
            stored_by=None if row is None else row.by,
            expires_at=None if row is None else iso_or_none(row.expires_ms),
        )

    async def search(self, call: Call, given: SearchArguments) -> Searched:
        """A page of keys, in the order of namespace and key."""
        limit = checked_limit(given.limit)
        await self._own_seen(call)
        rows = await self._server.fleet.search_memory(
            given.namespace, given.query, limit, _after(given.cursor)
        )
        last = rows[-1] if len(rows) == limit else None
        entries: list[Found] = []
        left_out: list[str] = []
        shown = 0
        for row in rows:
            too_large = row.is_large or shown + row.size_bytes > PAGE_BYTES_MAX
            if too_large:
                left_out.append(f"{row.namespace}/{row.key}")
            else:
                shown += row.size_bytes
            entries.append(
                Found(
                    namespace=row.namespace,
                    key=row.key,
                    value=None if too_large else row.value,
                    size_bytes=row.size_bytes,
                    stored_at=iso(row.stored_ms),
                    expires_at=iso_or_none(row.expires_ms),
                )
            )
        return Searched(
            entries=entries,
            left_out=left_out,
            next_cursor=None
            if last is None
            else f"{len(last.namespace)}:{last.namespace}{last.key}",
        )


def _after(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    digits, colon, rest = cursor.partition(":")
    length = number_in(digits)
    if not colon or length is None or length > len(rest):
        raise UsageError(f"cursor is {cursor[:60]!r}; it is the nextCursor of an earlier page.")
    return rest[:length], rest[length:]


def memory_tools(server: Server) -> list[AnyTool]:
    """memory_store, memory_retrieve and memory_search."""
    tools = MemoryTools(server)
    return [
        Tool(
            name=STORE,
            group="memory",
            summary="Keep a JSON value under a key, durably, for agents and clients.",
            arguments=StoreArguments,
            result=Stored,
            roles=MEMBERS,
            run=tools.store,
            example={"key": "decision", "value": {"db": "sqlite"}, "ttl": "1h"},
            positional=("key", "value"),
        ),
        Tool(
            name="memory_retrieve",
            group="memory",
            summary="The value under a key; `found` says whether there is one.",
            arguments=RetrieveArguments,
            result=Retrieved,
            roles=READERS,
            run=tools.retrieve,
            example={"key": "decision"},
            positional=("key",),
            reads=True,
        ),
        Tool(
            name="memory_search",
            group="memory",
            summary="Keys whose name or value has all the words of a query, by pages.",
            arguments=SearchArguments,
            result=Searched,
            roles=READERS,
            run=tools.search,
            example={"query": "sqlite"},
            positional=("query",),
            reads=True,
        ),
    ]
