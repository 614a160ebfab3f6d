"""Tools that tell what happened and what this server is: events, server_info."""

import asyncio
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, cast, get_args

import msgspec

from visionflow.agents import ROLES
from visionflow.domain.access import READERS
from visionflow.domain.errors import BlobMissing, UsageError
from visionflow.domain.events import AnyEvent
from visionflow.domain.limits import (
    MEMORY_KEYS_MAX,
    MEMORY_VALUE_BYTES_MAX,
    SWARMS_MAX,
)
from visionflow.domain.secrecy import without_secrets
from visionflow.domain.swarms import Strategy, Topology
from visionflow.domain.tasks import Payload, Priority
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.coders import OF_RUNS
from visionflow.interfaces.tools.finding import readable_swarm
from visionflow.interfaces.tools.forms import about, form, number_in
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.tasks import CURSOR, checked_limit
from visionflow.interfaces.tools.tool import AnyTool, Call, Registry, Tool
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import unpack
from visionflow.runtime.queries import EventPage, EventRow

PROTOCOLS = ("2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Versions of MCP that are spoken here, the newest first."""
ROLES_PLACE = "visionflow.agents"
SEQ_MAX = 10**18
VALUE_BYTES_MAX = 4_096
"""A value in an event that is larger is told by its size."""
KINDS: dict[str, type[AnyEvent]] = {
    cast("str", kind.__struct_config__.tag): kind
    for kind in cast("tuple[type[AnyEvent], ...]", get_args(AnyEvent))
}
"""Kinds of events by the words for them."""


class EventsArguments(Arguments, frozen=True, kw_only=True):
    swarm_id: str | None = None
    since: Annotated[int, about("Only what came after the record of this seq.")] = 0
    types: Annotated[tuple[str, ...], form("words", "Only these, such as task_completed.")] = ()
    limit: Annotated[int, about("1 to 1000.")] = 100
    cursor: Annotated[str | None, about(CURSOR)] = None


class EventShown(Result, frozen=True, kw_only=True):
    seq: Annotated[int, about("Of its record in the log; a record has one or more events.")]
    index: int
    at: str
    type: str
    fields: dict[str, Any]


class Events(Result, frozen=True, kw_only=True):
    swarm_id: str
    events: list[EventShown]
    head: Annotated[int, about("The last record there is: the next `since`.")]
    next_cursor: str | None


class InfoArguments(Arguments, frozen=True, kw_only=True):
    pass


class SettingShown(Result, frozen=True, kw_only=True):
    value: Any
    origin: Annotated[str | None, about("default, a flag, environment NAME, or FILE:LINE.")]


class Info(Result, frozen=True, kw_only=True):
    name: str
    version: str
    protocol_versions: list[str]
    ready: bool
    started_at: str
    uptime_seconds: float
    endpoints: dict[str, str]
    tools: list[str]
    later: Annotated[dict[str, str], about("Tools to come, and what they wait for.")]
    agent_types: list[str]
    task_types: Annotated[dict[str, list[str]], about("By the agent type that does them.")]
    coding_agents: Annotated[list[str], about("Allowed as config.profile or config.command.")]
    topologies: list[str]
    strategies: list[str]
    priorities: dict[str, int]
    event_types: list[str]
    usage: Annotated[dict[str, int], about("How many there are of what is limited.")]
    limits: dict[str, float]
    settings: dict[str, SettingShown]


def _tasks_in(page: EventPage) -> list[str]:
    """The tasks that a page tells of; a vote is named after the run that holds it."""
    named = (
        getattr(row.event, "task", None) or getattr(row.event, "vote", None) for row in page.events
    )
    return list(dict.fromkeys(name for name in named if name is not None))


class ObservingTools:
    """The tools of one server."""

    def __init__(self, server: Server, registry: Callable[[], Registry]) -> None:
        """`registry` is asked when somebody calls, since it is made of these tools too."""
        self._server = server
        self._registry = registry
        self._facts: tuple[str, dict[str, list[str]]] | None = None

    async def events(self, call: Call, given: EventsArguments) -> Events:
        """A page of a swarm's log."""
        swarm = readable_swarm(self._server, call, given.swarm_id)
        kinds, after = kinds_of(given.types), _after(given.cursor, given.since)
        limit, blobs = checked_limit(given.limit), swarm.blobs

        def read_and_show(page: EventPage) -> list[EventShown]:
            return [shown(row, blobs) for row in page.events]

        page, events = await swarm.read(
            lambda queries: (
                found := queries.events(after, limit, kinds),
                read_and_show(found),
            )
        )
        events = await self._server.jobs.veiled(_tasks_in(page), events)
        return Events(
            swarm_id=swarm.id,
            events=events,
            head=page.head,
            next_cursor="{}.{}".format(*page.after) if page.more else None,
        )

    async def info(self, call: Call, given: InfoArguments) -> Info:
        """What this server is, can do, and is bounded by."""
        del given
        server, registry = self._server, self._registry()
        own_version, types = await self._facts_once()
        settings, swarms = server.settings, server.swarms.all()
        for swarm in swarms:
            call.saw(swarm)
        return Info(
            name="visionflow",
            version=own_version,
            protocol_versions=list(PROTOCOLS),
            ready=server.ready,
            started_at=iso(server.started_ms),
            uptime_seconds=(server.now_ms() - server.started_ms) / 1_000,
            endpoints=dict(server.endpoints),
            tools=list(registry.tools),
            later=dict(registry.later),
            agent_types=list(server.templates.templates),
            task_types=types,
            coding_agents=list(settings.coding_agents),
            topologies=[word.value for word in Topology],
            strategies=[word.value for word in Strategy],
            priorities={word.name.lower(): word.value for word in Priority},
            event_types=list(KINDS),
            usage={
                "agents": server.swarms.agents,
                "swarms": len(swarms),
                "connections": server.connections.total,
            },
            limits={
                "agents": settings.agents_max,
                "swarms": SWARMS_MAX,
                "connections": settings.connections_max,
                "attemptSeconds": settings.agent_timeout_ms / 1_000,
                "callsPerSecond": settings.calls_per_second,
                "callsAtOnce": settings.calls_at_once,
                "frameBytes": settings.frame_bytes_max,
                "depth": settings.depth_max,
                "memoryKeys": MEMORY_KEYS_MAX,
                "memoryValueBytes": MEMORY_VALUE_BYTES_MAX,
            },
            settings=shown_settings(server),
        )

    async def _facts_once(self) -> tuple[str, dict[str, list[str]]]:
        """The version, and the types of task: found out in a thread, once."""
        found = self._facts
        if found is None:
            loop = asyncio.get_running_loop()
            self._facts = found = await loop.run_in_executor(None, _facts, self._server)
        return found


def kinds_of(words: tuple[str, ...]) -> tuple[type[AnyEvent], ...]:
    """The kinds of events of these words.

    Raises:
        UsageError: one is none.
    """
    for word in words:
        if word not in KINDS:
            raise UsageError(f"{word[:60]!r} is no type of event.", hint=", ".join(KINDS) + ".")
    return tuple(KINDS[word] for word in words)


def _after(cursor: str | None, since: int) -> tuple[int, int]:
    if cursor is None:
        if not 0 <= since <= SEQ_MAX:
            raise UsageError(f"since is {since}; it is 0 or the seq of a record.")
        return since, -1
    digits, dot, place = cursor.partition(".")
    seq, index = number_in(digits), -1 if place == "-1" else number_in(place)
    if not dot or seq is None or index is None:
        raise UsageError(f"cursor is {cursor[:60]!r}; it is the nextCursor of an earlier page.")
    return seq, index


def shown(row: EventRow, blobs: Blobs) -> EventShown:
    """An event as a page tells it."""
    return EventShown(
        seq=row.seq,
        index=row.index,
        at=iso(row.at_ms),
        type=cast("str", row.event.__struct_config__.tag),
        fields=_fields(row.event, blobs),
    )


def _fields(value: msgspec.Struct, blobs: Blobs) -> dict[str, Any]:
    """Those that differ from what is understood without being said."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(type(value)):
        held: object = getattr(value, field.name)
        made: object = field.default_factory
        default = made() if callable(made) else field.default
        if field.required or held != default:
            found[field.name] = _plain(held, blobs)
    return found


def _plain(value: object, blobs: Blobs) -> Any:
    if isinstance(value, Payload):
        return _value(value, blobs)
    if isinstance(value, msgspec.Struct):
        return _fields(value, blobs)
    if isinstance(value, (list, tuple)):
        return [_plain(each, blobs) for each in cast("tuple[object, ...]", value)]
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key): _plain(each, blobs) for key, each in items}
    return msgspec.to_builtins(value)


def _value(payload: Payload, blobs: Blobs) -> Any:
    """A value; of one that is large or in a blob, where it is."""
    if payload.blob is not None:
        return {"blob": payload.blob}
    if payload.inline is not None and len(payload.inline) > VALUE_BYTES_MAX:
        return {"bytes": len(payload.inline)}
    try:
        return without_secrets(msgspec.to_builtins(unpack(payload, blobs), str_keys=True))
    except (msgspec.DecodeError, TypeError, BlobMissing):
        return {"bytes": len(payload.inline or b"")}


def shown_settings(server: Server) -> dict[str, SettingShown]:
    """Each setting by its key in a file; none of them is a secret."""
    from visionflow.settings.origins import SETTINGS, Resolved

    resolved = Resolved(server.settings, server.origins, "", False)
    return {
        each.key: SettingShown(value=resolved.shown(each), origin=server.origins.get(each.key))
        for each in SETTINGS
    }


def _facts(server: Server) -> tuple[str, dict[str, list[str]]]:
    return version("visionflow"), task_types(server)


def task_types(server: Server) -> dict[str, list[str]]:
    """The types of task that each agent type knows, where its class says so. It may import them."""
    found: dict[str, list[str]] = {}
    roles = import_module(ROLES_PLACE)
    for name, template in server.templates.templates.items():
        place, _, kind = template.class_path.rpartition(":")
        if place == ROLES_PLACE and kind in ROLES:
            home = import_module(cast("type", getattr(roles, kind)).__module__)
            kinds = cast("tuple[str, ...]", home.TASK_TYPES)
            found[name] = [kind for kind in kinds if kind not in OF_RUNS]
    return found


def observing_tools(server: Server, registry: Callable[[], Registry]) -> list[AnyTool]:
    """events and server_info."""
    tools = ObservingTools(server, registry)
    return [
        Tool(
            name="events",
            group="observation",
            summary="What happened in a swarm, by pages of its log.",
            arguments=EventsArguments,
            result=Events,
            roles=READERS,
            run=tools.events,
            example={"since": 0, "types": ["task_completed", "task_failed"]},
            reads=True,
        ),
        Tool(
            name="server_info",
            group="observation",
            summary="What this server is and can do: tools, types, limits, settings.",
            arguments=InfoArguments,
            result=Info,
            roles=READERS,
            run=tools.info,
            example={},
            reads=True,
        ),
    ]
