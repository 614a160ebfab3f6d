"""Seeing how an agent is and mending it, from Python: of an embedded fleet, and of a server's.

Nothing is kept here: what is told is the fleet's own record, what is done are its own commands.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast

import msgspec

from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain.errors import UnknownAgent, UsageError
from visionflow.domain.sizes import memory_bytes
from visionflow.engine.state import AgentState
from visionflow.interfaces.client.calls import MCPClient
from visionflow.interfaces.faces import EmbeddedFace
from visionflow.runtime.intake import pack, unpack
from visionflow.worker.limits import machine_bytes

T = TypeVar("T")
ERRORS_MAX = 100
"""The latest ones of an agent; of a server's, those among so many of its swarm."""
WAIT_S = 60.0
LOOK_S = 0.1
UP = ("ready", "processing")


class Seen(msgspec.Struct, frozen=True):
    """An agent at one moment. What nobody has told is `None`."""

    agent: str
    status: str
    heartbeat_age_s: float | None
    probes: dict[str, bool]
    """Each way to find out whether its worker lives, and whether it was answered."""
    memory_bytes: int | None
    memory_limit_bytes: int | None
    tasks: list[str]


class Mending(Protocol):
    """What can be seen and done of a fleet's agents, by their ids."""

    async def agents(self) -> list[str]:
        """Those that are there or coming."""
        ...

    async def seen(self, agent: str) -> Seen:
        """How one is, asked just now."""
        ...

    async def errors(self, agent: str) -> list[dict[str, Any]]:
        """Its attempts that failed lately: type, message, task, at; the latest first."""
        ...

    async def config(self, agent: str) -> dict[str, Any]:
        """Its settings."""
        ...

    async def update_config(self, agent: str, config: Mapping[str, Any]) -> None:
        """Change some of them, from its next task on."""
        ...

    async def scale_resources(self, agent: str, resources: Mapping[str, Any]) -> None:
        """Give it another ceiling: `{"memory": "8Gi"}`."""
        ...

    async def machine_bytes(self) -> int | None:
        """The memory of the machine that its agents are on; `None` where that is not told."""
        ...

    async def restart(self, agent: str, drain: bool = False, wait_s: float = WAIT_S) -> Seen:
        """Build it anew, and wait until it is ready, failed, or the time is over."""
        ...


def ceiling_in(resources: Mapping[str, Any]) -> int:
    """The memory in bytes that is asked for.

    Raises:
        UsageError: something else is, or it is no size.
    """
    if set(resources) != {"memory"}:
        raise UsageError(f"{dict(resources)!r} has other keys.", hint='Write {"memory": "8Gi"}.')
    found = memory_bytes(resources["memory"])
    if found is None:
        raise UsageError(f"{resources['memory']!r} is no size.", hint='Write "8Gi".')
    return found


def settings_in(config: object) -> dict[str, Any]:
    """Settings to change, by name.

    Raises:
        UsageError: they are none.
    """
    if not isinstance(config, Mapping):
        raise UsageError(f"{config!r:.80} are no settings.", hint='Write {"timeout": 60}.')
    return dict(cast("Mapping[str, Any]", config))


