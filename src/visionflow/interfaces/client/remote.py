"""The fleet of a server, as a program that embeds nothing sees it.

The same words as the embedded `Fleet` has, where the server has what they need. Classes of the
caller's own program cannot be spawned there: give the server a template of them.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from visionflow.agents.task import Task
from visionflow.domain.errors import TaskFailed, UsageError
from visionflow.interfaces.client.calls import MCPClient
from visionflow.interfaces.client.connection import OnProgress
from visionflow.interfaces.client.votes import ATTEMPTS, RemoteVotes

WAIT_S_MAX = 365 * 24 * 3_600
"""So long a task is waited for, also while nobody can do it."""


class RemoteSwarm(msgspec.Struct, frozen=True):
    """A swarm that was initialised."""

    id: str
    topology: str
    agents_max: int
    warnings: tuple[str, ...] = ()


class RemoteAgent:
    """An agent of a server."""

    def __init__(self, fleet: "RemoteFleet", said: Mapping[str, Any], config: Any = None) -> None:
        self._fleet = fleet
        self.id = cast(str, said["agentId"])
        self.swarm_id = cast(str, said["swarmId"])
        self.name = cast(str, said.get("name") or self.id)
        self.type = cast(str, said.get("type") or "")
        self.capabilities: tuple[str, ...] = tuple(said.get("capabilities") or ())
        self.config: dict[str, Any] = dict(config or {})
        """The settings that it was spawned with; the template's hold beside them."""
        self.warnings: tuple[str, ...] = tuple(said.get("warnings") or ())

    def __repr__(self) -> str:
        return f"RemoteAgent({self.id}, {self.type})"

    async def process_task(self, task: Task) -> Any:
        """Give this agent a task and wait for its result; nobody else will take it."""
        return await self._fleet.run(task, agent=self)

    async def status(self) -> dict[str, Any]:
        """What `agent_status` says of it now."""
        return await self._fleet.client.call("agent_status", {"agentId": self.id})

    async def terminate(self) -> None:
        """End it; tasks that it holds are given to others."""
        await self._fleet.terminate(self)


class RemoteFleet(RemoteVotes):
    """A swarm of a server. Its loop is the caller's."""

    def __init__(self, client: MCPClient, swarm: str | None = None) -> None:
        self.client = client
        self.swarm = swarm
        """The swarm that calls are about; `None`: the latest of this client."""

    async def initialize_swarm(
        self,
        topology: str = "hierarchical",
        max_agents: int | None = None,
        strategy: str | None = None,
    ) -> RemoteSwarm:
        """A new swarm on the server; later calls are about it."""
        given = {"topology": topology, "maxAgents": max_agents, "strategy": strategy}
        said = await self.client.call("swarm_init", _given(given))
        self.swarm = cast(str, said["swarmId"])
        return RemoteSwarm(
            self.swarm, said["topology"], said["maxAgents"], tuple(said.get("warnings") or ())
        )

    async def spawn_agent(
        self,
        agent_type: str,
        config: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        wait: bool = False,
        swarm_id: str | None = None,
    ) -> RemoteAgent:
        """Add one agent of a template; `wait`: until it takes tasks."""
        given = {
            "agentType": agent_type,
            "config": dict(config) if config else None,
            "name": name,
            "wait": wait or None,
            "swarmId": swarm_id or self.swarm,
        }
        return RemoteAgent(self, await self.client.call("agent_spawn", _given(given)), config)

    async def spawn_agents(
        self, agents: Iterable[Mapping[str, Any]], swarm_id: str | None = None
    ) -> list[RemoteAgent]:
        """Add agents by maps with `type` and, where wanted, `count` and `config`.

        Raises:
            UsageError: a map has no type, or a key that is not known; those before it stay.
        """
        found: list[RemoteAgent] = []
        for wanted in agents:
            unknown = sorted(set(wanted) - {"type", "count", "config", "name"})
            if unknown or "type" not in wanted:
                raise UsageError(
                    f"{dict(wanted)!r} does not say which agents to spawn.",
                    hint="Its keys are type, count, name and config; type must be there.",
                )
            count = cast(int, wanted.get("count", 1))
            found += [await self._spawn_one(wanted, swarm_id) for _ in range(count)]
        return found

    async def _spawn_one(self, wanted: Mapping[str, Any], swarm_id: str | None) -> RemoteAgent:
        return await self.spawn_agent(
            wanted["type"], wanted.get("config"), name=wanted.get("name"), swarm_id=swarm_id
        )

    async def agents(self) -> list[RemoteAgent]:
        """The agents of the swarm that are there or coming."""
        found: list[RemoteAgent] = []
        cursor: str | None = None
        while True:
            given = _given({"swarmId": self.swarm, "cursor": cursor})
            page = await self.client.call("agent_list", given)
            swarm = page["swarmId"]
            found += [
                RemoteAgent(self, {"agentId": each["id"], "swarmId": swarm, **each})
                for each in page["agents"]
                if each["status"] not in ("failed", "terminated", "terminating")
            ]
            cursor = page.get("nextCursor")
            if cursor is None:
                return found

    async def terminate(self, agent: RemoteAgent | str) -> None:
        """End an agent."""
        identity = agent if isinstance(agent, str) else agent.id
        await self.client.call("agent_terminate", {"agentId": identity})

    async def run(
        self,
        task: Task,
        *,
        agent: RemoteAgent | None = None,
        on_progress: OnProgress | None = None,
    ) -> Any:
        """Hand in a task and wait for its result, however long it takes.

        Raises:
            TaskFailed: it ended without a result.
            Refused: the server did not take it.
            ServerUnreachable: there is no server, or it went away and did not come back. One that
                had the task goes on with it when it is started again.
        """
        given: dict[str, Any] = {
            "type": task.type,
            "description": task.description or task.type,
            "input": task.input,
            "config": task.config or None,
            "priority": task.priority,
            "requiredCapabilities": list(task.required_capabilities) or None,
            "agentId": None if agent is None else agent.id,
        }
        arguments = {
            "task": _given(given),
            "swarmId": self.swarm if agent is None else agent.swarm_id,
            "wait": True,
            "waitTimeout": WAIT_S_MAX,
        }
        said = await self._orchestrated(_given(arguments), on_progress)
        if said["status"] != "completed":
            reason = str(said.get("reason") or said.get("missing") or said["status"]).rstrip(".")
            raise TaskFailed(
                f"Task {said['taskId']} ended as {said['status']}: {reason}.",
                task=said["taskId"],
                reason=reason,
            )
        return said.get("result")

    async def _orchestrated(
        self, arguments: dict[str, Any], on_progress: OnProgress | None
    ) -> dict[str, Any]:
        # A server that dies under it is started again and goes on: asked under the same key, it
        # tells of the task that it has.
        await self.client.connect()
        return await self.client.call(
            "task_orchestrate", arguments, timeout=None, on_progress=on_progress,
            attempts=ATTEMPTS,
        )  # fmt: skip

    async def map(self, tasks: Iterable[Task]) -> list[Any]:
        """Hand in all and wait for all; results in the order of the tasks."""
        return list(await asyncio.gather(*(self.run(task) for task in tasks)))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was given: `None` stands for left out."""
    return {key: value for key, value in values.items() if value is not None}
