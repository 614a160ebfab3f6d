"""The Python face for a program with a loop of its own: what blocks in `Fleet` is awaited here."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TypeVar

from visionflow.agents.task import Task
from visionflow.domain.errors import UsageError
from visionflow.interfaces.breaker import Circuit
from visionflow.interfaces.classes import AgentClass
from visionflow.interfaces.handles import TaskHandle
from visionflow.interfaces.mailing import AsyncFleetMail
from visionflow.interfaces.orchestrator import AgentHandle, Fleet
from visionflow.interfaces.voting import AsyncFleetVotes
from visionflow.ports.views import EffectRow

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """Run what blocks in a thread of the running loop's pool."""
    return await asyncio.get_running_loop().run_in_executor(None, call)


class AsyncFleet(AsyncFleetMail, AsyncFleetVotes):
    """The same for a program with a loop of its own: what blocks there is awaited here."""

    def __init__(self, fleet: Fleet) -> None:
        self.sync = fleet

    @property
    def _mail(self) -> Fleet:
        return self.sync

    @property
    def _votes(self) -> Fleet:
        return self.sync

    async def spawn(self, agent: AgentClass, **options: Any) -> list[AgentHandle]:
        """See `Fleet.spawn`."""
        return await in_thread(lambda: self.sync.spawn(agent, **options))

    async def spawn_template(self, template: str, **options: Any) -> list[AgentHandle]:
        """See `Fleet.spawn_template`."""
        return await in_thread(lambda: self.sync.spawn_template(template, **options))

    async def spawn_agent(
        self, agent_type: str, config: Mapping[str, Any] | None = None
    ) -> AgentHandle:
        """Add one agent of a template. See `Fleet.spawn_template`."""
        return (await self.spawn_template(agent_type, config=config))[0]

    async def spawn_agents(self, agents: Iterable[Mapping[str, Any]]) -> list[AgentHandle]:
        """Add agents by maps with `type` and, where wanted, `count` and `config`.

        Those before the first that is refused stay.

        Raises:
            UsageError: a map has no type, or a key that is not known. Also what `spawn_template`
                raises.
        """
        found: list[AgentHandle] = []
        for wanted in agents:
            unknown = sorted(set(wanted) - {"type", "count", "config"})
            if unknown or "type" not in wanted:
                raise UsageError(
                    f"{dict(wanted)!r} does not say which agents to spawn.",
                    hint="Its keys are type, count and config; type must be there.",
                )
            options = {key: wanted[key] for key in ("count", "config") if key in wanted}
            found += await self.spawn_template(wanted["type"], **options)
        return found

    async def agents(self) -> list[AgentHandle]:
        """See `Fleet.agents`."""
        return await in_thread(self.sync.agents)

    async def handle(self, task: str) -> TaskHandle:
        """See `Fleet.handle`; `await` it for the result."""
        return await in_thread(lambda: self.sync.handle(task))

    async def terminate(self, agent: AgentHandle | str) -> None:
        """See `Fleet.terminate`."""
        await in_thread(lambda: self.sync.terminate(agent))

    def submit(self, task: Task, **options: Any) -> TaskHandle:
        """See `Fleet.submit`; `await` the handle for the result."""
        return self.sync.submit(task, **options)

    async def cancel(self, handle: TaskHandle | str, reason: str = "cancelled on request") -> None:
        """See `Fleet.cancel`."""
        await in_thread(lambda: self.sync.cancel(handle, reason))

    async def effects(self, status: str | None = None, task: str | None = None) -> list[EffectRow]:
        """See `Fleet.effects`."""
        return await in_thread(lambda: self.sync.effects(status, task))

    async def resolve_effect(self, key: str, resolution: str, note: str, **options: Any) -> None:
        """See `Fleet.resolve_effect`."""
        await in_thread(lambda: self.sync.resolve_effect(key, resolution, note, **options))

    async def circuits(self) -> dict[str, Circuit]:
        """See `Fleet.circuits`."""
        return await in_thread(self.sync.circuits)

    async def reset_circuit(self, name: str) -> None:
        """See `Fleet.reset_circuit`."""
        await in_thread(lambda: self.sync.reset_circuit(name))

    async def map(self, tasks: Iterable[Task]) -> AsyncIterator[Any]:
        """Submit all; yields results in the order of the tasks."""
        for handle in [self.sync.submit(task) for task in tasks]:
            yield await handle