class EmbeddedMending(EmbeddedFace):
    """Of a fleet in this program. Satisfies `Mending`."""

    async def agents(self) -> list[str]:
        """See `Mending`."""
        agents = await self._read(lambda: list(self._node.control.state.agents.values()))
        return [each.spec.id for each in agents if each.status not in ("failed", "terminating")]

    async def seen(self, agent: str) -> Seen:
        """See `Mending`."""
        worker = (await self._found(agent)).worker
        probes = await self._probed(worker)

        def look() -> Seen:
            found = self._of(agent)
            heard = self._node.liveness.last_heard(worker)
            return Seen(
                agent=agent,
                status=found.status,
                heartbeat_age_s=None if heard is None else heard.age_ms / 1_000,
                probes=probes,
                memory_bytes=None if heard is None else heard.resident_bytes,
                memory_limit_bytes=found.spec.limits.memory_bytes,
                tasks=list(found.open),
            )

        return await self._read(look)

    async def errors(self, agent: str) -> list[dict[str, Any]]:
        """See `Mending`."""
        await self._found(agent)
        queries = self.queries
        failures = await _in_thread(lambda: queries.failures_of(agent, ERRORS_MAX))
        return [
            {
                "type": each.kind,
                "message": each.reason,
                "task": each.task,
                "at": datetime.fromtimestamp(each.ended_ms / 1_000, UTC).isoformat(),
            }
            for each in failures
        ]

    async def config(self, agent: str) -> dict[str, Any]:
        """See `Mending`."""
        spec = (await self._found(agent)).spec
        return await _in_thread(lambda: unpack(spec.config, self.blobs) or {})

    async def update_config(self, agent: str, config: Mapping[str, Any]) -> None:
        """See `Mending`."""
        changed = {**(await self.config(agent)), **settings_in(config)}
        what = f"the configuration of {agent}"
        packed = await _in_thread(lambda: pack(changed, what, self.blobs))
        await self._do(c.UpdateAgent(now_ms=self._node.intake.now_ms(), agent=agent, config=packed))

    async def scale_resources(self, agent: str, resources: Mapping[str, Any]) -> None:
        """See `Mending`."""
        await self._do(
            c.UpdateAgent(
                now_ms=self._node.intake.now_ms(),
                agent=agent,
                memory_bytes=ceiling_in(resources),
            )
        )

    async def machine_bytes(self) -> int | None:
        """See `Mending`."""
        return await _in_thread(machine_bytes)

    async def restart(self, agent: str, drain: bool = False, wait_s: float = WAIT_S) -> Seen:
        """See `Mending`."""
        await self._do(sc.RestartAgent(now_ms=self._node.intake.now_ms(), agent=agent, drain=drain))
        ends = asyncio.get_running_loop().time() + wait_s
        while await self._read(lambda: self._is_restarting(agent)):
            if asyncio.get_running_loop().time() > ends:
                break
            await asyncio.sleep(LOOK_S)
        return await self.seen(agent)

    def _is_restarting(self, agent: str) -> bool:
        state, found = self._node.control.state, self._of(agent)
        if found.status in ("failed", "terminating"):
            return False
        sup = state.supervised
        waits = agent in state.updating or agent in state.moving or found.status not in UP
        return waits or found.worker in sup.restarting or found.worker in sup.recycling

    def _of(self, agent: str) -> AgentState:
        found = self._node.control.state.agents.get(agent)
        if found is None:
            raise UnknownAgent(f"There is no agent {agent!r}.")
        return found

    async def _found(self, agent: str) -> AgentState:
        return await self._read(lambda: self._of(agent))

    async def _probed(self, worker: str) -> dict[str, bool]:
        done: Future[dict[str, bool]] = Future()

        async def probe() -> None:
            try:
                done.set_result(dict(await self._node.probing.probe(worker)))
            except BaseException as error:
                done.set_exception(error)
                raise

        def begin() -> None:
            kept.append(asyncio.ensure_future(probe()))

        kept: list[asyncio.Future[None]] = []
        self._post(begin)
        return await asyncio.wrap_future(done)


class RemoteMending:
    """Of a server's fleet, by its tools. Satisfies `Mending`."""

    def __init__(self, client: MCPClient, swarm: str | None) -> None:
        self._client = client
        self._swarm = {} if swarm is None else {"swarmId": swarm}

    async def agents(self) -> list[str]:
        """See `Mending`."""
        found: list[str] = []
        cursor: str | None = None
        while True:
            given = {**self._swarm, **({} if cursor is None else {"cursor": cursor})}
            page = await self._client.call("agent_list", given)
            found += [
                each["id"]
                for each in page["agents"]
                if each["status"] not in ("failed", "terminated", "terminating")
            ]
            cursor = page["nextCursor"]
            if cursor is None:
                return found

    async def seen(self, agent: str) -> Seen:
        """See `Mending`."""
        (told,) = (await self._client.call("agent_health", {"agentId": agent}))["agents"]
        return Seen(
            agent=told["agentId"],
            status=told["status"],
            heartbeat_age_s=told["lastHeartbeatAge"],
            probes=told["probes"],
            memory_bytes=told["memoryBytes"],
            memory_limit_bytes=told["memoryLimitBytes"],
            tasks=[] if told["currentTask"] is None else [told["currentTask"]],
        )

    async def errors(self, agent: str) -> list[dict[str, Any]]:
        """See `Mending`."""
        status = await self._client.call("agent_status", {"agentId": agent})
        given = {"swarmId": status["swarmId"], "format": "detailed"}
        report = await self._client.call("performance_report", given)
        return [
            {
                "type": each["type"],
                "message": each["reason"],
                "task": each["task"],
                "at": each["at"],
            }
            for each in report["errorMetrics"]["recent"]
            if each["agent"] == status["agentId"]
        ]

    async def config(self, agent: str) -> dict[str, Any]:
        """See `Mending`; what is secret in it the server does not tell."""
        return (await self._client.call("agent_status", {"agentId": agent}))["config"] or {}

    async def update_config(self, agent: str, config: Mapping[str, Any]) -> None:
        """See `Mending`."""
        await self._client.call("agent_update", {"agentId": agent, "config": settings_in(config)})

    async def scale_resources(self, agent: str, resources: Mapping[str, Any]) -> None:
        """See `Mending`."""
        wanted = {"memoryLimit": ceiling_in(resources)}
        await self._client.call("agent_update", {"agentId": agent, "resources": wanted})

    async def machine_bytes(self) -> int | None:
        """See `Mending`. A server does not tell."""
        return None

    async def restart(self, agent: str, drain: bool = False, wait_s: float = WAIT_S) -> Seen:
        """See `Mending`."""
        given = {"agentId": agent, "drain": drain, "wait": True, "waitTimeout": wait_s}
        await self._client.call("agent_restart", given, timeout=None)
        return await self.seen(agent)


async def _in_thread(call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, call)
