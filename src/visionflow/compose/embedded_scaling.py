"""Where an embedded swarm gets agents from, when their number follows the load."""

import asyncio
from collections.abc import Iterable

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.trying import in_thread
from visionflow.domain.commands import AnyCommand
from visionflow.engine.matching import offers
from visionflow.engine.scaling import Room
from visionflow.engine.state import Answer
from visionflow.interfaces.seats import Seat
from visionflow.interfaces.templates import class_of, tasks_at_once
from visionflow.runtime.answers import accepted, settle
from visionflow.runtime.autoscaling import Kind
from visionflow.runtime.intake import sound
from visionflow.runtime.node import Node
from visionflow.settings.agents import AgentSettings, AgentTemplate


class EmbeddedSource:
    """`Source` of one swarm: the templates of its program."""

    def __init__(self, node: Node, templates: AgentSettings) -> None:
        self._node = node
        self._templates = templates

    @property
    def nodes(self) -> Iterable[Node]:
        """See `Source`."""
        return (self._node,)

    def rooms(self) -> list[Room]:
        """See `Source`."""
        return []

    async def kind(self, agent_type: str) -> Kind:
        """See `Source`."""
        template, made = await self._found(agent_type)
        offered = offers(tuple(sorted(made.capabilities)), agent_type)
        return Kind(offered, tasks_at_once(template.config), template.ceiling_bytes)

    async def make(self, node: Node, agent_type: str, count: int, seat: Seat | None) -> None:
        """See `Source`."""
        template, made = await self._found(agent_type)
        intake = node.intake
        for _ in range(count):
            command = intake.agent(
                agent_type,
                template.class_path,
                capabilities=tuple(sorted(made.capabilities)),
                config=dict(template.config),
                tasks_max=tasks_at_once(template.config),
                memory_bytes=template.ceiling_bytes,
                upkeep=template.upkeep,
            )
            spec = msgspec.structs.replace(command.spec, scaled=True)
            await _ask(node, sound(msgspec.structs.replace(command, spec=spec)))
            if seat is not None:
                await _ask(node, sound(seat.command(spec.id, intake.now_ms())))

    async def _found(self, agent_type: str) -> tuple[AgentTemplate, type[BaseAgent]]:
        template = self._templates.template(agent_type)
        # Importing what somebody else wrote may take its time.
        return template, await in_thread(lambda: class_of(template))


async def _ask(node: Node, command: AnyCommand) -> None:
    """Have a command decided; returns once that is durable.

    Raises:
        Refused: it was not accepted.
        VisionFlowError: nothing is decided here any more.
    """
    asked: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    node.control.offer(command, lambda answer: settle(asked, answer))
    accepted(await asked)
