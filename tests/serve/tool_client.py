"""A client of the tools without a wire: what it gets is JSON, held to the published schema."""

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from jsonschema import Draft202012Validator

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.access import Caller, Role
from visionflow.domain.errors import VisionFlowError
from visionflow.interfaces.tools.agents import agent_tools
from visionflow.interfaces.tools.faults import Fault, fault_of
from visionflow.interfaces.tools.swarms import swarm_tools
from visionflow.interfaces.tools.tool import Call, Registry

T = TypeVar("T")
AGENTS = Path(__file__).parent / "tool_agents.py"
YAML = """
agent_templates:
  teller: {{class: "{file}:Teller", default_config: {{word: Hello, loud: false}}}}
  waiter: {{class: "{file}:Waiter"}}
  slow: {{class: "{file}:Slow"}}
  hog: {{class: "{file}:Hog"}}
  specialist: {{class: "{file}:Specialist"}}
  broken: {{class: "{file}:Broken"}}
"""


def agents_file(folder: Path) -> str:
    """A file of templates for the agents of these tests."""
    path = folder / "agents.yaml"
    path.write_text(YAML.format(file=AGENTS), encoding="utf-8")
    return str(path)


def registry_of(opened: OpenServer) -> Registry:
    """The tools of these tests; one registry for all clients, as in a server."""
    return Registry([*swarm_tools(opened.server), *agent_tools(opened.server)])


class Client:
    """Calls tools as one caller over one connection."""

    def __init__(
        self,
        registry: Registry,
        client: str = "c1",
        role: Role = Role.ADMIN,
        name: str = "local:me",
    ) -> None:
        self._registry = registry
        self.caller = Caller(name=name, role=role, face="tcp", client=client)

    async def call(self, tool: str, key: str | None = None, **given: Any) -> dict[str, Any]:
        """The result as JSON gives it.

        Raises:
            VisionFlowError: as the tool.
        """
        prepared = self._registry.prepare(tool, given, self.caller, key=key)
        result = await self._registry.finish(prepared, Call(self.caller, key=prepared.key))
        found = msgspec.json.decode(msgspec.json.encode(result))
        validator(self._registry, tool).validate(found)
        return found

    async def refused(self, tool: str, key: str | None = None, **given: Any) -> Fault:
        """How a call is refused."""
        try:
            found = await self.call(tool, key, **given)
        except VisionFlowError as error:
            return fault_of(error, self._registry.get(tool).group)
        raise AssertionError(f"{tool} was not refused: {found}")


@cache
def validator(registry: Registry, tool: str) -> Draft202012Validator:
    """Holds results to the published schema, which leaves no field unsaid."""
    schema = registry.get(tool).output_schema
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(_closed(schema))


def _closed(schema: Any) -> Any:
    """The schema with every object that lists its fields allowing no others."""
    if isinstance(schema, dict):
        found = {key: _closed(each) for key, each in schema.items()}
        if "properties" in found:
            found["additionalProperties"] = False
        return found
    return [_closed(each) for each in schema] if isinstance(schema, list) else schema
