"""Calls of tools as a face makes them: prepared, run, settled, and held to what is published."""

from functools import cache
from typing import Any

import jsonschema
import msgspec
from served import HERE, status_of, until

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.access import Caller, Role
from visionflow.domain.agents import AgentStatus
from visionflow.interfaces.tools.all import all_tools
from visionflow.interfaces.tools.tool import Call, Registry
from visionflow.runtime.swarms import LiveSwarm


@cache
def _validator(registry: Registry, tool: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(registry.tools[tool].output_schema)


class Tools:
    """A client of an open core."""

    def __init__(
        self, opened: OpenServer, client: str = "client_1", role: Role = Role.ADMIN
    ) -> None:
        self.server = opened.server
        self.registry = all_tools(opened.server)
        self.caller = Caller(name="local:tests", role=role, face="python", client=client)

    async def __call__(
        self,
        tool: str,
        given: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        call: Call | None = None,
    ) -> dict[str, Any]:
        """The result as JSON gives it back; it is what the tool says that it gives."""
        prepared = self.registry.prepare(tool, given or {}, self.caller, key=key)
        made = call or Call(self.caller, key=key)
        result = await self.registry.finish(prepared, made)
        told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(result))
        _validator(self.registry, tool).validate(told)
        return told


async def agent_up(swarm: LiveSwarm, agent_class: str, **more: Any) -> str:
    """An agent of a class of `task_agents.py` with a capability of the same name; its id, once it
    is ready."""
    command = swarm.node.intake.agent(
        agent_class.lower(),
        f"{HERE / 'task_agents.py'}:{agent_class}",
        capabilities=(agent_class.lower(),),
        **more,
    )
    await swarm.ask(command)
    await until(lambda: status_of(swarm, command.spec.id) is AgentStatus.READY)
    return command.spec.id
